//! Partitions on their owning shard: what is done to them, whoever asked. `operation` is the one
//! list of what can be asked, from the same shard or over the mesh; `produce`, `fetch`,
//! `offsets`, `markers` and `trim` do it, `compact` does what nobody asks for. `keyed_log` reads and appends to
//! the logs that hold the broker's own state, `keyed_partitions` keeps what they come to.

mod committed;
pub mod compact;
pub mod consumer_group;
pub mod fetch;
pub mod keyed_log;
pub mod keyed_partitions;
pub mod markers;
pub mod membership;
pub mod offsets;
mod operation;
pub mod produce;
pub mod share;
pub mod share_group;
mod table;
mod transaction;
pub mod trim;

pub use committed::{
    CommitEntry, CommitGroup, Committed, FetchGroupOffsets, FetchedOffsets, GroupOffset,
};
pub use operation::{
    EpochEnd, EpochQuery, FetchEntry, FetchGroup, FetchOutcome, Listed, LogSize, MoveOrder,
    OfGroup, OffsetFound, OffsetQuery, Operation, Outcome, PartitionKey, ProduceGroup,
    ProduceOutcome, Trim,
};
pub use table::{Partition, PartitionTable, Verified};
pub use transaction::{
    AddToTransaction, InTransaction, MarkerOrder, OfTransaction, ProducerIdentity,
    TransactionAnswer, TransactionCall, TransactionView,
};

use corelane_shards::log::LogError;

use crate::wire::ErrorCode;

/// Kafka's code for a log's error.
pub fn error_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::Offline(_) | LogError::NoSpace | LogError::Disk(_) => {
            ErrorCode::KafkaStorageError
        }
        LogError::Closed | LogError::Moved => ErrorCode::NotLeaderOrFollower,
        LogError::Batch(_) | LogError::Corrupt { .. } => ErrorCode::CorruptMessage,
        LogError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        LogError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        LogError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
        LogError::OutsideTransaction => ErrorCode::InvalidTxnState,
        LogError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}
