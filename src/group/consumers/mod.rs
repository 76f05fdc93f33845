//! The groups of the consumer protocol (KIP-848) that this shard serves: heartbeats in, records to the
//! log, answers when those are durable, and the groups' clock. `classic` is about members and groups of
//! the classic protocol.

mod classic;
mod limits;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use corelane_shards::runtime::{sleep, spawn_blocking, spawn_guarded, Gate, Signal};

use super::consumer::{
    check, encode, resolve, Beat, ConsumerGroupView, ConsumerLimits, Group, Heard, Record, Refused,
    Resolved, Saved, JOINS,
};
use super::expiry::{Expiry, Reads};
use super::{Coordinators, Members};
use crate::clock::now_ms;
use crate::metadata::MetadataImage;
use crate::partition::keyed_log::KeyedRecord;
use crate::wire::ErrorCode;

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(50);

struct Served {
    /// Its partition of the offsets topic.
    partition: i32,
    /// Tells it from others that had its name before.
    incarnation: u64,
    group: Group,
    due_ms: Option<i64>,
    /// Appends, and those among them that are durable.
    appended: u64,
    safe: u64,
    /// Patterns are being matched.
    resolving: bool,
    /// What is to be written before anything else of it.
    first: Vec<KeyedRecord>,
}

/// See the module's head. Lives on its shard.
pub struct Consumers {
    limits: Rc<ConsumerLimits>,
    /// Of groups that have their own.
    own_limits: RefCell<BTreeMap<String, Rc<ConsumerLimits>>>,
    /// Bytes that all groups may take.
    most_bytes: usize,
    coordinators: Rc<Coordinators>,
    /// The groups of the classic protocol.
    members: Rc<Members>,
    /// Of the shard's tasks.
    gate: Gate,
    groups: RefCell<BTreeMap<String, Served>>,
    /// Bytes that all groups take.
    bytes: Cell<usize>,
    due: RefCell<BTreeSet<(i64, String)>>,
    incarnations: Cell<u64>,
    /// Something is to be looked at.
    changed: Signal,
    /// An append is durable, or never will be.
    stored: Signal,
}

/// An append under way.
struct Append {
    group: String,
    incarnation: u64,
    number: u64,
    records: Vec<KeyedRecord>,
    partition: i32,
}

impl Consumers {
    /// `most_bytes`: what all groups may take together.
    pub fn new(
        limits: ConsumerLimits,
        most_bytes: usize,
        coordinators: Rc<Coordinators>,
        members: Rc<Members>,
        gate: Gate,
    ) -> Rc<Consumers> {
        Rc::new(Consumers {
            limits: Rc::new(limits),
            own_limits: RefCell::default(),
            most_bytes,
            coordinators,
            members,
            gate,
            groups: RefCell::default(),
            bytes: Cell::new(0),
            due: RefCell::default(),
            incarnations: Cell::new(0),
            changed: Signal::default(),
            stored: Signal::default(),
        })
    }

    /// Takes the groups of a partition of the offsets topic as its log has them.
    pub fn load(&self, partition: i32, saved: BTreeMap<String, Saved>) {
        for (name, saved) in saved {
            if !saved.is_empty() {
                let group = Group::restore(self.limits_of(&name), now_ms(), saved);
                self.insert(&name, partition, group);
            }
        }
    }

    /// Lets the groups of a partition go: it is not ours any more.
    pub fn unload(&self, partition: i32) {
        self.groups.borrow_mut().retain(|_, served| {
            let stays = served.partition != partition;
            if !stays {
                self.bytes.set(self.bytes.get() - served.group.bytes());
            }
            stays
        });
        self.stored.notify();
    }

    fn insert(&self, name: &str, partition: i32, group: Group) {
        self.incarnations.set(self.incarnations.get() + 1);
        self.bytes.set(self.bytes.get() + group.bytes());
        let served = Served {
            partition,
            incarnation: self.incarnations.get(),
            group,
            due_ms: None,
            appended: 0,
            safe: 0,
            resolving: false,
            first: Vec::new(),
        };
        self.groups.borrow_mut().insert(name.to_string(), served);
        self.look_at(name);
    }

    /// A member's heartbeat. `needs_id`: see [`check`].
    ///
    /// # Errors
    /// Kafka's code, and what is wrong.
    pub async fn hear(
        self: &Rc<Self>,
        partition: i32,
        name: &str,
        beat: Beat,
        needs_id: bool,
        image: &Arc<MetadataImage>,
    ) -> Result<Heard, Refused> {
        check(name, &beat, needs_id, &self.limits)?;
        let new = !self.groups.borrow().contains_key(name);
        if new && beat.epoch != JOINS && !self.members.contains(name) {
            // Of a group that was deleted: members join again on this.
            return Err(ErrorCode::UnknownMemberId.into());
        }
        if beat.epoch == JOINS && self.bytes.get() > self.most_bytes {
            return Err(ErrorCode::CoordinatorNotAvailable.into());
        }
        let resolved = self.resolve(name, beat.regex.as_ref(), image).await?;
        if !self.groups.borrow().contains_key(name) {
            self.make(partition, name, &beat, image)?;
        }
        let (heard, append) = self
            .on(name, |group| group.heartbeat(now_ms(), beat, image, resolved))
            .ok_or(ErrorCode::NotCoordinator)?;
        if heard.is_err() && new && append.records.is_empty() {
            self.forget(name);
        }
        self.store(append).await?;
        heard
    }

    /// What patterns stand for now, where that is not known: found by the helper thread.
    async fn resolve(
        &self,
        name: &str,
        said: Option<&String>,
        image: &Arc<MetadataImage>,
    ) -> Result<Option<Resolved>, Refused> {
        let patterns = match self.groups.borrow().get(name) {
            Some(served) if served.resolving => Vec::new(),
            Some(served) => served.group.unresolved(now_ms(), said, image)?,
            None => said.filter(|said| !said.is_empty()).cloned().into_iter().collect(),
        };
        if patterns.is_empty() {
            return Ok(None);
        }
        self.set_resolving(name, true);
        let of = Arc::clone(image);
        let resolved = spawn_blocking(move || resolve(patterns, &of)).await;
        self.set_resolving(name, false);
        Ok(Some(resolved))
    }

    fn set_resolving(&self, name: &str, resolving: bool) {
        if let Some(served) = self.groups.borrow_mut().get_mut(name) {
            served.resolving = resolving;
        }
    }

    /// Does something to a group that is there; what is to be appended for it.
    fn on<T>(&self, name: &str, work: impl FnOnce(&mut Group) -> T) -> Option<(T, Append)> {
        let (done, mut append, given_back) = {
            let mut groups = self.groups.borrow_mut();
            let served = groups.get_mut(name)?;
            let before = served.group.bytes();
            let done = work(&mut served.group);
            self.bytes.set(self.bytes.get() + served.group.bytes() - before);
            let mut records = std::mem::take(&mut served.first);
            records.extend(encoded(name, &served.group.take_records()));
            served.appended += u64::from(!records.is_empty());
            let append = Append {
                group: name.to_string(),
                incarnation: served.incarnation,
                number: served.appended,
                records,
                partition: served.partition,
            };
            (done, append, self.to_give_back(&served.group))
        };
        match given_back {
            Some(record) => {
                tracing::info!(group = name, "goes on with the classic protocol");
                append.records.extend(self.end(name));
                append.records.push(self.members.take_back(append.partition, name, record));
            }
            None => self.look_at(name),
        }
        Some((done, append))
    }

    /// Appends now what is to be appended; the future is done when it is durable, and, without any
    /// of its own, when all before it is: an answer must not tell of what a crash could undo.
    fn store(
        self: &Rc<Self>,
        append: Append,
    ) -> impl std::future::Future<Output = Result<(), ErrorCode>> {
        let Append { group, incarnation, number, records, partition } = append;
        let own =
            (!records.is_empty()).then(|| self.coordinators.append(partition, &records, now_ms()));
        let consumers = Rc::clone(self);
        async move {
            let Some(appended) = own else {
                consumers.stored.until(|| consumers.is_safe(&group, incarnation, number)).await;
                return Ok(());
            };
            let done = match appended {
                Ok(safe) => safe.await,
                Err(code) => Err(code),
            };
            if let Err(code) = done {
                tracing::warn!(group, "what is known of the group was not written: {code:?}");
            }
            if let Some(served) = consumers.groups.borrow_mut().get_mut(&group) {
                if served.incarnation == incarnation {
                    served.safe = served.safe.max(number);
                }
            }
            consumers.stored.notify();
            done.map_err(|_| ErrorCode::CoordinatorNotAvailable)
        }
    }

    fn is_safe(&self, group: &str, incarnation: u64, number: u64) -> bool {
        let groups = self.groups.borrow();
        let served = groups.get(group).filter(|served| served.incarnation == incarnation);
        served.is_none_or(|served| served.safe >= number)
    }

    /// Whether there is a group, of which members are or were.
    pub fn contains(&self, name: &str) -> bool {
        self.groups.borrow().contains_key(name)
    }

    /// Whether somebody is in a group.
    pub fn has_members(&self, name: &str) -> bool {
        self.groups.borrow().get(name).is_some_and(|served| !served.group.is_empty())
    }

    /// Topics that somebody in a group reads.
    pub fn reads(&self, name: &str) -> BTreeSet<String> {
        let groups = self.groups.borrow();
        groups.get(name).map(|served| served.group.all_reads()).unwrap_or_default()
    }

    /// When a group's offsets are forgotten; `None`: there is no such group.
    pub fn expiry(&self, name: &str) -> Option<Expiry> {
        let but = || Reads::These(self.reads(name));
        self.contains(name).then(|| Expiry::FromCommit { but: but() })
    }

    /// Groups of a partition of the offsets topic.
    pub fn of_partition(&self, partition: i32) -> Vec<String> {
        let groups = self.groups.borrow();
        let of_it = groups.iter().filter(|(_, served)| served.partition == partition);
        of_it.map(|(name, _)| name.clone()).collect()
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

    /// Whether offsets may be committed by this member, or by nobody; `None`: there is no such group.
    /// `by_epoch`: the request is of a version that has members' epochs.
    pub fn may_commit(
        &self,
        name: &str,
        member: &str,
        epoch: i32,
        by_epoch: bool,
    ) -> Option<Result<(), ErrorCode>> {
        let groups = self.groups.borrow();
        Some(groups.get(name)?.group.may_commit(member, epoch, by_epoch))
    }

    /// Whether a member may ask for offsets, or somebody who is none.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_fetch(&self, name: &str, member: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        match self.groups.borrow().get(name) {
            Some(served) => served.group.may_fetch(member, epoch),
            None => Ok(()),
        }
    }

    /// Forgets a group that nobody is in; what makes the log forget it.
    pub fn forget(&self, name: &str) -> Vec<KeyedRecord> {
        match self.has_members(name) {
            true => Vec::new(),
            false => self.end(name),
        }
    }

    /// Lets a group go; what makes the log forget it.
    fn end(&self, name: &str) -> Vec<KeyedRecord> {
        let gone = self.groups.borrow_mut().remove(name);
        self.stored.notify();
        gone.map_or_else(Vec::new, |served| {
            self.bytes.set(self.bytes.get() - served.group.bytes());
            encoded(name, &served.group.end())
        })
    }

    /// Something has happened to a group that may move what is due. A time that has become too early
    /// is found out when it comes.
    fn look_at(&self, name: &str) {
        let mut groups = self.groups.borrow_mut();
        let Some(served) = groups.get_mut(name) else { return };
        let Some(due_ms) = served.group.due_ms() else { return };
        if served.due_ms.is_some_and(|before| before <= due_ms) {
            return;
        }
        let mut due = self.due.borrow_mut();
        let before = served.due_ms.replace(due_ms);
        before.map(|before| due.remove(&(before, name.to_string())));
        due.insert((due_ms, name.to_string()));
        self.changed.notify();
    }

    /// Runs the groups' clocks, for ever.
    pub async fn run(self: &Rc<Self>) {
        loop {
            self.changed.until(|| !self.due.borrow().is_empty()).await;
            sleep(TICK).await;
            let now = now_ms();
            loop {
                let next = self.due.borrow().first().filter(|(due_ms, _)| *due_ms <= now).cloned();
                let Some(next) = next else { break };
                self.due.borrow_mut().remove(&next);
                let name = next.1;
                if let Some(served) = self.groups.borrow_mut().get_mut(&name) {
                    served.due_ms = None;
                }
                if let Some(((), append)) = self.on(&name, |group| group.tick(now)) {
                    let stored = self.store(append);
                    // What went wrong was logged.
                    spawn_guarded(&self.gate, "store a group", async move {
                        let _ = stored.await;
                    });
                }
            }
        }
    }
}

fn encoded(group: &str, records: &[Record]) -> Vec<KeyedRecord> {
    records.iter().map(|record| encode(group, record)).collect()
}
