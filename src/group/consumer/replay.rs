//! What records come to: all changes of what outlives a restart go through here, when they are written
//! and when they are read again.

use std::collections::btree_map::Entry;

use super::reconcile::places;
use super::{Current, Group, Key, Member, Record, Value};

impl Group {
    /// Writes a record, and does what it says.
    pub(super) fn write(&mut self, key: Key, value: Option<Value>) {
        self.apply(key.clone(), value.clone());
        self.records.push(Record { key, value });
    }

    /// Does what a record says. Compaction keeps the last of each key, so those about one member come
    /// in any order.
    pub fn apply(&mut self, key: Key, value: Option<Value>) {
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
            (Key::Member(id), None) => self.forget(&id),
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
