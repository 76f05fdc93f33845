use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use corelane_shards::log::Log;
use rustc_hash::FxBuildHasher;

use super::{InTransaction, PartitionKey};
use crate::wire::ErrorCode;

/// A partition this shard leads.
pub struct Partition {
    pub log: Rc<Log>,
    pub leader_epoch: Cell<i32>,
    pub verified: Verified,
}

/// Producers that may begin a transaction in a partition: their coordinator is asked, and their
/// transaction has not ended since (KIP-890). Without this a batch that comes late would begin one that
/// nobody ends.
#[derive(Default)]
pub struct Verified(RefCell<HashMap<i64, Asked>>);

struct Asked {
    epoch: i16,
    /// Each end gives the producer a new epoch.
    bumps: bool,
}

impl Verified {
    /// The coordinator is about to be asked.
    pub fn ask(&self, transaction: &InTransaction) {
        let InTransaction { producer_id, producer_epoch: epoch, adds_partitions: bumps, .. } =
            *transaction;
        self.0.borrow_mut().insert(producer_id, Asked { epoch, bumps });
    }

    /// Whether the producer may begin a transaction: once.
    pub fn take(&self, producer_id: i64, epoch: i16) -> bool {
        let mut asked = self.0.borrow_mut();
        let is_there = asked.get(&producer_id).is_some_and(|asked| asked.epoch == epoch);
        is_there && asked.remove(&producer_id).is_some()
    }

    /// A marker comes. With the producer's own epoch it ends the transaction before, where an end gives
    /// a new epoch, and else the one that was asked about.
    pub fn end(&self, producer_id: i64, epoch: i16) {
        let mut asked = self.0.borrow_mut();
        let is_ended = |asked: &Asked| epoch > asked.epoch || epoch == asked.epoch && !asked.bumps;
        if asked.get(&producer_id).is_some_and(is_ended) {
            asked.remove(&producer_id);
        }
    }
}

impl Partition {
    pub fn new(log: Rc<Log>, leader_epoch: i32) -> Self {
        Partition { log, leader_epoch: Cell::new(leader_epoch), verified: Verified::default() }
    }

    /// Whether a producer's transaction may go on here, or begin now.
    pub fn may_be_in_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        self.log.is_in_transaction(producer_id, epoch) || self.verified.take(producer_id, epoch)
    }

    /// Compares the leader epoch that a client believes in with ours (KIP-320). −1: it believes in none.
    pub fn check_epoch(&self, claimed: i32) -> Result<(), ErrorCode> {
        let ours = self.leader_epoch.get();
        match claimed {
            -1 => Ok(()),
            claimed if claimed < ours => Err(ErrorCode::FencedLeaderEpoch),
            claimed if claimed > ours => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }
}

/// The partitions of one shard. Looked up, never held across an await.
#[derive(Default)]
pub struct PartitionTable {
    /// Ours, but their log directory is not there or they could not be opened.
    offline: RefCell<HashSet<PartitionKey, FxBuildHasher>>,
    map: RefCell<HashMap<PartitionKey, Rc<Partition>, FxBuildHasher>>,
}

impl PartitionTable {
    pub fn get(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        self.map.borrow().get(key).cloned()
    }

    /// A partition that is asked for by a client.
    ///
    /// # Errors
    /// It cannot be served from its disk, or another shard leads it.
    pub fn find(&self, key: &PartitionKey) -> Result<Rc<Partition>, ErrorCode> {
        self.get(key).ok_or_else(|| match self.offline.borrow().contains(key) {
            true => ErrorCode::KafkaStorageError,
            false => ErrorCode::NotLeaderOrFollower,
        })
    }

    /// Notes a partition that cannot be served.
    pub fn set_offline(&self, key: PartitionKey) {
        self.offline.borrow_mut().insert(key);
    }

    /// Forgets those that were deleted.
    pub fn keep_offline(&self, wanted: impl Fn(&PartitionKey) -> bool) {
        self.offline.borrow_mut().retain(wanted);
    }

    pub fn insert(&self, key: PartitionKey, partition: Rc<Partition>) {
        self.map.borrow_mut().insert(key, partition);
    }

    pub fn remove(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        self.map.borrow_mut().remove(key)
    }

    pub fn contains(&self, key: &PartitionKey) -> bool {
        self.map.borrow().contains_key(key)
    }

    /// All keys, in no order.
    pub fn keys(&self) -> Vec<PartitionKey> {
        self.map.borrow().keys().copied().collect()
    }

    /// Takes all partitions out, at shutdown.
    pub fn drain(&self) -> Vec<Rc<Partition>> {
        self.map.borrow_mut().drain().map(|(_, partition)| partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_taken_back_by_the_marker_of_that_transaction_alone() {
        // Whether ends give new epochs, the marker's epoch for a producer of epoch 5, what is left.
        let cases = [
            (false, 4, true),
            (false, 5, false),
            (false, 7, false),
            (true, 5, true),
            (true, 6, false),
        ];
        for (adds_partitions, marker, left) in cases {
            let verified = Verified::default();
            verified.ask(&InTransaction {
                id: String::new(),
                producer_id: 1,
                producer_epoch: 5,
                adds_partitions,
                knows_abortable: true,
                refused: None,
            });
            verified.end(2, marker);
            verified.end(1, marker);
            assert!(!verified.take(1, 4));
            assert_eq!(verified.take(1, 5), left, "{adds_partitions} {marker}");
            assert!(!verified.take(1, 5), "once");
        }
    }
}
