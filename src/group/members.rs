//! The groups whose members are served by this shard: requests in, answers out when the state machine
//! gives them, its records to the log, and its clock.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use corelane_shards::runtime::{sleep, spawn_guarded, Gate, Signal};

use super::classic::{
    protocol_bytes, Answer, Group, GroupLimits, GroupView, Join, Joined, NotJoined, Sync, Synced,
    Token, Write, MEMBER_BYTES,
};
use super::expiry::{Expiry, Reads};
use super::record::{encode_group, encode_group_key, GroupRecord};
use super::served::ServedGroups;
use super::Coordinators;
use crate::clock::now_ms;
use crate::partition::keyed_log::KeyedRecord;
use crate::wire::ErrorCode;

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(50);

type JoinAnswer = Box<dyn FnOnce(Result<Joined, NotJoined>)>;
type SyncAnswer = Box<dyn FnOnce(Result<Synced, ErrorCode>)>;

enum Waiting {
    Join(JoinAnswer),
    Sync(SyncAnswer),
}

/// See the module's head. Lives on its shard.
pub struct Members {
    limits: GroupLimits,
    /// Bytes that all groups may take.
    most_bytes: usize,
    coordinators: Rc<Coordinators>,
    /// Of the shard's tasks.
    gate: Gate,
    groups: RefCell<ServedGroups>,
    waiting: RefCell<HashMap<Token, Waiting>>,
    next: Cell<Token>,
    /// Something is to be looked at.
    changed: Signal,
    stopped: Cell<bool>,
}

impl Members {
    /// `most_bytes`: what all groups may take together.
    pub fn new(
        limits: GroupLimits,
        most_bytes: usize,
        coordinators: Rc<Coordinators>,
        gate: Gate,
    ) -> Rc<Members> {
        Rc::new(Members {
            limits,
            most_bytes,
            coordinators,
            gate,
            groups: RefCell::default(),
            waiting: RefCell::default(),
            next: Cell::new(0),
            changed: Signal::default(),
            stopped: Cell::new(false),
        })
    }

    /// Takes the groups of a partition of the offsets topic as its log has them.
    pub fn load(&self, partition: i32, saved: BTreeMap<String, GroupRecord>) {
        let now = now_ms();
        for (name, record) in saved {
            let group = Group::restore(self.limits, now, record);
            self.groups.borrow_mut().insert(&name, partition, group, now);
        }
        self.changed.notify();
    }

    /// Lets the groups of a partition go: it is not ours any more.
    pub fn unload(&self, partition: i32) {
        let names = self.groups.borrow().of_partition(partition);
        for name in names {
            let gone = self.groups.borrow_mut().remove(&name);
            let answers = gone.map(|mut group| {
                group.close();
                group.take_answers()
            });
            self.tell(answers.unwrap_or_default());
        }
    }

    fn token(&self) -> Token {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Joins a member to a group, which is made if it is new; `answer` may be called much later.
    pub fn join(self: &Rc<Self>, partition: i32, group: &str, mut join: Join, answer: JoinAnswer) {
        let new = !self.groups.borrow().contains(group);
        let refused = match () {
            () if self.stopped.get() => Some(ErrorCode::NotCoordinator),
            () if new && !join.member_id.is_empty() => Some(ErrorCode::UnknownMemberId),
            () if !self.has_room_for(group, &join) => Some(ErrorCode::CoordinatorNotAvailable),
            () => None,
        };
        if let Some(code) = refused {
            return answer(Err(NotJoined { code, member_id: join.member_id }));
        }
        join.token = self.token();
        self.waiting.borrow_mut().insert(join.token, Waiting::Join(answer));
        if new {
            let made = Group::new(self.limits);
            self.groups.borrow_mut().insert(group, partition, made, now_ms());
        }
        // One that is refused leaves no group behind.
        self.on(group, |state| state.join(now_ms(), join));
        self.look_soon(group);
    }

    /// Whether what a member brings fits into what all groups may take. Members come again in every
    /// rebalance, with what they have.
    fn has_room_for(&self, group: &str, join: &Join) -> bool {
        let groups = self.groups.borrow();
        let had = groups.get(group).and_then(|group| group.brought_by(&join.member_id));
        let brings = protocol_bytes(&join.protocols);
        // What no group takes is for the group to refuse.
        let never = brings > MEMBER_BYTES;
        never || had.is_some_and(|had| brings <= had) || groups.bytes() + brings <= self.most_bytes
    }

    pub fn sync(self: &Rc<Self>, group: &str, mut sync: Sync, answer: SyncAnswer) {
        if self.stopped.get() {
            return answer(Err(ErrorCode::NotCoordinator));
        }
        let brings: usize = sync.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
        if brings > 0 && self.groups.borrow().bytes() + brings > self.most_bytes {
            return answer(Err(ErrorCode::CoordinatorNotAvailable));
        }
        let token = self.token();
        sync.token = token;
        self.waiting.borrow_mut().insert(token, Waiting::Sync(answer));
        let done = self.on(group, |state| state.sync(now_ms(), sync));
        if done.is_none() {
            self.tell(vec![Answer::Synced(token, Err(ErrorCode::UnknownMemberId))]);
        }
        self.look_soon(group);
    }

    /// # Errors
    /// Kafka's code.
    pub fn heartbeat(
        self: &Rc<Self>,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let heard = self.on(group, |g| g.heartbeat(now_ms(), member, instance, generation));
        heard.unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    /// # Errors
    /// Kafka's code.
    pub fn leave(
        self: &Rc<Self>,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let left = self.on(group, |state| state.leave(now_ms(), member, instance));
        self.look_soon(group);
        left.unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    /// Whether there is a group, of which members are or were.
    pub fn contains(&self, group: &str) -> bool {
        self.groups.borrow().contains(group)
    }

    /// Whether somebody is in a group.
    pub fn has_members(&self, group: &str) -> bool {
        self.groups.borrow().get(group).is_some_and(|group| !group.is_empty())
    }

    /// What the members of a group read.
    ///
    /// # Errors
    /// Its members are no consumers: that is not known.
    pub fn reads(&self, group: &str) -> Result<Reads, ErrorCode> {
        match self.groups.borrow().get(group) {
            Some(group) if group.has_members() && !group.is_of_consumers() => {
                Err(ErrorCode::NonEmptyGroup)
            }
            Some(group) => Ok(group.reads()),
            None => Ok(Reads::These(BTreeSet::new())),
        }
    }

    /// When a group's offsets are forgotten.
    pub fn expiry(&self, group: &str) -> Expiry {
        let groups = self.groups.borrow();
        groups.get(group).map_or_else(Expiry::of_offsets_only, Group::expiry)
    }

    /// Groups of a partition of the offsets topic.
    pub fn of_partition(&self, partition: i32) -> Vec<String> {
        self.groups.borrow().of_partition(partition)
    }

    /// A group as it is shown.
    pub fn view(&self, group: &str) -> Option<GroupView> {
        self.groups.borrow().get(group).map(|state| state.view(group))
    }

    /// All groups.
    pub fn views(&self) -> Vec<GroupView> {
        self.groups.borrow().iter().map(|(name, group)| group.view(name)).collect()
    }

    /// A group as the consumer protocol can go on with it.
    pub fn to_give_over(&self, group: &str) -> Option<GroupRecord> {
        self.groups.borrow().get(group).and_then(Group::to_give_over)
    }

    /// A group was given over; what makes the log forget it as a classic one.
    pub fn give_over(&self, group: &str) -> KeyedRecord {
        let gone = self.groups.borrow_mut().remove(group);
        let answers = gone.map(|mut gone| {
            gone.give_over();
            gone.take_answers()
        });
        self.tell(answers.unwrap_or_default());
        (encode_group_key(group), None)
    }

    /// Takes a group that was of the consumer protocol; what makes the log know it.
    pub fn take_back(&self, partition: i32, group: &str, record: GroupRecord) -> KeyedRecord {
        let written = (encode_group_key(group), Some(encode_group(&record)));
        let taken = Group::take_back(self.limits, now_ms(), record);
        self.groups.borrow_mut().insert(group, partition, taken, now_ms());
        self.look_soon(group);
        written
    }

    /// Whether a session timeout is allowed.
    ///
    /// # Errors
    /// It is not.
    pub fn check_session(&self, timeout_ms: i32) -> Result<(), ErrorCode> {
        let limits = &self.limits;
        match (limits.min_session_timeout_ms..=limits.max_session_timeout_ms).contains(&timeout_ms)
        {
            true => Ok(()),
            false => Err(ErrorCode::InvalidSessionTimeout),
        }
    }

    /// Most members of a group.
    pub fn max_size(&self) -> usize {
        self.limits.max_size
    }

    /// Forgets a group that nobody is in; what makes the log forget it.
    pub fn forget(&self, group: &str) -> Option<KeyedRecord> {
        if self.has_members(group) {
            return None;
        }
        self.groups.borrow_mut().remove(group)?;
        Some((encode_group_key(group), None))
    }

    /// Whether offsets may be committed for a group by this member, or by nobody.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_commit(
        self: &Rc<Self>,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        match self.on(group, |g| g.may_commit(now_ms(), member, instance, generation)) {
            Some(done) => done,
            None if generation < 0 => Ok(()),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// Does something to a group that is there, and tells whom it concerns.
    fn on<T>(self: &Rc<Self>, group: &str, work: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let done = self.groups.borrow_mut().on(group, work)?;
        self.tell(done.answers);
        for write in done.writes {
            self.write(done.partition, group, done.incarnation, write);
        }
        Some(done.done)
    }

    /// Appends a group's record, now; the group is told what came of it.
    fn write(self: &Rc<Self>, partition: i32, group: &str, incarnation: u64, write: Write) {
        let record = (encode_group_key(group), Some(encode_group(&write.record)));
        let appended = self.coordinators.append(partition, &[record], now_ms());
        let (members, group) = (Rc::clone(self), group.to_string());
        spawn_guarded(&self.gate, "store a group", async move {
            let done = match appended {
                Ok(safe) => safe.await,
                Err(code) => Err(code),
            };
            if let Err(code) = done {
                tracing::warn!(group, "what is known of the group was not written: {code:?}");
            }
            if members.groups.borrow().incarnation(&group) == Some(incarnation) {
                members.on(&group, |state| state.written(now_ms(), write.number, done));
                members.look_soon(&group);
            }
        });
    }

    /// Something has happened to a group that may move what is due.
    fn look_soon(&self, group: &str) {
        self.groups.borrow_mut().look_at(group, Some(now_ms()));
        self.changed.notify();
    }

    fn tell(&self, answers: Vec<Answer>) {
        for answer in answers {
            let (token, answer) = match answer {
                Answer::Joined(token, joined) => (token, Ok(joined)),
                Answer::Synced(token, synced) => (token, Err(synced)),
            };
            let waiting = self.waiting.borrow_mut().remove(&token);
            match (waiting, answer) {
                (Some(Waiting::Join(tell)), Ok(joined)) => tell(joined),
                (Some(Waiting::Sync(tell)), Err(synced)) => tell(synced),
                _ => {}
            }
        }
    }

    /// Runs the groups' clocks, for ever.
    pub async fn run(self: &Rc<Self>) {
        loop {
            self.changed.until(|| self.groups.borrow().is_any_due()).await;
            sleep(TICK).await;
            let now = now_ms();
            loop {
                let due = self.groups.borrow().next_due(now);
                let Some(name) = due else { break };
                let next = self.on(&name, |group| {
                    if group.due_ms().is_some_and(|due| due <= now) {
                        group.tick(now);
                    }
                    group.due_ms()
                });
                // What is due at once again has its turn in the next round.
                let next = next.flatten().map(|due| due.max(now + 1));
                self.groups.borrow_mut().look_at(&name, next);
            }
        }
    }

    /// Answers everybody who waits: the broker stops, and members look for their coordinator again.
    pub fn stop(&self) {
        self.stopped.set(true);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waiting in waiting.into_values() {
            match waiting {
                Waiting::Join(tell) => {
                    let code = ErrorCode::NotCoordinator;
                    tell(Err(NotJoined { code, member_id: String::new() }));
                }
                Waiting::Sync(tell) => tell(Err(ErrorCode::NotCoordinator)),
            }
        }
    }
}
