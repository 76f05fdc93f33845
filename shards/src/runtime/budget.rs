use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A shard's allowance of memory for one purpose. Clones share it; it never crosses shards.
///
/// Waiters are served first come, first served, so that a large request is not starved by small
/// ones. A request larger than the whole is granted alone, when nothing else is out: otherwise it
/// could never be.
#[derive(Clone)]
pub struct MemoryBudget {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    total: usize,
    used: usize,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

struct Waiter {
    ticket: u64,
    waker: Option<Waker>,
}

/// Bytes taken from a [`MemoryBudget`], given back when dropped.
pub struct Lease {
    inner: Rc<RefCell<Inner>>,
    bytes: usize,
}

impl MemoryBudget {
    pub fn new(total_bytes: usize) -> Self {
        let inner = Inner { total: total_bytes, used: 0, waiting: VecDeque::new(), next_ticket: 0 };
        MemoryBudget { inner: Rc::new(RefCell::new(inner)) }
    }

    pub fn used(&self) -> usize {
        self.inner.borrow().used
    }

    pub fn total(&self) -> usize {
        self.inner.borrow().total
    }

    /// A lease if it can be had at once and nobody waits before us.
    pub fn try_take(&self, bytes: usize) -> Option<Lease> {
        let mut inner = self.inner.borrow_mut();
        if !inner.waiting.is_empty() || !inner.fits(bytes) {
            return None;
        }
        inner.used += bytes;
        Some(Lease { inner: Rc::clone(&self.inner), bytes })
    }

    /// Waits, in turn, until `bytes` can be had. Dropping the future leaves the queue.
    pub async fn take(&self, bytes: usize) -> Lease {
        if let Some(lease) = self.try_take(bytes) {
            return lease;
        }
        let ticket = self.inner.borrow_mut().join_queue();
        let mut place = Place { inner: Rc::clone(&self.inner), ticket, served: false };
        let place = &mut place;
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            let first = inner.waiting.front().is_some_and(|w| w.ticket == ticket);
            if first && inner.fits(bytes) {
                inner.waiting.pop_front();
                inner.used += bytes;
                inner.wake_first();
                drop(inner);
                place.served = true;
                return Poll::Ready(Lease { inner: Rc::clone(&self.inner), bytes });
            }
            if let Some(waiter) = inner.waiting.iter_mut().find(|w| w.ticket == ticket) {
                waiter.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl MemoryBudget {
    /// Takes bytes that are there already, whether or not they fit: who asks for [`Self::room`]
    /// first keeps the excess small.
    pub fn take_anyway(&self, bytes: usize) -> Lease {
        self.inner.borrow_mut().used += bytes;
        Lease { inner: Rc::clone(&self.inner), bytes }
    }

    /// Waits, in turn, until anything is left, and says how much.
    pub async fn room(&self) -> usize {
        drop(self.take(1).await);
        let inner = self.inner.borrow();
        inner.total.saturating_sub(inner.used)
    }

    /// Gives back what [`Lease::spend`] kept.
    pub(super) fn give_back(&self, bytes: usize) {
        self.inner.borrow_mut().release(bytes);
    }
}

impl Lease {
    /// Takes more, past those who wait and up to a quarter over the whole: for what is known only
    /// after the first bytes were granted. `false`, and nothing taken, where that is not enough,
    /// unless nobody else has anything.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let mut inner = self.inner.borrow_mut();
        let alone = inner.used == self.bytes;
        let fits = alone || inner.used.saturating_add(bytes) <= inner.total + inner.total / 4;
        if fits {
            inner.used += bytes;
            self.bytes += bytes;
        }
        fits
    }

    /// Keeps the bytes taken until [`MemoryBudget::give_back`]: for what cannot hold a lease
    /// because it is on another shard.
    pub(super) fn spend(mut self) {
        self.bytes = 0;
    }
}

impl Inner {
    fn release(&mut self, bytes: usize) {
        self.used -= bytes;
        self.wake_first();
    }

    fn fits(&self, bytes: usize) -> bool {
        self.used == 0 || self.used.saturating_add(bytes) <= self.total
    }

    fn join_queue(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back(Waiter { ticket, waker: None });
        ticket
    }

    fn wake_first(&mut self) {
        if let Some(waker) = self.waiting.front_mut().and_then(|w| w.waker.take()) {
            waker.wake();
        }
    }
}

/// A place in the queue, left when the waiting future is dropped.
struct Place {
    inner: Rc<RefCell<Inner>>,
    ticket: u64,
    served: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.served {
            let mut inner = self.inner.borrow_mut();
            inner.waiting.retain(|w| w.ticket != self.ticket);
            inner.wake_first();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.inner.borrow_mut().release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_refuses_and_recovers_when_leases_drop() {
        let budget = MemoryBudget::new(100);
        let first = budget.try_take(60).expect("60 of 100 fit");
        assert!(budget.try_take(41).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(budget.try_take(100).is_some());
    }

    #[test]
    fn a_request_larger_than_the_whole_is_granted_alone() {
        let budget = MemoryBudget::new(10);
        let lease = budget.try_take(50).expect("nothing else is out");
        assert!(budget.try_take(1).is_none());
        drop(lease);
        assert!(budget.try_take(1).is_some());
    }

    #[test]
    fn a_lease_grows_past_the_whole_but_not_for_ever() {
        let budget = MemoryBudget::new(100);
        let mut lease = budget.try_take(60).expect("fits");
        let other = budget.try_take(40).expect("fits");
        assert!(lease.grow(25));
        assert!(!lease.grow(1));
        assert_eq!(budget.used(), 125);
        drop(other);
        assert!(lease.grow(1_000), "nobody else has anything");
        drop(lease);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn there_is_room_again_once_an_excess_is_given_back() {
        use futures_util::FutureExt;
        let budget = MemoryBudget::new(100);
        assert_eq!(budget.room().now_or_never(), Some(100));
        let excess = budget.take_anyway(150);
        let mut room = Box::pin(budget.room());
        assert!((&mut room).now_or_never().is_none());
        drop(excess);
        assert_eq!(room.now_or_never(), Some(100));
    }

    #[test]
    fn waiters_are_served_in_order_and_a_dropped_waiter_leaves_the_queue() {
        use futures_util::FutureExt;
        let budget = MemoryBudget::new(10);
        let lease = budget.try_take(10).expect("fits");
        let mut large = Box::pin(budget.take(10));
        let mut small = Box::pin(budget.take(1));
        assert!((&mut large).now_or_never().is_none());
        assert!((&mut small).now_or_never().is_none());
        drop(lease);
        assert!((&mut small).now_or_never().is_none(), "the first in the queue comes first");
        drop(large);
        assert!((&mut small).now_or_never().is_some());
    }
}
