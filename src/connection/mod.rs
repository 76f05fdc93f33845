//! One client's connection: frames in, answers out, in order.
//!
//! `frames` cuts the stream into frames within the shard's memory; `serve` runs the requests:
//! Produce is begun as it arrives and answered later, so that a client may have many under way;
//! everything else waits until what came before it has been answered, as in Kafka; `answers` is
//! the task that writes; `registry` knows all connections of a shard; `home` finds out where one
//! belongs, and `doors` is the way there.

mod answers;
mod doors;
mod frames;
mod home;
mod registry;
mod serve;

pub use doors::{Arrival, Doors};
pub use registry::Connections;
pub use serve::{accepted, arrived};
