//! What share groups have done of the partitions that a shard owns: where it is kept, who waits for
//! records, what of it is durable, and when a member's time is over.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::{Rc, Weak};

use corelane_shards::runtime::Signal;

use super::inflight::InFlight;
use crate::config::ShareLimits;
use crate::partition::fetch::FetchWatch;
use crate::partition::share::{ShareKey, ShareState};
use crate::partition::PartitionKey;
use crate::wire::ErrorCode;

/// Groups times partitions of a shard at most; those that nobody uses give way.
const MOST_SHARED: usize = 100_000;

/// A group's share of a partition: `None` while its state is read.
pub struct Shared {
    pub key: ShareKey,
    number: u64,
    inflight: RefCell<Option<Result<InFlight, ErrorCode>>>,
    waiting: RefCell<Vec<Weak<FetchWatch>>>,
    /// The last version that is durable, and the last that could not be made so.
    written: Cell<u64>,
    failed: Cell<Option<(u64, ErrorCode)>>,
    writing: Cell<bool>,
    /// Requests that have it in hand.
    used: Cell<usize>,
    due_ms: Cell<Option<i64>>,
    /// The state was read, or a write has ended.
    settled: Signal,
}

/// See the module's head. Lives on its shard.
#[derive(Default)]
pub struct Shares {
    by_name: RefCell<HashMap<(String, PartitionKey), Rc<Shared>>>,
    by_number: RefCell<BTreeMap<u64, Rc<Shared>>>,
    due: RefCell<BTreeSet<(i64, u64)>>,
    next: Cell<u64>,
    /// Something is to be looked at some time.
    changed: Signal,
}

/// A share of a partition, where it is kept, and whether its state is to be read by who asked.
pub struct Found {
    pub shared: Rc<Shared>,
    pub new: bool,
}

impl Shares {
    /// A group's share of a partition, which is made if it is new.
    ///
    /// # Errors
    /// There are too many.
    pub fn find(&self, group: &str, key: PartitionKey) -> Result<Found, ErrorCode> {
        let name = (group.to_string(), key);
        if let Some(shared) = self.by_name.borrow().get(&name) {
            return Ok(Found { shared: Rc::clone(shared), new: false });
        }
        if self.by_name.borrow().len() >= MOST_SHARED {
            self.remove_if(Shared::is_idle);
        }
        if self.by_name.borrow().len() >= MOST_SHARED {
            return Err(ErrorCode::UnknownServerError);
        }
        self.next.set(self.next.get() + 1);
        let shared = Rc::new(Shared {
            key: ShareKey { group: name.0.clone(), topic: key.topic, index: key.index },
            number: self.next.get(),
            inflight: RefCell::new(None),
            waiting: RefCell::default(),
            written: Cell::new(0),
            failed: Cell::new(None),
            writing: Cell::new(false),
            used: Cell::new(0),
            due_ms: Cell::new(None),
            settled: Signal::default(),
        });
        self.by_name.borrow_mut().insert(name, Rc::clone(&shared));
        self.by_number.borrow_mut().insert(shared.number, Rc::clone(&shared));
        Ok(Found { shared, new: true })
    }

    /// A group's share of a partition, if it is here.
    pub fn get(&self, group: &str, key: PartitionKey) -> Option<Rc<Shared>> {
        self.by_name.borrow().get(&(group.to_string(), key)).cloned()
    }

    /// Groups have other limits from now on.
    pub fn set_limits(&self, of: impl Fn(&str) -> ShareLimits) {
        for shared in self.by_name.borrow().values() {
            // One that is still being loaded asks when it is there.
            let _ = shared.on(|inflight| inflight.set_limits(of(&shared.key.group)));
        }
    }

    /// Forgets some; who waits for them looks again.
    pub fn remove_if(&self, is_it: impl Fn(&Shared) -> bool) {
        let mut gone = Vec::new();
        self.by_name.borrow_mut().retain(|_, shared| {
            let stays = !is_it(shared);
            if !stays {
                gone.push(Rc::clone(shared));
            }
            stays
        });
        for shared in gone {
            self.by_number.borrow_mut().remove(&shared.number);
            shared.wake();
        }
    }

    /// Something has happened to a share that may move what is due.
    pub fn look_at(&self, shared: &Shared) {
        let Some(due_ms) = shared.on(|inflight| inflight.due_ms()).ok().flatten() else { return };
        if shared.due_ms.get().is_some_and(|before| before <= due_ms) {
            return;
        }
        let mut due = self.due.borrow_mut();
        let before = shared.due_ms.replace(Some(due_ms));
        before.map(|before| due.remove(&(before, shared.number)));
        due.insert((due_ms, shared.number));
        self.changed.notify();
    }

    /// Waits until something is to be looked at some time.
    pub async fn any_due(&self) {
        self.changed.until(|| !self.due.borrow().is_empty()).await;
    }

    /// A share that is to be looked at by now.
    pub fn take_due(&self, now_ms: i64) -> Option<Rc<Shared>> {
        loop {
            let next = self.due.borrow().first().copied();
            let (due_ms, number) = next.filter(|(due_ms, _)| *due_ms <= now_ms)?;
            self.due.borrow_mut().remove(&(due_ms, number));
            // It may be gone.
            if let Some(shared) = self.by_number.borrow().get(&number) {
                shared.due_ms.set(None);
                return Some(Rc::clone(shared));
            }
        }
    }
}

impl Shared {
    pub fn partition(&self) -> PartitionKey {
        PartitionKey { topic: self.key.topic, index: self.key.index }
    }

    /// What was found when the state was read.
    pub fn set(&self, found: Result<InFlight, ErrorCode>) {
        *self.inflight.borrow_mut() = Some(found);
        self.settled.notify();
        self.wake();
    }

    /// Waits until the state is read.
    pub async fn loaded(&self) -> Result<(), ErrorCode> {
        self.settled.until(|| self.inflight.borrow().is_some()).await;
        self.on(|_| ())
    }

    /// Does something to it; those who wait for records that it frees look again.
    ///
    /// # Errors
    /// Its state could not be read.
    pub fn on<T>(&self, work: impl FnOnce(&mut InFlight) -> T) -> Result<T, ErrorCode> {
        let (done, freed) = match &mut *self.inflight.borrow_mut() {
            Some(Ok(inflight)) => (work(inflight), inflight.take_freed()),
            Some(Err(code)) => return Err(*code),
            None => return Err(ErrorCode::CoordinatorLoadInProgress),
        };
        if freed {
            self.wake();
        }
        Ok(done)
    }

    /// Wakes who waits for records, once.
    pub fn watch(&self, watch: &Rc<FetchWatch>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= 64 && waiting.len().is_power_of_two() {
            waiting.retain(|watch| watch.strong_count() > 0);
        }
        waiting.push(Rc::downgrade(watch));
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.iter().filter_map(Weak::upgrade).for_each(|watch| watch.wake());
    }

    /// Begins to write, if there is something to write that nobody writes already.
    pub fn begin_writing(&self) -> bool {
        let version = self.on(|inflight| inflight.version()).unwrap_or(0);
        let begins = !self.writing.get() && version > self.tried();
        self.writing.set(self.writing.get() || begins);
        begins
    }

    fn tried(&self) -> u64 {
        self.written.get().max(self.failed.get().map_or(0, |(version, _)| version))
    }

    /// What is to be written next; `None`: everything is.
    pub fn next_write(&self) -> Option<(u64, ShareState)> {
        let next = self.on(|inflight| (inflight.version(), inflight.saved())).ok();
        let next = next.filter(|(version, _)| *version > self.tried());
        self.writing.set(next.is_some());
        next
    }

    /// Nobody can write any more: the broker stops.
    pub fn give_up_writing(&self, code: ErrorCode) {
        self.writing.set(false);
        self.wrote(self.on(|inflight| inflight.version()).unwrap_or(0), Err(code));
    }

    pub fn wrote(&self, version: u64, done: Result<(), ErrorCode>) {
        match done {
            Ok(()) => self.written.set(version),
            Err(code) => self.failed.set(Some((version, code))),
        }
        self.settled.notify();
    }

    /// Waits until a version is durable.
    ///
    /// # Errors
    /// It could not be written: whether a restart will know of it is not known.
    pub async fn durable(&self, version: u64) -> Result<(), ErrorCode> {
        self.settled.until(|| self.tried() >= version).await;
        match self.failed.get() {
            Some((failed, code)) if self.written.get() < version && failed >= version => Err(code),
            _ => Ok(()),
        }
    }

    /// Waits until nobody writes it.
    pub async fn quiet(&self) {
        self.settled.until(|| !self.writing.get()).await;
    }

    /// Holds it while a request has it in hand.
    pub fn hold(self: &Rc<Self>) -> Hold {
        self.used.set(self.used.get() + 1);
        Hold(Rc::clone(self))
    }

    fn is_idle(&self) -> bool {
        let held = self.on(|inflight| inflight.is_held());
        let dirty = self.on(|inflight| inflight.version() > self.written.get());
        self.used.get() == 0
            && !self.writing.get()
            && self.inflight.borrow().is_some()
            && !held.unwrap_or(false)
            && !dirty.unwrap_or(false)
    }
}

/// See [`Shared::hold`].
pub struct Hold(Rc<Shared>);

impl std::ops::Deref for Hold {
    type Target = Rc<Shared>;

    fn deref(&self) -> &Rc<Shared> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.used.set(self.0.used.get() - 1);
    }
}
