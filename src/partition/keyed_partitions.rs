//! The partitions of one of the broker's own topics that a shard owns: each is read when it is opened,
//! and what its records come to is kept in memory and asked there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::batch::BatchHeader;

use super::keyed_log::read_all;
use super::{Partition, PartitionKey};
use crate::wire::ErrorCode;

/// A partition, and what its records come to: `None` while they are read.
pub struct Keyed<S> {
    pub of: Rc<Partition>,
    state: RefCell<Option<Result<S, ErrorCode>>>,
}

impl<S> Keyed<S> {
    /// What `look` makes of the state; `None` where it is not served now.
    pub fn look<T>(&self, look: impl FnOnce(&S) -> T) -> Option<T> {
        match &*self.state.borrow() {
            Some(Ok(state)) => Some(look(state)),
            _ => None,
        }
    }

    /// [`Keyed::look`], with a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> Option<T> {
        match &mut *self.state.borrow_mut() {
            Some(Ok(state)) => Some(change(state)),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), ErrorCode> {
        match &*self.state.borrow() {
            None => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Err(code)) => Err(*code),
            Some(Ok(_)) => Ok(()),
        }
    }
}

/// See the module's head. Lives on its shard.
pub struct KeyedPartitions<S> {
    partitions: RefCell<ByIndex<S>>,
}

type ByIndex<S> = BTreeMap<i32, (PartitionKey, Rc<Keyed<S>>)>;

impl<S> Default for KeyedPartitions<S> {
    fn default() -> Self {
        KeyedPartitions { partitions: RefCell::default() }
    }
}

impl<S> KeyedPartitions<S> {
    /// Takes a partition that was opened, and reads it: every batch is handed to `apply`, and `finish`
    /// makes the state of what that came to. An empty one is of use at once, others when the future is
    /// done.
    pub fn load<L: Default>(
        &self,
        key: PartitionKey,
        of: Rc<Partition>,
        mut apply: impl FnMut(&mut L, &BatchHeader, &[u8]) -> Result<(), String>,
        finish: impl FnOnce(L) -> S,
    ) -> impl Future<Output = Rc<Keyed<S>>> {
        let log = Rc::clone(&of.log);
        let keyed = Rc::new(Keyed { of, state: RefCell::new(None) });
        self.partitions.borrow_mut().insert(key.index, (key, Rc::clone(&keyed)));
        let mut finish = Some(finish);
        if log.log_start() == log.log_end() {
            *keyed.state.borrow_mut() = finish.take().map(|finish| Ok(finish(L::default())));
        }
        async move {
            let Some(finish) = finish else { return keyed };
            let mut loading = L::default();
            let read = read_all(&log, |header, undone| apply(&mut loading, header, undone)).await;
            let read = read.map_err(|error| {
                tracing::error!(log = %log.dir().display(), "what it holds is not served: {error}");
                ErrorCode::CoordinatorNotAvailable
            });
            let state = read.map(|()| finish(loading));
            *keyed.state.borrow_mut() = Some(state);
            keyed
        }
    }

    /// Forgets a partition that was deleted; whether it was one of these.
    pub fn unload(&self, key: &PartitionKey) -> bool {
        let mut partitions = self.partitions.borrow_mut();
        let is_it = partitions.get(&key.index).is_some_and(|(of, _)| of == key);
        is_it && partitions.remove(&key.index).is_some()
    }

    /// The partition, if it is served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn find(&self, index: i32) -> Result<Rc<Keyed<S>>, ErrorCode> {
        let found = self.partitions.borrow().get(&index).map(|(_, keyed)| Rc::clone(keyed));
        let found = found.ok_or(ErrorCode::NotCoordinator)?;
        found.check().map(|()| found)
    }

    /// The partition, served or not, if it is one of these.
    pub fn by_key(&self, key: &PartitionKey) -> Option<Rc<Keyed<S>>> {
        let partitions = self.partitions.borrow();
        let found = partitions.get(&key.index).filter(|(of, _)| of == key);
        found.map(|(_, keyed)| Rc::clone(keyed))
    }

    /// All that are served, with their numbers.
    pub fn served(&self) -> Vec<(i32, Rc<Keyed<S>>)> {
        let partitions = self.partitions.borrow();
        let served = partitions.iter().filter(|(_, (_, keyed))| keyed.check().is_ok());
        served.map(|(index, (_, keyed))| (*index, Rc::clone(keyed))).collect()
    }

    /// Whether one is still being read: a list of what they hold is not whole.
    pub fn is_loading(&self) -> bool {
        let partitions = self.partitions.borrow();
        partitions
            .values()
            .any(|(_, keyed)| keyed.check() == Err(ErrorCode::CoordinatorLoadInProgress))
    }
}
