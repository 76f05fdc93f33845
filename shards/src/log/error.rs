use super::batch::BatchError;
use crate::disk::DiskError;

/// Why the log refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log failed before and takes nothing more until the broker is restarted.
    #[error("the log is offline since: {0}")]
    Offline(String),
    /// The log goes on by itself once there is space.
    #[error("no space is left on the disk")]
    NoSpace,
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("invalid record batch: {0}")]
    Batch(#[from] BatchError),
    #[error("offset {offset} is outside of {start}..={end}")]
    OffsetOutOfRange { offset: i64, start: i64, end: i64 },
    #[error("{path}: damaged at position {position} (offset {offset}): {reason}")]
    Corrupt { path: String, position: u64, offset: i64, reason: String },
    #[error("sequence number {got} where {expected} was expected")]
    OutOfOrderSequence { expected: i32, got: i32 },
    #[error("producer epoch {got} is fenced by {current}")]
    Fenced { current: i16, got: i16 },
    #[error("the producer has a transaction open and the batch is in none")]
    OutsideTransaction,
    #[error("coordinator epoch {got} is fenced by {current}")]
    CoordinatorFenced { current: i32, got: i32 },
    #[error("the segment was compacted meanwhile")]
    Moved,
    #[error("the log is closed")]
    Closed,
}
