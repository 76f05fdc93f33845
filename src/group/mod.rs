//! Consumer groups. What they have committed: `record` has Kafka's formats in `__consumer_offsets`,
//! `loading` tells its records apart, `offsets` is what those of offsets come to (pure), `coordinator`
//! the shell on the shard that owns a partition of that topic: it reads the log when the partition is
//! opened, and appends to it; `expiry` says when they are forgotten (pure). Who is in them: `classic` is
//! the state machine (pure), `served` the groups of a shard, `members` the shell around them; `consumer`
//! is that of the consumer protocol (KIP-848), `consumers` its shell; `share`
//! that of share groups (KIP-932), `share_groups` its shell.

pub mod classic;
pub mod consumer;
mod consumers;
mod coordinator;
mod expiry;
mod loading;
mod members;
mod offsets;
mod record;
mod served;
pub mod share;
mod share_groups;

pub use consumers::Consumers;
pub use coordinator::Coordinators;
pub use expiry::{Expiry, Reads};
pub use loading::SavedGroups;
pub use members::Members;
pub use share_groups::ShareGroups;

/// The topic that holds committed offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic that holds what is known of transactional ids.
pub const TRANSACTION_TOPIC: &str = "__transaction_state";
/// The topic that holds what share groups have done.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";
/// Topics that belong to the broker: clients read them, and do not write them.
pub const INTERNAL_TOPICS: [&str; 3] = [OFFSETS_TOPIC, TRANSACTION_TOPIC, SHARE_STATE_TOPIC];

pub fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// The partition of [`OFFSETS_TOPIC`] that a group belongs to, or of [`TRANSACTION_TOPIC`] that a
/// transactional id belongs to, as Kafka computes it: the hash of Java's strings without its sign.
pub fn partition_of(name: &str, partitions: usize) -> i32 {
    let hash = name
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % (partitions.max(1) as i32)
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_lie_where_kafka_puts_them() {
        // Java: "readers".hashCode() == 1080410128, "".hashCode() == 0.
        assert_eq!(super::partition_of("readers", 50), 1_080_410_128 % 50);
        assert_eq!(super::partition_of("", 50), 0);
    }
}
