//! TCP for the shards: a listener per shard on one shared port, streams that read into memory the
//! caller owns and write many slices in one system call.

mod listener;
mod stream;

pub use listener::{port_is_free, Listener};
pub use stream::{Closer, ReadHalf, Stream, WriteHalf};
