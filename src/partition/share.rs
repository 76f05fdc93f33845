//! What members of share groups (KIP-932) ask of the shard that owns a partition, and what that asks of
//! the one that keeps the group's state of it.

use bytes::Bytes;
use uuid::Uuid;

use super::PartitionKey;
use crate::wire::ErrorCode;

/// What becomes of a record that a member had; Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no such record.
    Gap = 0,
    Accept = 1,
    /// Another member may have it.
    Release = 2,
    /// Nobody is to have it again.
    Reject = 3,
}

impl Verdict {
    pub fn of_number(number: i8) -> Option<Verdict> {
        match number {
            0 => Some(Verdict::Gap),
            1 => Some(Verdict::Accept),
            2 => Some(Verdict::Release),
            3 => Some(Verdict::Reject),
            _ => None,
        }
    }
}

/// What a member says of the records `first..=last`: one verdict for all, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    pub first: i64,
    pub last: i64,
    pub verdicts: Vec<Verdict>,
}

/// Records that a member has to itself now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    pub first: i64,
    pub last: i64,
    /// How often they were delivered, with this time.
    pub deliveries: i16,
}

/// What a member asks of the partitions of one shard.
pub struct ShareFetch {
    pub group: String,
    pub member: String,
    /// Chosen by the asking shard, to call for an early answer.
    pub token: u64,
    pub max_wait_ms: u64,
    pub max_bytes: usize,
    pub max_records: usize,
    /// About as many records as are acquired and acknowledged together.
    pub batch_size: usize,
    pub entries: Vec<ShareEntry>,
}

pub struct ShareEntry {
    pub key: PartitionKey,
    /// Said of records that it had before.
    pub verdicts: Vec<Verdicts>,
    /// Whether it wants more.
    pub wants: bool,
}

/// What came of it in one partition.
#[derive(Debug, Clone, Default)]
pub struct ShareOutcome {
    /// Why there are no records.
    pub error: Option<ErrorCode>,
    /// Why the verdicts do not count.
    pub verdict_error: Option<ErrorCode>,
    /// Whole batches; `acquired` says which of their records are meant.
    pub records: Vec<Bytes>,
    pub acquired: Vec<Acquired>,
}

/// A member does not have any records any more.
pub struct ShareRelease {
    pub group: String,
    pub member: String,
    pub keys: Vec<PartitionKey>,
    /// It goes in order: what it had was not delivered to anybody.
    pub unseen: bool,
}

/// A group begins elsewhere in partitions of one shard; without an offset, as if it had done nothing.
pub struct SetShares {
    pub group: String,
    pub entries: Vec<(PartitionKey, Option<i64>)>,
}

/// Names what a group has done of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShareKey {
    pub group: String,
    pub topic: Uuid,
    pub index: i32,
}

/// What outlives a restart of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareState {
    /// Counts the times that somebody has set where the group begins.
    pub epoch: i32,
    /// Everything below is finished.
    pub start: i64,
    /// What is known of records above, in order.
    pub runs: Vec<SavedRun>,
}

/// Records that were delivered, or are finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedRun {
    pub first: i64,
    pub last: i64,
    pub state: Saved,
    pub deliveries: i16,
}

/// Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Available = 0,
    Accepted = 2,
    Archived = 4,
}

/// What is done to the state, in the partition `at` of the state's topic.
pub struct OfShareState {
    pub at: i32,
    pub key: ShareKey,
    pub what: StateCall,
}

pub enum StateCall {
    Read,
    /// `None`: forget it.
    Write(Option<ShareState>),
}
