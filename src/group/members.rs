//! The groups whose members are served by this shard: requests in, answers out when the state machine
//! gives them, and its clock.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use corelane_shards::runtime::{sleep, Signal};

use super::classic::{
    Answer, Group, GroupLimits, GroupView, Join, Joined, NotJoined, Sync, Synced, Token,
};
use crate::clock::now_ms;
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
    groups: RefCell<HashMap<String, Group>>,
    waiting: RefCell<HashMap<Token, Waiting>>,
    next: Cell<Token>,
    /// A group has come.
    changed: Signal,
    stopped: Cell<bool>,
}

impl Members {
    pub fn new(limits: GroupLimits) -> Members {
        Members {
            limits,
            groups: RefCell::default(),
            waiting: RefCell::default(),
            next: Cell::new(0),
            changed: Signal::default(),
            stopped: Cell::new(false),
        }
    }

    fn token(&self) -> Token {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Joins a member to a group, which is made if it is new; `answer` may be called much later.
    pub fn join(&self, group: String, mut join: Join, answer: JoinAnswer) {
        let new = !self.groups.borrow().contains_key(&group);
        let refused = match () {
            () if self.stopped.get() => Some(ErrorCode::NotCoordinator),
            () if new && !join.member_id.is_empty() => Some(ErrorCode::UnknownMemberId),
            () => None,
        };
        if let Some(code) = refused {
            return answer(Err(NotJoined { code, member_id: join.member_id }));
        }
        join.token = self.token();
        self.waiting.borrow_mut().insert(join.token, Waiting::Join(answer));
        if new {
            self.groups.borrow_mut().insert(group.clone(), Group::new(self.limits));
        }
        // One that is refused leaves no group behind.
        self.on(&group, |state| state.join(now_ms(), join));
        if new {
            self.changed.notify();
        }
    }

    pub fn sync(&self, group: &str, mut sync: Sync, answer: SyncAnswer) {
        if self.stopped.get() {
            return answer(Err(ErrorCode::NotCoordinator));
        }
        let token = self.token();
        sync.token = token;
        self.waiting.borrow_mut().insert(token, Waiting::Sync(answer));
        let done = self.on(group, |state| state.sync(now_ms(), sync));
        if done.is_none() {
            self.tell(vec![Answer::Synced(token, Err(ErrorCode::UnknownMemberId))]);
        }
    }

    /// # Errors
    /// Kafka's code.
    pub fn heartbeat(
        &self,
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
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let left = self.on(group, |state| state.leave(now_ms(), member, instance));
        left.unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    /// Whether somebody is in a group.
    pub fn has_members(&self, group: &str) -> bool {
        self.groups.borrow().contains_key(group)
    }

    /// A group with members as it is shown.
    pub fn view(&self, group: &str) -> Option<GroupView> {
        self.groups.borrow().get(group).map(|state| state.view(group))
    }

    /// All groups with members.
    pub fn views(&self) -> Vec<GroupView> {
        self.groups.borrow().iter().map(|(name, group)| group.view(name)).collect()
    }

    /// Whether offsets may be committed for a group by this member, or by nobody.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_commit(
        &self,
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
    fn on<T>(&self, group: &str, work: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let (done, answers) = {
            let mut groups = self.groups.borrow_mut();
            let state = groups.get_mut(group)?;
            let done = work(state);
            let answers = state.take_answers();
            if state.is_empty() && state.due_ms().is_none() {
                groups.remove(group);
            }
            (done, answers)
        };
        self.tell(answers);
        Some(done)
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
    pub async fn run(&self) {
        loop {
            self.changed.until(|| !self.groups.borrow().is_empty()).await;
            sleep(TICK).await;
            let now = now_ms();
            let is_due = |group: &Group| group.due_ms().is_some_and(|due| due <= now);
            let due: Vec<String> = {
                let groups = self.groups.borrow();
                let due = groups.iter().filter(|(_, group)| is_due(group));
                due.map(|(name, _)| name.clone()).collect()
            };
            for name in due {
                self.on(&name, |group| group.tick(now));
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
