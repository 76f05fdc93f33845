//! What is asked of the shard that coordinates a transactional id, and what that asks of partitions.

use super::PartitionKey;
use crate::wire::ErrorCode;

/// Something that concerns a transactional id, for the shard that owns its partition of
/// `__transaction_state`.
pub struct OfTransaction<T> {
    pub partition: i32,
    pub id: String,
    pub what: T,
}

/// Partitions that a producer's transaction has to hold, or has to be begun with.
#[derive(Debug, Clone)]
pub struct AddToTransaction {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Ask whether they are in the transaction; without this they are added, by a producer of
    /// transaction version 2 (KIP-890).
    pub verify_only: bool,
    pub partitions: Vec<(String, i32)>,
}

/// A producer: its id, and how often that was taken over; −1 and −1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerIdentity {
    pub id: i64,
    pub epoch: i16,
}

impl ProducerIdentity {
    pub const NONE: ProducerIdentity = ProducerIdentity { id: -1, epoch: -1 };
}

/// What the producer itself asks.
#[derive(Debug, Clone)]
pub enum TransactionCall {
    /// A producer starts, or goes on after an error as the one that it is (KIP-360).
    Init {
        timeout_ms: i32,
        current: Option<ProducerIdentity>,
    },
    /// Partitions, by a client of transaction version `version`.
    Add {
        add: AddToTransaction,
        version: i16,
    },
    End {
        producer: ProducerIdentity,
        commit: bool,
        version: i16,
    },
}

/// Who the producer is from now on ([`ProducerIdentity::NONE`] where that stays as it is).
pub type TransactionAnswer = Result<ProducerIdentity, ErrorCode>;

/// A transactional id as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    pub id: String,
    /// Kafka's name of it.
    pub state: &'static str,
    pub producer: ProducerIdentity,
    pub timeout_ms: i32,
    /// −1: none has begun.
    pub start_ms: i64,
    pub partitions: Vec<(String, i32)>,
}

/// End a producer's transaction in a partition: append its marker (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerOrder {
    pub key: PartitionKey,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub commit: bool,
}

/// Whose transaction batches are part of. They are appended once its coordinator has said that the
/// partitions are in it (KIP-890).
#[derive(Debug, Clone)]
pub struct InTransaction {
    pub id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// The broker adds partitions to the transaction by itself (transaction version 2).
    pub adds_partitions: bool,
    /// The client knows what TRANSACTION_ABORTABLE means.
    pub knows_abortable: bool,
    /// Why the coordinator did not say so.
    pub refused: Option<ErrorCode>,
}

impl InTransaction {
    /// The client's code for batches that are in no transaction; `later`: the one that makes it try
    /// again.
    pub fn refusal(&self, later: ErrorCode) -> ErrorCode {
        match self.refused {
            Some(
                ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator,
            ) => later,
            Some(ErrorCode::ConcurrentTransactions) if !self.adds_partitions => later,
            Some(ErrorCode::ProducerFenced) => ErrorCode::InvalidProducerEpoch,
            Some(ErrorCode::TransactionAbortable) if !self.knows_abortable => {
                ErrorCode::InvalidTxnState
            }
            Some(code) => code,
            None => ErrorCode::InvalidTxnState,
        }
    }
}
