//! What is asked of the partitions that hold committed offsets.

use super::InTransaction;

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// −1: not said.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_ms: i64,
}

/// A committed offset, with what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    pub topic: String,
    pub partition: i32,
    pub committed: Committed,
}

/// Offsets that a group commits.
pub struct CommitGroup {
    /// Partition of the offsets topic.
    pub partition: i32,
    pub group: String,
    /// Empty: the consumer is no member.
    pub member_id: String,
    pub instance_id: Option<String>,
    /// −1: the consumer is no member.
    pub generation: i32,
    /// Since version 9 of the request, `generation` can be the epoch of a member (KIP-848).
    pub by_epoch: bool,
    pub now_ms: i64,
    /// They are committed with this transaction.
    pub transaction: Option<InTransaction>,
    pub entries: Vec<CommitEntry>,
}

pub struct CommitEntry {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// What a group has committed for these partitions, or for all.
pub struct FetchGroupOffsets {
    pub partition: i32,
    pub group: String,
    /// Who asks, where it is a member (KIP-848).
    pub member_id: Option<String>,
    /// −1: it is none.
    pub member_epoch: i32,
    pub topics: Option<Vec<(String, Vec<i32>)>>,
    /// Offsets that open transactions may commit anew are not wanted (KIP-447).
    pub require_stable: bool,
}

/// What was found of it.
#[derive(Debug, Default)]
pub struct FetchedOffsets {
    pub offsets: Vec<GroupOffset>,
    /// Partitions that open transactions will commit something for.
    pub unstable: Vec<(String, i32)>,
}
