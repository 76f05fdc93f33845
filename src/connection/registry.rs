use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corelane_shards::net::Closer;
use corelane_shards::runtime::ShardId;
use slab::Slab;

use super::Doors;

/// At most one line in this time about connections that end badly, with the number of others.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A shard's connections: counted, closed together at shutdown, complained of at a bounded rate.
pub struct Connections {
    shard: ShardId,
    doors: Arc<Doors>,
    open: RefCell<Slab<Closer>>,
    last_line: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Connections {
    pub fn new(shard: ShardId, doors: Arc<Doors>) -> Connections {
        Connections {
            shard,
            doors,
            open: RefCell::default(),
            last_line: Cell::default(),
            unsaid: Cell::default(),
        }
    }

    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    pub fn len(&self) -> usize {
        self.open.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn add(&self, closer: Closer) -> usize {
        let number = self.open.borrow_mut().insert(closer);
        self.doors.count(self.shard, self.len());
        number
    }

    pub fn remove(&self, number: usize) {
        self.open.borrow_mut().remove(number);
        self.doors.count(self.shard, self.len());
    }

    pub fn close_all(&self) {
        self.open.borrow().iter().for_each(|(_, closer)| closer.close());
    }

    /// Says why a connection was closed, unless that was said of another just now.
    pub fn complain(&self, peer: std::net::SocketAddr, reason: &dyn std::fmt::Display) {
        let now = Instant::now();
        let recent = self.last_line.get().is_some_and(|last| now - last < LINE_EVERY);
        if recent {
            self.unsaid.set(self.unsaid.get() + 1);
            return;
        }
        self.last_line.set(Some(now));
        let others = self.unsaid.replace(0);
        tracing::warn!(%peer, others_since = others, "closed a connection: {reason}");
    }
}
