//! The share groups (KIP-932) that this shard serves: heartbeats in, records to the log, answers when those
//! are durable, and the groups' clock. What a crash undoes beside that costs a member a new start, no
//! record twice: who may have a record is not decided here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use corelane_shards::runtime::{sleep, Signal};

use super::consumer::{ConsumerGroupView, Heard, Refused, JOINS};
use super::share::{check, encode, Record, Saved, ShareGroup, ShareLimits};
use super::Coordinators;
use crate::clock::now_ms;
use crate::metadata::MetadataImage;
use crate::partition::keyed_log::KeyedRecord;
use crate::partition::share_group::ShareBeat;
use crate::wire::ErrorCode;

/// Time between two looks at whose time is over: sessions are seconds.
const TICK: Duration = Duration::from_millis(500);

struct Served {
    /// Its partition of the offsets topic.
    partition: i32,
    group: ShareGroup,
}

/// See the module's head. Lives on its shard.
pub struct ShareGroups {
    limits: ShareLimits,
    /// Of groups that have their own.
    own_limits: RefCell<BTreeMap<String, ShareLimits>>,
    /// Bytes that all groups may take.
    most_bytes: usize,
    coordinators: Rc<Coordinators>,
    groups: RefCell<BTreeMap<String, Served>>,
    /// Bytes that all groups take.
    bytes: Cell<usize>,
    /// There are members.
    changed: Signal,
}

impl ShareGroups {
    /// `most_bytes`: what all groups may take together.
    pub fn new(
        limits: ShareLimits,
        most_bytes: usize,
        coordinators: Rc<Coordinators>,
    ) -> ShareGroups {
        ShareGroups {
            limits,
            own_limits: RefCell::default(),
            most_bytes,
            coordinators,
            groups: RefCell::default(),
            bytes: Cell::new(0),
            changed: Signal::default(),
        }
    }

    /// What holds for a group.
    fn limits_of(&self, name: &str) -> ShareLimits {
        *self.own_limits.borrow().get(name).unwrap_or(&self.limits)
    }

    /// Groups have other settings of their own from now on: what their next heartbeats are told.
    pub fn set_own_limits(&self, own: BTreeMap<String, ShareLimits>) {
        *self.own_limits.borrow_mut() = own;
        for (name, served) in self.groups.borrow_mut().iter_mut() {
            served.group.set_limits(self.limits_of(name));
        }
    }

    /// Takes the groups of a partition of the offsets topic as its log has them.
    pub fn load(&self, partition: i32, saved: BTreeMap<String, Saved>) {
        for (name, saved) in saved.into_iter().filter(|(_, saved)| !saved.is_gone()) {
            let group = ShareGroup::restore(self.limits_of(&name), now_ms(), saved);
            self.insert(&name, partition, group);
        }
    }

    fn insert(&self, name: &str, partition: i32, group: ShareGroup) {
        self.bytes.set(self.bytes.get() + group.bytes());
        self.groups.borrow_mut().insert(name.to_string(), Served { partition, group });
        self.changed.notify();
    }

    /// Lets the groups of a partition go: it is not ours any more.
    pub fn unload(&self, partition: i32) {
        self.remove_if(|served| served.partition == partition);
    }

    fn remove_if(&self, is_it: impl Fn(&Served) -> bool) {
        self.groups.borrow_mut().retain(|_, served| {
            let goes = is_it(served);
            if goes {
                self.bytes.set(self.bytes.get() - served.group.bytes());
            }
            !goes
        });
    }

    /// A member's heartbeat.
    ///
    /// # Errors
    /// Kafka's code, and what is wrong.
    pub async fn hear(
        &self,
        partition: i32,
        name: &str,
        beat: ShareBeat,
        image: &MetadataImage,
    ) -> Result<Heard, Refused> {
        check(name, &beat)?;
        if !self.contains(name) {
            if beat.epoch != JOINS {
                return Err(ErrorCode::UnknownMemberId.into());
            }
            if self.bytes.get() > self.most_bytes {
                return Err(ErrorCode::CoordinatorNotAvailable.into());
            }
            self.insert(name, partition, ShareGroup::new(self.limits_of(name)));
        }
        let done = self.on(name, |group| group.heartbeat(now_ms(), &beat, image));
        let (heard, records) = done.ok_or(ErrorCode::NotCoordinator)?;
        if !records.is_empty() {
            let stored = self.coordinators.append(partition, &records, now_ms());
            stored?.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        }
        heard
    }

    /// Does something to a group that is there; what is to be appended for it.
    fn on<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut ShareGroup) -> T,
    ) -> Option<(T, Vec<KeyedRecord>)> {
        let mut groups = self.groups.borrow_mut();
        let group = &mut groups.get_mut(name)?.group;
        let before = group.bytes();
        let done = work(group);
        self.bytes.set(self.bytes.get() + group.bytes() - before);
        self.changed.notify();
        Some((done, encoded(name, &group.take_records())))
    }

    /// Whether there is a group, of which members are or were.
    pub fn contains(&self, name: &str) -> bool {
        self.groups.borrow().contains_key(name)
    }

    /// Whether somebody is in a group.
    pub fn has_members(&self, name: &str) -> bool {
        self.groups.borrow().get(name).is_some_and(|served| !served.group.is_empty())
    }

    /// Whether somebody in a group reads a topic.
    pub fn is_read(&self, name: &str, topic: &str) -> bool {
        self.groups.borrow().get(name).is_some_and(|served| served.group.is_read(topic))
    }

    /// A group as it is shown.
    pub fn view(&self, name: &str) -> Option<ConsumerGroupView> {
        self.groups.borrow().get(name).map(|served| served.group.view())
    }

    /// All groups, with Kafka's names of their states.
    pub fn states(&self) -> Vec<(String, &'static str)> {
        let groups = self.groups.borrow();
        groups.iter().map(|(name, served)| (name.clone(), served.group.state())).collect()
    }

    /// Forgets a group that nobody is in; what makes the log forget it.
    pub fn forget(&self, name: &str) -> Vec<KeyedRecord> {
        if self.has_members(name) {
            return Vec::new();
        }
        let gone = self.groups.borrow_mut().remove(name);
        gone.map_or_else(Vec::new, |served| {
            self.bytes.set(self.bytes.get() - served.group.bytes());
            encoded(name, &served.group.end())
        })
    }

    /// Runs the groups' clocks, for ever.
    pub async fn run(&self) {
        let is_due =
            |served: &Served, now: i64| served.group.due_ms().is_some_and(|due| due <= now);
        loop {
            let any = || self.groups.borrow().values().any(|served| !served.group.is_empty());
            self.changed.until(any).await;
            sleep(TICK).await;
            let now = now_ms();
            let due: Vec<(String, i32)> = {
                let groups = self.groups.borrow();
                let due = groups.iter().filter(|(_, served)| is_due(served, now));
                due.map(|(name, served)| (name.clone(), served.partition)).collect()
            };
            for (name, partition) in due {
                let Some(((), records)) = self.on(&name, |group| group.tick(now)) else { continue };
                // Nobody waits for it: what a crash brings back is out again after its time.
                if let Err(code) = self.coordinators.append(partition, &records, now).map(drop) {
                    tracing::warn!(name, "members that are gone stay in the log: {code:?}");
                }
            }
        }
    }
}

fn encoded(group: &str, records: &[Record]) -> Vec<KeyedRecord> {
    records.iter().map(|record| encode(group, record)).collect()
}
