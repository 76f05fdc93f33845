//! The classic groups of a shard by name, with when each is looked at next and what all of them take.

use std::collections::{BTreeSet, HashMap};

use super::classic::{Answer, Group, Write};

/// A group, where it is kept.
pub(super) struct Served {
    /// Of the offsets topic.
    pub partition: i32,
    /// Tells it from others that had its name before.
    pub incarnation: u64,
    pub group: Group,
    due_ms: Option<i64>,
}

/// What came of doing something to a group.
pub(super) struct Done<T> {
    pub done: T,
    pub answers: Vec<Answer>,
    pub writes: Vec<Write>,
    pub partition: i32,
    pub incarnation: u64,
}

/// It is kept twice, and once more with what is due.
fn name_bytes(name: &str) -> usize {
    3 * name.len()
}

/// See the module's head.
#[derive(Default)]
pub(super) struct ServedGroups {
    groups: HashMap<String, Served>,
    due: BTreeSet<(i64, String)>,
    bytes: usize,
    incarnations: u64,
}

impl ServedGroups {
    pub fn contains(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&Group> {
        self.groups.get(name).map(|served| &served.group)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.groups.iter().map(|(name, served)| (name, &served.group))
    }

    pub fn incarnation(&self, name: &str) -> Option<u64> {
        self.groups.get(name).map(|served| served.incarnation)
    }

    /// Names of the groups of a partition of the offsets topic.
    pub fn of_partition(&self, partition: i32) -> Vec<String> {
        let of_it = self.groups.iter().filter(|(_, served)| served.partition == partition);
        of_it.map(|(name, _)| name.clone()).collect()
    }

    /// Bytes that all groups take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn insert(&mut self, name: &str, partition: i32, group: Group, now_ms: i64) {
        self.remove(name);
        self.bytes += group.bytes() + name_bytes(name);
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let served = Served { partition, incarnation, group, due_ms: None };
        self.groups.insert(name.to_string(), served);
        self.look_at(name, Some(now_ms));
    }

    pub fn remove(&mut self, name: &str) -> Option<Group> {
        let (name, served) = self.groups.remove_entry(name)?;
        self.bytes -= served.group.bytes() + name_bytes(&name);
        served.due_ms.map(|due_ms| self.due.remove(&(due_ms, name)));
        Some(served.group)
    }

    /// Does something to a group that is there. One that is nothing then is forgotten.
    pub fn on<T>(&mut self, name: &str, work: impl FnOnce(&mut Group) -> T) -> Option<Done<T>> {
        let served = self.groups.get_mut(name)?;
        let before = served.group.bytes();
        let done = Done {
            done: work(&mut served.group),
            answers: served.group.take_answers(),
            writes: served.group.take_writes(),
            partition: served.partition,
            incarnation: served.incarnation,
        };
        self.bytes = self.bytes + served.group.bytes() - before;
        if served.group.is_nothing() {
            self.remove(name);
        }
        Some(done)
    }

    /// Something may be due for a group: it is looked at then.
    pub fn look_at(&mut self, name: &str, due_ms: Option<i64>) {
        let Some(served) = self.groups.get_mut(name) else { return };
        let before = std::mem::replace(&mut served.due_ms, due_ms);
        before.map(|before| self.due.remove(&(before, name.to_string())));
        due_ms.map(|due_ms| self.due.insert((due_ms, name.to_string())));
    }

    /// Whether any group is to be looked at some time.
    pub fn is_any_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next group that is to be looked at by now.
    pub fn next_due(&self, now_ms: i64) -> Option<String> {
        let (due_ms, name) = self.due.first()?;
        (*due_ms <= now_ms).then(|| name.clone())
    }
}
