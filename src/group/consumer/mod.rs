//! A group of the consumer protocol (KIP-848) as a pure state machine: heartbeats, the time and what is
//! known of topics come in, answers and records for the log go out. All that outlives a restart changes
//! by records (`replay`), so the state is always what its records come to.
//!
//! `heartbeat` is what members say, `admission` who may say it, `subscription` which topics that is
//! about, `target` what each is to have (`assignors`), `reconcile` how it gets there without a partition
//! that has two owners, `classic` what members of the classic protocol say among them (`embedded` in
//! which bytes), `migration` how a group changes its protocol, `timing` those that say nothing any more, `record` Kafka's formats.

mod admission;
mod assignors;
mod classic;
mod embedded;
mod heartbeat;
mod migration;
mod reconcile;
mod record;
mod replay;
mod subscription;
mod target;
mod timing;
mod view;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;

pub use self::admission::check;
pub use self::record::{
    decode_key, decode_value, encode, put_assignment, read_assignment, read_names, Key, Record,
    Value,
};
pub use self::replay::Saved;
pub use self::subscription::{check_pattern, resolve, Resolved};
pub use crate::config::ConsumerLimits;
pub use crate::partition::consumer_group::{
    Assignment, Beat, ConsumerGroupView, ConsumerView, Heard, Refused,
};
use crate::wire::Uuid;

/// With this epoch a member joins.
pub const JOINS: i32 = 0;
/// With this epoch a member leaves.
pub const LEAVES: i32 = -1;
/// With this epoch a static member leaves and will be back.
pub const LEAVES_FOR_NOW: i32 = -2;

/// Bytes of a member with its names and its places in maps, about.
const MEMBER_BYTES: usize = 1_024;

/// What is written of a member whenever it says something new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    pub regex: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<String>,
    /// Of a member that speaks the classic protocol.
    pub classic: Option<Classic>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classic {
    pub session_timeout_ms: i32,
    /// Preferred first, each with what the member said of itself.
    pub protocols: Vec<(String, Bytes)>,
}

/// How far a member has followed; Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Following {
    /// It has what it is to have.
    #[default]
    Stable = 0,
    /// It has to give something up first.
    Unrevoked = 1,
    /// Others have to give up what it will get.
    Unreleased = 2,
}

/// What a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    pub epoch: i32,
    /// The answer that said `epoch` may have been lost.
    pub previous_epoch: i32,
    pub following: Following,
    pub assigned: Assignment,
    /// It was told to give them up, and has not said that it did.
    pub revoking: Assignment,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Member {
    metadata: Metadata,
    current: Current,
}

/// When a member is out, unless it says something before. Not written: it begins anew after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deadlines {
    session_ms: i64,
    /// It has to give something up; or, of a classic one, to join again or to ask for its assignment.
    act_ms: Option<i64>,
}

/// A topic that somebody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    pub id: Uuid,
    pub partitions: i32,
}

/// Topics that a pattern stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    pub topics: BTreeSet<String>,
    /// Of the metadata it was matched against.
    pub version: i64,
    pub at_ms: i64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Group {
    limits: Rc<ConsumerLimits>,
    epoch: i32,
    /// The group's epoch when targets were found last.
    target_epoch: i32,
    members: BTreeMap<String, Member>,
    /// Members by instance id.
    instances: BTreeMap<String, String>,
    targets: BTreeMap<String, Assignment>,
    /// Topics that are read and exist, by name.
    topics: BTreeMap<String, Topic>,
    patterns: BTreeMap<String, Matched>,
    /// Who has each partition, or has not said yet that it gave it up.
    owners: BTreeMap<(Uuid, i32), String>,
    deadlines: BTreeMap<String, Deadlines>,
    /// The change of the metadata that `topics` was made of; `None` after a restart.
    seen_image: Option<u64>,
    /// The same for `patterns`, and when that was.
    matched_image: Option<u64>,
    matched_ms: i64,
    /// Records to write, in order.
    records: Vec<Record>,
    /// Bytes that all this takes, about.
    bytes: usize,
}

impl Group {
    /// Other limits hold from now on; deadlines follow at the next heartbeat.
    pub fn set_limits(&mut self, limits: Rc<ConsumerLimits>) {
        self.limits = limits;
    }

    pub fn new(limits: Rc<ConsumerLimits>) -> Group {
        Group {
            limits,
            epoch: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            targets: BTreeMap::new(),
            topics: BTreeMap::new(),
            patterns: BTreeMap::new(),
            owners: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            seen_image: None,
            matched_image: None,
            matched_ms: i64::MIN,
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Records since they were taken last; they have to be durable before an answer tells of them.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        self.bytes + self.members.len() * MEMBER_BYTES
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
