//! A share group (KIP-932) as a pure state machine: heartbeats, the time and what is known of topics come
//! in, answers and records for the log go out. Members may read the same partition, so nobody has to
//! wait until another gives one up. All that outlives a restart changes by records (`replay`).
//!
//! `heartbeat` is what members say, `assignor` what each gets, `record` Kafka's formats.

mod assignor;
mod heartbeat;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::heartbeat::check;
pub use self::record::{decode_key, decode_value, encode, Key, Record, Value};
use super::consumer::{Assignment, ConsumerGroupView, ConsumerView};
pub use crate::config::ShareLimits;
use crate::wire::Uuid;

/// Kafka's name of the only assignor.
pub const ASSIGNOR: &str = "simple";

/// What is written of a member whenever it says something new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
}

/// What a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    pub epoch: i32,
    /// The answer that said `epoch` may have been lost.
    pub previous_epoch: i32,
    pub assigned: Assignment,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Member {
    metadata: Metadata,
    current: Current,
}

/// A group as its log has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    epoch: i32,
    target_epoch: i32,
    members: BTreeMap<String, Member>,
    targets: BTreeMap<String, Assignment>,
    is_there: bool,
}

/// See the module's head.
#[derive(Debug)]
pub struct ShareGroup {
    limits: ShareLimits,
    saved: Saved,
    /// Topics that members read and that exist, with their partitions, as of the change `seen_image` of
    /// the metadata; `None` after a restart.
    topics: BTreeMap<String, (Uuid, i32)>,
    seen_image: Option<u64>,
    /// When a member is out, unless it says something before.
    deadlines: BTreeMap<String, i64>,
    /// Records to write, in order.
    records: Vec<Record>,
}

impl ShareGroup {
    /// Other limits hold from now on; deadlines follow at the next heartbeat.
    pub fn set_limits(&mut self, limits: ShareLimits) {
        self.limits = limits;
    }

    pub fn new(limits: ShareLimits) -> ShareGroup {
        ShareGroup {
            limits,
            saved: Saved::default(),
            topics: BTreeMap::new(),
            seen_image: None,
            deadlines: BTreeMap::new(),
            records: Vec::new(),
        }
    }

    /// As its log has it: its members have all their time again.
    pub fn restore(limits: ShareLimits, now_ms: i64, saved: Saved) -> ShareGroup {
        let mut group = ShareGroup { saved, ..ShareGroup::new(limits) };
        let ids: Vec<String> = group.saved.members.keys().cloned().collect();
        ids.iter().for_each(|id| group.hear(now_ms, id));
        group
    }

    /// Records since they were taken last; they have to be durable before an answer tells of them.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.saved.members.is_empty()
    }

    /// Whether a member reads a topic.
    pub fn is_read(&self, topic: &str) -> bool {
        self.saved.members.values().any(|member| member.metadata.topics.contains(topic))
    }

    /// Kafka's name of the state.
    pub fn state(&self) -> &'static str {
        match self.is_empty() {
            true => "Empty",
            false => "Stable",
        }
    }

    pub fn view(&self) -> ConsumerGroupView {
        let members =
            self.saved.members.iter().map(|(id, Member { metadata, current })| ConsumerView {
                id: id.clone(),
                instance_id: None,
                rack_id: metadata.rack_id.clone(),
                epoch: current.epoch,
                client_id: metadata.client_id.clone(),
                client_host: metadata.client_host.clone(),
                topics: metadata.topics.iter().cloned().collect(),
                regex: None,
                assigned: current.assigned.clone(),
                target: self.saved.targets.get(id).cloned().unwrap_or_default(),
                classic: false,
            });
        ConsumerGroupView {
            state: self.state(),
            epoch: self.saved.epoch,
            target_epoch: self.saved.target_epoch,
            assignor: ASSIGNOR,
            members: members.collect(),
        }
    }

    /// About as many bytes as it takes.
    pub fn bytes(&self) -> usize {
        let of_member = |(id, member): (&String, &Member)| {
            let topics = member.metadata.topics.iter().map(|name| name.len() + 32).sum::<usize>();
            let of = |assignment: &Assignment| -> usize {
                assignment.values().map(|partitions| 48 + 8 * partitions.len()).sum()
            };
            256 + 2 * id.len() + topics + 2 * of(&member.current.assigned)
        };
        256 + self.saved.members.iter().map(of_member).sum::<usize>()
    }

    /// Takes out the members whose time is over.
    pub fn tick(&mut self, now_ms: i64) {
        let over = self.deadlines.iter().filter(|(_, deadline_ms)| **deadline_ms <= now_ms);
        let over: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        over.iter().for_each(|id| self.remove(id));
    }

    /// When [`ShareGroup::tick`] has something to do next; `None` as long as nobody is there.
    pub fn due_ms(&self) -> Option<i64> {
        self.deadlines.values().copied().min()
    }

    fn hear(&mut self, now_ms: i64, id: &str) {
        let deadline_ms = now_ms + i64::from(self.limits.session_timeout_ms);
        self.deadlines.insert(id.to_string(), deadline_ms);
    }

    /// The records that end a group in which nobody is.
    pub fn end(&self) -> Vec<Record> {
        [Key::TargetEpoch, Key::Group].map(|key| Record { key, value: None }).to_vec()
    }

    /// Writes a record, and does what it says.
    fn write(&mut self, key: Key, value: Option<Value>) {
        self.saved.apply(key.clone(), value.clone());
        self.records.push(Record { key, value });
    }
}

impl Saved {
    /// Does what a record says. Compaction keeps the last of each key, so those about one member come in
    /// any order.
    pub fn apply(&mut self, key: Key, value: Option<Value>) {
        match (key, value) {
            (Key::Group, Some(Value::Epoch(epoch))) => {
                (self.epoch, self.is_there) = (epoch, true);
            }
            (Key::Group, None) => self.is_there = false,
            (Key::TargetEpoch, Some(Value::Epoch(epoch))) => self.target_epoch = epoch,
            (Key::TargetEpoch, None) => self.target_epoch = 0,
            (Key::Member(id), Some(Value::Member(metadata))) => {
                self.members.entry(id).or_default().metadata = metadata;
            }
            (Key::Member(id), None) => drop(self.members.remove(&id)),
            (Key::Target(id), Some(Value::Assignment(target))) => {
                self.targets.insert(id, target);
            }
            (Key::Target(id), None) => drop(self.targets.remove(&id)),
            (Key::Current(id), Some(Value::Current(current))) => {
                self.members.entry(id).or_default().current = current;
            }
            (Key::Current(id), None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.current = Current::default();
                }
            }
            // A value of another key's kind: the decoder makes none.
            (_, Some(_)) => {}
        }
    }

    /// Whether its log has ended it.
    pub fn is_gone(&self) -> bool {
        !self.is_there && self.members.is_empty()
    }
}
