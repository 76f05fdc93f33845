//! Transactions, on the shard that owns a transactional id's partition of `__transaction_state`:
//! `entry` is what is known of an id, `rules` what a request does to it, `machine` the order of
//! things (what is durable first, who waits); all three pure. `record` is Kafka's format of an entry,
//! `coordinator` the shell that reads the log and keeps the machines. Markers are sent by the broker.
//!
//! Knowingly missing: transactions that outlive their producer by two-phase commit (KIP-939).

mod coordinator;
mod entry;
mod machine;
mod record;
mod rules;
#[cfg(test)]
mod simulation;

pub use coordinator::{Effect, Loaded, Machines, Transactions};
pub use entry::{State, EPOCH_PER_TRANSACTION};
pub use machine::{Ask, Input, Prepared};
