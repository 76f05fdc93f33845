//! Compaction (`cleanup.policy=compact`): of every key the last record stays, at its offset.
//!
//! `plan` decides which segments are worth it (pure), `keys` remembers each key's last offset in
//! bounded memory, `rewrite` makes a batch of those of its records that stay, `run` does it
//! (`files`), `swap` puts the new segments in the place of the old so that a crash leaves one or the
//! other. Rules are Kafka's, tombstones those of KIP-534.

mod files;
mod keys;
mod plan;
mod rewrite;
mod run;
mod swap;
mod transactions;

pub use run::{Cleaner, Compacted};
pub(super) use swap::finish_swaps;
pub use swap::CLEANER_OFFSET_FILE;
