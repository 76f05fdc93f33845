//! What records come to: all changes of what outlives a restart go through here, when they are written
//! and when they are read again.

use std::collections::btree_map::Entry;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::reconcile::places;
use super::{Assignment, ConsumerLimits, Current, Group, Key, Member, Metadata, Record, Value};

/// What the log has of a group: the last record of each key, and where it stood among the others.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    count: u64,
    records: BTreeMap<Key, (u64, Value)>,
}

impl Saved {
    pub fn put(&mut self, Record { key, value }: Record) {
        self.count += 1;
        match value {
            Some(value) => self.records.insert(key, (self.count, value)),
            None => self.records.remove(&key),
        };
    }

    /// Whether there is no such group any more.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// In the order of the log.
    fn into_records(self) -> impl Iterator<Item = (Key, Value)> {
        let mut records: Vec<_> = self.records.into_iter().collect();
        records.sort_unstable_by_key(|(_, (number, _))| *number);
        records.into_iter().map(|(key, (_, value))| (key, value))
    }
}

/// Bytes of an entry of a map or a set, beside what it points to.
const ENTRY_BYTES: usize = 64;

fn bytes_of_assignment(assignment: &Assignment) -> usize {
    // Small numbers lie together in a node.
    assignment.values().map(|partitions| ENTRY_BYTES + 16 * partitions.len()).sum()
}

fn bytes_of_metadata(metadata: &Metadata) -> usize {
    let names = metadata.topics.iter().map(|name| ENTRY_BYTES + name.len());
    let classic = metadata.classic.iter().flat_map(|classic| &classic.protocols);
    let classic = classic.map(|(name, said)| ENTRY_BYTES + name.len() + said.len());
    names.chain(classic).sum()
}

impl Group {
    /// A group as the log has it; its members have all their time again.
    pub fn restore(limits: Rc<ConsumerLimits>, now_ms: i64, saved: Saved) -> Group {
        let mut group = Group::new(limits);
        for (key, value) in saved.into_records() {
            group.apply(key, Some(value));
        }
        group.begin(now_ms);
        group
    }

    /// Writes a record, and does what it says.
    pub(super) fn write(&mut self, key: Key, value: Option<Value>) {
        self.apply(key.clone(), value.clone());
        self.records.push(Record { key, value });
    }

    /// Does what a record says. Compaction keeps the last of each key, so those about one member come
    /// in any order.
    fn apply(&mut self, key: Key, value: Option<Value>) {
        self.bytes -= self.bytes_of(&key);
        let again = key.clone();
        self.apply_uncounted(key, value);
        self.bytes += self.bytes_of(&again);
    }

    /// Bytes that stand behind a key, about.
    fn bytes_of(&self, key: &Key) -> usize {
        match key {
            Key::Group | Key::TargetEpoch => 0,
            Key::Topics => self.topics.keys().map(|name| ENTRY_BYTES + name.len()).sum(),
            Key::Pattern(pattern) => self.patterns.get(pattern).map_or(0, |matched| {
                let names = matched.topics.iter().map(|name| ENTRY_BYTES + name.len());
                pattern.len() + names.sum::<usize>()
            }),
            Key::Member(id) => {
                self.members.get(id).map_or(0, |member| bytes_of_metadata(&member.metadata))
            }
            Key::Target(id) => self.targets.get(id).map_or(0, bytes_of_assignment),
            Key::Current(id) => self.members.get(id).map_or(0, |member| {
                // What is owned has its owner's name beside it.
                let current = &member.current;
                3 * (bytes_of_assignment(&current.assigned)
                    + bytes_of_assignment(&current.revoking))
            }),
        }
    }

    fn apply_uncounted(&mut self, key: Key, value: Option<Value>) {
        match (key, value) {
            (Key::Group, Some(Value::Epoch(epoch))) => self.epoch = epoch,
            (Key::Group, None) => self.epoch = 0,
            (Key::TargetEpoch, Some(Value::Epoch(epoch))) => self.target_epoch = epoch,
            (Key::TargetEpoch, None) => self.target_epoch = 0,
            (Key::Topics, Some(Value::Topics(topics))) => self.topics = topics,
            (Key::Topics, None) => self.topics.clear(),
            (Key::Pattern(pattern), Some(Value::Pattern(matched))) => {
                self.patterns.insert(pattern, matched);
            }
            (Key::Pattern(pattern), None) => {
                self.patterns.remove(&pattern);
            }
            (Key::Target(id), Some(Value::Assignment(target))) => {
                self.targets.insert(id, target);
            }
            (Key::Target(id), None) => {
                self.targets.remove(&id);
            }
            (Key::Member(id), Some(Value::Member(metadata))) => {
                if let Some(instance) = &metadata.instance_id {
                    self.instances.insert(instance.clone(), id.clone());
                }
                self.members.entry(id).or_default().metadata = metadata;
            }
            (Key::Member(id), None) => {
                // What it has is counted under another key.
                self.bytes -= self.bytes_of(&Key::Current(id.clone()));
                self.forget(&id);
            }
            (Key::Current(id), Some(Value::Current(current))) => self.put_current(id, current),
            (Key::Current(id), None) => {
                if self.members.contains_key(&id) {
                    self.put_current(id, Current::default());
                }
            }
            // A value of another key's kind: the decoder makes none.
            (_, Some(_)) => {}
        }
    }

    fn put_current(&mut self, id: String, current: Current) {
        let member = self.members.entry(id.clone()).or_default();
        let before = std::mem::replace(&mut member.current, current);
        for place in places(&before.assigned).chain(places(&before.revoking)) {
            if let Entry::Occupied(owner) = self.owners.entry(place) {
                if *owner.get() == id {
                    owner.remove();
                }
            }
        }
        for place in places(&member.current.assigned).chain(places(&member.current.revoking)) {
            self.owners.insert(place, id.clone());
        }
    }

    fn forget(&mut self, id: &str) {
        self.deadlines.remove(id);
        if !self.members.contains_key(id) {
            return;
        }
        self.put_current(id.to_string(), Current::default());
        let Some(Member { metadata, .. }) = self.members.remove(id) else { return };
        // Another may have come with the same instance id.
        self.instances.retain(|instance, owner| {
            metadata.instance_id.as_ref() != Some(instance) || owner != id
        });
    }

    /// The records that end a group in which nobody is.
    pub fn end(&self) -> Vec<Record> {
        let patterns = self.patterns.keys().map(|pattern| Key::Pattern(pattern.clone()));
        let members = self.members.keys().flat_map(|id| {
            [Key::Current(id.clone()), Key::Target(id.clone()), Key::Member(id.clone())]
        });
        members
            .chain(patterns)
            .chain([Key::TargetEpoch, Key::Topics, Key::Group])
            .map(|key| Record { key, value: None })
            .collect()
    }
}
