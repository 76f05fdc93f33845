//! Mailboxes between shards: for each ordered pair of shards one bounded ring of requests and one
//! of replies, both single-producer single-consumer, and one wake-up per receiving shard.
//!
//! A sender spends a credit per request and has it back with the reply, and there are as many
//! credits as a ring has places: so a push never finds its ring full, and replies never wait
//! behind requests. Messages of one pair arrive in the order they were sent.

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;
use slab::Slab;

use super::{MemoryBudget, ShardId, Shutdown};

/// Why a message got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    #[error("the receiving shard ended the request without an answer")]
    Dropped,
    #[error("a shard does not send messages to itself")]
    Local,
}

/// A request on its way. `slot` is empty for one that wants no answer.
struct Request<Q> {
    slot: Option<SlotKey>,
    message: Q,
}

/// Gives a credit back and, where there is one, the answer.
struct Reply<R> {
    slot: Option<SlotKey>,
    reply: Option<R>,
}

/// Place in the sender's table. The generation tells a late reply from one for a later tenant.
#[derive(Clone, Copy)]
struct SlotKey {
    index: u32,
    generation: u32,
}

struct Slot<R> {
    generation: u32,
    waker: Option<Waker>,
    answer: Option<Result<R, MeshError>>,
}

/// What one shard holds of the rings it shares with one peer.
struct Peer<Q, R> {
    requests_out: RefCell<rtrb::Producer<Request<Q>>>,
    requests_in: RefCell<rtrb::Consumer<Request<Q>>>,
    replies_out: RefCell<rtrb::Producer<Reply<R>>>,
    replies_in: RefCell<rtrb::Consumer<Reply<R>>>,
    wake: Arc<AtomicWaker>,
    /// Places in the peer's ring, taken by requests and given back by replies.
    credits: MemoryBudget,
}

/// One shard's end of all mailboxes. Clones share it; it never leaves its shard.
pub struct Mesh<Q, R> {
    inner: Rc<Inner<Q, R>>,
}

impl<Q, R> Clone for Mesh<Q, R> {
    fn clone(&self) -> Self {
        Mesh { inner: Rc::clone(&self.inner) }
    }
}

struct Inner<Q, R> {
    id: ShardId,
    /// By shard number; `None` at our own place.
    peers: Vec<Option<Peer<Q, R>>>,
    wake: Arc<AtomicWaker>,
    slots: RefCell<Slab<Slot<R>>>,
    next_generation: Cell<u32>,
}

/// The rings of one shard before it has started: what may cross threads.
pub(super) struct MeshSeed<Q, R> {
    id: ShardId,
    peers: Vec<Option<PeerSeed<Q, R>>>,
    wake: Arc<AtomicWaker>,
}

struct PeerSeed<Q, R> {
    requests_out: rtrb::Producer<Request<Q>>,
    requests_in: rtrb::Consumer<Request<Q>>,
    replies_out: rtrb::Producer<Reply<R>>,
    replies_in: rtrb::Consumer<Reply<R>>,
    wake: Arc<AtomicWaker>,
    credits: usize,
}

/// Makes the rings of a mesh of `shards` shards, each ring with `capacity` places.
pub(super) fn seeds<Q, R>(shards: usize, capacity: usize) -> Vec<MeshSeed<Q, R>> {
    let wakes: Vec<Arc<AtomicWaker>> = (0..shards).map(|_| Arc::default()).collect();
    let mut rows: Vec<MeshSeed<Q, R>> = (0..shards)
        .map(|i| MeshSeed {
            id: ShardId::new(i),
            peers: (0..shards).map(|_| None).collect(),
            wake: Arc::clone(&wakes[i]),
        })
        .collect();
    for a in 0..shards {
        for b in a + 1..shards {
            let (a_requests_out, b_requests_in) = rtrb::RingBuffer::new(capacity);
            let (b_requests_out, a_requests_in) = rtrb::RingBuffer::new(capacity);
            let (a_replies_out, b_replies_in) = rtrb::RingBuffer::new(capacity);
            let (b_replies_out, a_replies_in) = rtrb::RingBuffer::new(capacity);
            rows[a].peers[b] = Some(PeerSeed {
                requests_out: a_requests_out,
                requests_in: a_requests_in,
                replies_out: a_replies_out,
                replies_in: a_replies_in,
                wake: Arc::clone(&wakes[b]),
                credits: capacity,
            });
            rows[b].peers[a] = Some(PeerSeed {
                requests_out: b_requests_out,
                requests_in: b_requests_in,
                replies_out: b_replies_out,
                replies_in: b_replies_in,
                wake: Arc::clone(&wakes[a]),
                credits: capacity,
            });
        }
    }
    rows
}

impl<Q, R> MeshSeed<Q, R> {
    pub(super) fn grow(self) -> Mesh<Q, R> {
        let peers = self.peers.into_iter().map(|seed| seed.map(PeerSeed::grow)).collect();
        Mesh {
            inner: Rc::new(Inner {
                id: self.id,
                peers,
                wake: self.wake,
                slots: RefCell::new(Slab::new()),
                next_generation: Cell::new(0),
            }),
        }
    }
}

impl<Q, R> PeerSeed<Q, R> {
    fn grow(self) -> Peer<Q, R> {
        Peer {
            requests_out: RefCell::new(self.requests_out),
            requests_in: RefCell::new(self.requests_in),
            replies_out: RefCell::new(self.replies_out),
            replies_in: RefCell::new(self.replies_in),
            wake: self.wake,
            credits: MemoryBudget::new(self.credits),
        }
    }
}

impl<Q, R> Mesh<Q, R> {
    pub fn id(&self) -> ShardId {
        self.inner.id
    }

    pub fn shard_count(&self) -> usize {
        self.inner.peers.len()
    }

    /// Sends a request and returns what its answer will arrive in. Waits while as many requests
    /// to that shard are open as its ring has places; waiters are served in order.
    ///
    /// # Errors
    /// [`MeshError::Local`] for our own shard.
    pub async fn send(&self, to: ShardId, message: Q) -> Result<PendingReply<Q, R>, MeshError> {
        let peer = self.inner.peer(to)?;
        peer.credit().await;
        let key = self.inner.open_slot();
        peer.push_request(Request { slot: Some(key), message });
        Ok(PendingReply { inner: Rc::clone(&self.inner), key })
    }

    /// Sends a message that wants no answer, on the same lane and in the same order.
    ///
    /// # Errors
    /// [`MeshError::Local`] for our own shard.
    pub async fn post(&self, to: ShardId, message: Q) -> Result<(), MeshError> {
        let peer = self.inner.peer(to)?;
        peer.credit().await;
        peer.push_request(Request { slot: None, message });
        Ok(())
    }

    /// The receive loop: hands every arriving request to `handler` (which must not block) and
    /// every arriving reply to who waits for it, until shutdown is requested and then for as long
    /// as the returned future is polled. A shard runs exactly one.
    pub async fn serve(&self, mut handler: impl FnMut(ShardId, Q, Option<ReplyTo<Q, R>>)) {
        poll_fn(|cx| {
            self.inner.wake.register(cx.waker());
            self.drain(&mut handler);
            Poll::<()>::Pending
        })
        .await
    }

    /// [`Mesh::serve`] until `stop` is requested.
    pub async fn serve_until(
        &self,
        stop: &Shutdown,
        handler: impl FnMut(ShardId, Q, Option<ReplyTo<Q, R>>),
    ) {
        let serve = std::pin::pin!(self.serve(handler));
        let stop = std::pin::pin!(stop.requested());
        futures_util::future::select(serve, stop).await;
    }

    fn drain(&self, handler: &mut impl FnMut(ShardId, Q, Option<ReplyTo<Q, R>>)) {
        for (index, peer) in self.inner.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            let from = ShardId::new(index);
            while let Some(reply) = peer.pop_reply() {
                self.inner.accept(peer, reply);
            }
            while let Some(request) = peer.pop_request() {
                let Some(slot) = request.slot else {
                    peer.push_reply(Reply { slot: None, reply: None });
                    handler(from, request.message, None);
                    continue;
                };
                let reply_to =
                    ReplyTo { inner: Rc::clone(&self.inner), to: from, slot: Some(slot) };
                handler(from, request.message, Some(reply_to));
            }
        }
    }
}

impl<Q, R> Inner<Q, R> {
    fn peer(&self, id: ShardId) -> Result<&Peer<Q, R>, MeshError> {
        self.peers.get(id.index()).and_then(Option::as_ref).ok_or(MeshError::Local)
    }

    fn open_slot(&self) -> SlotKey {
        let generation = self.next_generation.get();
        self.next_generation.set(generation.wrapping_add(1));
        let index = self.slots.borrow_mut().insert(Slot { generation, waker: None, answer: None });
        SlotKey { index: index as u32, generation }
    }

    fn accept(&self, peer: &Peer<Q, R>, reply: Reply<R>) {
        peer.credits.give_back(1);
        let Some(key) = reply.slot else { return };
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(key.index as usize) else { return };
        if slot.generation == key.generation {
            slot.answer = Some(reply.reply.ok_or(MeshError::Dropped));
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }
}

impl<Q, R> Peer<Q, R> {
    async fn credit(&self) {
        self.credits.take(1).await.spend();
    }

    fn push_request(&self, request: Request<Q>) {
        let pushed = self.requests_out.borrow_mut().push(request);
        assert!(pushed.is_ok(), "a credit is a place in the ring");
        self.wake.wake();
    }

    fn push_reply(&self, reply: Reply<R>) {
        let pushed = self.replies_out.borrow_mut().push(reply);
        assert!(pushed.is_ok(), "a reply's place was reserved with the request's credit");
        self.wake.wake();
    }

    fn pop_request(&self) -> Option<Request<Q>> {
        self.requests_in.borrow_mut().pop().ok()
    }

    fn pop_reply(&self) -> Option<Reply<R>> {
        self.replies_in.borrow_mut().pop().ok()
    }
}

/// The duty to answer one request; dropping it unanswered tells the sender so.
pub struct ReplyTo<Q, R> {
    inner: Rc<Inner<Q, R>>,
    to: ShardId,
    slot: Option<SlotKey>,
}

impl<Q, R> ReplyTo<Q, R> {
    /// Never waits: the place on the reply lane was reserved with the request.
    pub fn send(mut self, reply: R) {
        self.finish(Some(reply));
    }

    fn finish(&mut self, reply: Option<R>) {
        if let Some(slot) = self.slot.take() {
            if let Ok(peer) = self.inner.peer(self.to) {
                peer.push_reply(Reply { slot: Some(slot), reply });
            }
        }
    }
}

impl<Q, R> Drop for ReplyTo<Q, R> {
    fn drop(&mut self) {
        self.finish(None);
    }
}

/// An answer that will arrive. Dropping it gives the slot up; a late answer is thrown away.
pub struct PendingReply<Q, R> {
    inner: Rc<Inner<Q, R>>,
    key: SlotKey,
}

impl<Q, R> Future for PendingReply<Q, R> {
    type Output = Result<R, MeshError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slots = self.inner.slots.borrow_mut();
        let slot = &mut slots[self.key.index as usize];
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<Q, R> Drop for PendingReply<Q, R> {
    fn drop(&mut self) {
        self.inner.slots.borrow_mut().remove(self.key.index as usize);
    }
}
