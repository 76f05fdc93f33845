//! The way of a connection from one shard to another.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use corelane_shards::runtime::ShardId;
use tokio::sync::mpsc;

use crate::handlers::KnownClient;

/// A connection on its way: everything of it has been answered, and nothing read that was not.
pub struct Arrival {
    pub socket: OwnedFd,
    pub peer: SocketAddr,
    pub listener: usize,
    pub client: KnownClient,
    /// What it takes to move it again.
    pub signs: u32,
}

/// What all shards know of each other's connections. Made once, shared by them.
pub struct Doors(Vec<Door>);

struct Door {
    arrivals: mpsc::UnboundedSender<Arrival>,
    open: AtomicUsize,
}

impl Doors {
    /// Those of so many shards, and where each finds what comes to it.
    pub fn new(shards: usize) -> (Doors, Vec<mpsc::UnboundedReceiver<Arrival>>) {
        let door = || {
            let (arrivals, arrived) = mpsc::unbounded_channel();
            (Door { arrivals, open: AtomicUsize::new(0) }, arrived)
        };
        let (doors, ends) = (0..shards).map(|_| door()).unzip();
        (Doors(doors), ends)
    }

    /// Tells how many connections a shard has open.
    pub(super) fn count(&self, shard: ShardId, open: usize) {
        self.0[shard.index()].open.store(open, Ordering::Relaxed);
    }

    /// Whether a connection may go from one shard to the other: not where that has more already. So
    /// they stay spread out, however many clients want one partition.
    pub(super) fn may_move(&self, from: ShardId, to: ShardId) -> bool {
        let open = |shard: ShardId| self.0[shard.index()].open.load(Ordering::Relaxed);
        open(to) <= open(from)
    }

    /// Sends a connection on its way; it is closed where that shard has ended.
    pub(super) fn send(&self, to: ShardId, arrival: Arrival) {
        let _ = self.0[to.index()].arrivals.send(arrival);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_where_there_are_not_more() {
        let (doors, _ends) = Doors::new(2);
        let (a, b) = (ShardId::new(0), ShardId::new(1));
        assert!(doors.may_move(a, b));
        doors.count(b, 3);
        assert!(!doors.may_move(a, b));
        assert!(doors.may_move(b, a));
        doors.count(a, 3);
        assert!(doors.may_move(a, b));
    }
}
