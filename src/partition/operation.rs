use bytes::Bytes;
use corelane_shards::log::{MovingSize, NewBatch, ProducerView};
use uuid::Uuid;

use super::consumer_group::{ConsumerCall, ConsumerGroupView, Heard, Refused};
use super::membership::{GroupView, Join, Joined, MemberCall, NotJoined, Sync, Synced};
use super::share::{
    OfShareState, SetShares, ShareFetch, ShareKey, ShareOutcome, ShareRelease, ShareState,
};
use super::share_group::ShareBeat;
use super::{
    AddToTransaction, CommitGroup, FetchGroupOffsets, FetchedOffsets, InTransaction, MarkerOrder,
    OfTransaction, TransactionAnswer, TransactionCall, TransactionView,
};
use crate::wire::ErrorCode;

/// Names a partition between shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    pub topic: Uuid,
    pub index: i32,
}

/// What one shard asks of another's partitions. Requests of one shard arrive in the order they
/// were sent, so appends keep the order of their connection.
pub enum Operation {
    Produce(ProduceGroup),
    Fetch(FetchGroup),
    /// Answer the fetch with this token now, with what there is.
    FetchNow {
        token: u64,
    },
    Offsets(Vec<OffsetQuery>),
    Epochs(Vec<EpochQuery>),
    Trim(Vec<Trim>),
    Sizes(Vec<PartitionKey>),
    Producers(Vec<PartitionKey>),
    Move(Vec<MoveOrder>),
    JoinGroup(OfGroup<Join>),
    SyncGroup(OfGroup<Sync>),
    Members(OfGroup<Vec<MemberCall>>),
    /// All groups that the shard coordinates, without their members.
    ListGroups,
    DescribeGroup(OfGroup<()>),
    HearConsumer(OfGroup<ConsumerCall>),
    DescribeConsumers(OfGroup<()>),
    /// Forget offsets of these partitions, or, without any, the group itself.
    DeleteOffsets(OfGroup<Option<Vec<(String, i32)>>>),
    CommitOffsets(CommitGroup),
    FetchOffsets(FetchGroupOffsets),
    AddToTransaction(OfTransaction<AddToTransaction>),
    Transaction(OfTransaction<TransactionCall>),
    DescribeTransaction(OfTransaction<()>),
    /// All transactional ids that the shard coordinates, without their partitions.
    ListTransactions,
    WriteMarkers(Vec<MarkerOrder>),
    HearShareMember(OfGroup<ShareBeat>),
    DescribeShareGroup(OfGroup<()>),
    /// Records for a member of a share group, and what it says of those that it had.
    ShareFetch(ShareFetch),
    ShareRelease(ShareRelease),
    ShareState(OfShareState),
    /// A group is elsewhere in partitions from now on.
    SetShares(SetShares),
    /// Where a group is in partitions.
    ListShares(String),
    /// What a group has done with records, of all partitions.
    ForgetShares(String),
}

/// What comes back, in the order of the entries asked for.
pub enum Outcome {
    Produce(Vec<ProduceOutcome>),
    Fetch(Vec<FetchOutcome>),
    Offsets(Vec<OffsetFound>),
    Epochs(Vec<EpochEnd>),
    /// New log start offsets.
    Trim(Vec<Result<i64, ErrorCode>>),
    /// `None` where a log is not open.
    Sizes(Vec<Option<LogSize>>),
    Producers(Vec<Result<Vec<ProducerView>, ErrorCode>>),
    /// Kafka's error codes; 0: the move has begun.
    Move(Vec<i16>),
    JoinGroup(Result<Joined, NotJoined>),
    SyncGroup(Result<Synced, ErrorCode>),
    Members(Vec<Result<(), ErrorCode>>),
    ListGroups(Listed<GroupView>),
    DescribeGroup(Result<GroupView, ErrorCode>),
    HearConsumer(Result<Heard, Refused>),
    DescribeConsumers(Result<ConsumerGroupView, ErrorCode>),
    /// Topics whose offsets stay, because members read them.
    DeleteOffsets(Result<Vec<String>, ErrorCode>),
    CommitOffsets(Result<(), ErrorCode>),
    FetchOffsets(Result<FetchedOffsets, ErrorCode>),
    AddToTransaction(Result<(), ErrorCode>),
    Transaction(TransactionAnswer),
    DescribeTransaction(Result<TransactionView, ErrorCode>),
    ListTransactions(Listed<TransactionView>),
    /// Each is durable.
    WriteMarkers(Vec<Result<(), ErrorCode>>),
    HearShareMember(Result<Heard, Refused>),
    DescribeShareGroup(Result<ConsumerGroupView, ErrorCode>),
    ShareFetch(Vec<ShareOutcome>),
    ShareRelease,
    /// What the state is now.
    ShareState(Result<Option<ShareState>, ErrorCode>),
    /// Each is durable.
    SetShares(Vec<Result<(), ErrorCode>>),
    /// Everything below is finished.
    ListShares(Listed<(ShareKey, i64)>),
    ForgetShares(Result<(), ErrorCode>),
}

/// What a shard knows of everything of a kind.
pub struct Listed<T> {
    pub found: Vec<T>,
    /// It is not all: a partition is still being read.
    pub is_loading: bool,
}

/// Something that concerns a group, for the shard that owns its partition of the offsets topic.
pub struct OfGroup<T> {
    pub partition: i32,
    pub group: String,
    pub what: T,
}

/// Checked batches for one shard's partitions.
pub struct ProduceGroup {
    /// Whether they must be durable before they are answered (`acks=all`).
    pub durable: bool,
    pub now_ms: i64,
    /// Of a producer with a transactional id.
    pub transaction: Option<InTransaction>,
    pub entries: Vec<(PartitionKey, NewBatch)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProduceOutcome {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub base_offset: i64,
    pub log_start_offset: i64,
}

pub struct FetchGroup {
    /// Only what is stable is read.
    pub read_committed: bool,
    /// Chosen by the asking shard, to call for an early answer.
    pub token: u64,
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub max_wait_ms: u64,
    pub entries: Vec<FetchEntry>,
}

#[derive(Debug, Clone, Copy)]
pub struct FetchEntry {
    pub key: PartitionKey,
    pub offset: i64,
    pub max_bytes: usize,
    /// −1 where the client does not say.
    pub leader_epoch: i32,
    /// Of the record before `offset`, as the client read it; −1 where it does not say.
    pub last_fetched_epoch: i32,
}

#[derive(Debug, Clone)]
pub struct FetchOutcome {
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Producer and first offset of aborted transactions that the records are part of, where only
    /// what is stable was read.
    pub aborted: Vec<(i64, i64)>,
    /// What the client has read is not in this log: an epoch, and where it ends here.
    pub diverging: Option<(i32, i64)>,
    pub records: Vec<Bytes>,
}

impl FetchOutcome {
    /// Nothing, for this reason.
    pub fn error(code: ErrorCode) -> FetchOutcome {
        FetchOutcome {
            error_code: code.code(),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted: Vec::new(),
            diverging: None,
            records: Vec::new(),
        }
    }
}

pub struct OffsetQuery {
    pub key: PartitionKey,
    pub leader_epoch: i32,
    /// Only what is stable counts.
    pub read_committed: bool,
    /// A time in ms, or one of Kafka's negative names for an end of the log.
    pub timestamp: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct OffsetFound {
    pub error_code: i16,
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

/// Move the log start offset up.
pub struct Trim {
    pub key: PartitionKey,
    /// −1: to the high watermark.
    pub offset: i64,
}

/// Move a partition to another log directory.
pub struct MoveOrder {
    pub key: PartitionKey,
    /// Number of the log directory.
    pub to: usize,
}

/// What a partition holds, and how far its move is, if one is under way.
pub struct LogSize {
    pub bytes: u64,
    pub moving: Option<MovingSize>,
}

pub struct EpochQuery {
    pub key: PartitionKey,
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, Copy)]
pub struct EpochEnd {
    pub error_code: i16,
    pub leader_epoch: i32,
    pub end_offset: i64,
}
