use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use corelane_shards::log::Log;
use rustc_hash::FxBuildHasher;

use super::PartitionKey;
use crate::wire::ErrorCode;

/// A partition this shard leads.
pub struct Partition {
    pub log: Rc<Log>,
    pub leader_epoch: Cell<i32>,
    pub verified: Verified,
}

/// Producers that may begin a transaction in a partition: their coordinator is asked, and no marker
/// has come since (KIP-890). Without this a batch that comes late would begin one that nobody ends.
#[derive(Default)]
pub struct Verified(RefCell<HashSet<i64>>);

impl Verified {
    /// The coordinator is about to be asked.
    pub fn ask(&self, producer_id: i64) {
        self.0.borrow_mut().insert(producer_id);
    }

    /// Whether the producer may begin a transaction: once.
    pub fn take(&self, producer_id: i64) -> bool {
        self.0.borrow_mut().remove(&producer_id)
    }
}

impl Partition {
    pub fn new(log: Rc<Log>, leader_epoch: i32) -> Self {
        Partition { log, leader_epoch: Cell::new(leader_epoch), verified: Verified::default() }
    }

    /// Whether a producer's transaction may go on here, or begin now.
    pub fn may_be_in_transaction(&self, producer_id: i64) -> bool {
        self.log.is_in_transaction(producer_id) || self.verified.take(producer_id)
    }

    /// Compares the leader epoch that a client believes in with ours (KIP-320).
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
