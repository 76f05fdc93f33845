//! The broker as a process: `shard` is what one core runs, `apply` brings a shard's partitions in
//! line with the metadata, `advertise` says where clients shall connect, `serve` starts and stops
//! it all, `run_shard` a core's part of it.

mod advertise;
mod apply;
mod consumer_groups;
mod descriptors;
mod group_settings;
mod groups;
mod moves;
mod run_shard;
mod sending_markers;
mod serve;
mod shard;
mod share;
mod share_groups;
mod share_reads;
mod transactional;
mod transactions;

pub use advertise::{Advertised, Node};
pub use serve::{serve, ServeError};
pub use shard::{Routed, Shard, ShardParts};
