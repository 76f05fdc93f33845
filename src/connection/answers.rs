use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use corelane_shards::net::{Closer, WriteHalf};
use corelane_shards::runtime::{timeout, yield_now, Lease};
use tokio::sync::{mpsc, Notify};

use crate::handlers::produce::Admitted;
use crate::wire::produce::encode;

/// Something to be answered in its turn. Memory is given back when the answer is out.
pub enum Outgoing {
    Frame { pieces: Vec<Bytes>, lease: Lease, answer: Lease },
    Produce { admitted: Admitted, version: i16, correlation_id: i32, lease: Lease },
}

/// The reader's end of a connection's answers.
pub struct Answers {
    queue: mpsc::UnboundedSender<Outgoing>,
    open: Rc<Open>,
}

/// Requests taken and not yet answered.
#[derive(Default)]
struct Open {
    count: Cell<usize>,
    changed: Notify,
    /// The connection goes on elsewhere.
    moved: Cell<bool>,
}

impl Answers {
    /// The reader's end, and the task's future that writes.
    pub fn new(
        write: WriteHalf,
        closer: Closer,
        limit: Duration,
    ) -> (Answers, impl Future<Output = ()>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let open = Rc::new(Open::default());
        let writer = Writer { write, open: Rc::clone(&open), limit, ready: Ready::default() };
        let at = Rc::clone(&open);
        let run = async move {
            writer.run(queued).await;
            if !at.moved.get() {
                closer.close();
            }
        };
        (Answers { queue, open }, run)
    }

    /// Whether nothing is open.
    pub fn are_out(&self) -> bool {
        self.open.count.get() == 0
    }

    /// Ends the writer and leaves the connection open.
    pub fn move_on(self) {
        self.open.moved.set(true);
    }

    /// Queues an answer behind those before it; `false` once the connection is broken.
    pub fn push(&self, outgoing: Outgoing) -> bool {
        self.open.count.set(self.open.count.get() + 1);
        self.queue.send(outgoing).is_ok()
    }

    /// Waits until at most `count` requests are open; `false` once the connection is broken.
    pub async fn wait_until_open(&self, count: usize) -> bool {
        while self.open.count.get() > count {
            if self.queue.is_closed() {
                return false;
            }
            self.open.changed.notified().await;
        }
        !self.queue.is_closed()
    }
}

struct Writer {
    write: WriteHalf,
    open: Rc<Open>,
    limit: Duration,
    ready: Ready,
}

/// Answers that go out with the next write. Those of requests that became durable together do: a
/// write of its own for each would cost more than all else that is done with a small request.
#[derive(Default)]
struct Ready {
    pieces: Vec<Bytes>,
    leases: Vec<(Lease, Option<Lease>)>,
    /// Some of it is told to a producer.
    produced: bool,
}

/// Answers in one write; more would make the first of them wait.
const MAX_READY: usize = 64;

/// The connection is broken, or has to end.
struct Ends;

impl Writer {
    /// Answers in order until the reader is gone and all is said, or the connection breaks.
    async fn run(mut self, mut queued: mpsc::UnboundedReceiver<Outgoing>) {
        while let Some(outgoing) = self.next(&mut queued).await {
            if self.make_ready(outgoing).await.is_err() {
                // Those before it are answered all the same.
                let _ = self.send().await;
                break;
            }
        }
        queued.close();
        self.open.changed.notify_one();
    }

    /// What is queued next. What is ready goes out before that is waited for.
    async fn next(&mut self, queued: &mut mpsc::UnboundedReceiver<Outgoing>) -> Option<Outgoing> {
        if self.ready.leases.len() < MAX_READY {
            if let Ok(outgoing) = queued.try_recv() {
                return Some(outgoing);
            }
        }
        if self.ready.produced {
            // Readers that wait for the same records were woken first, and have a task further to go: the
            // records leave before the news that they are there.
            yield_now().await;
        }
        self.send().await.ok()?;
        queued.recv().await
    }

    async fn make_ready(&mut self, outgoing: Outgoing) -> Result<(), Ends> {
        match outgoing {
            Outgoing::Frame { mut pieces, lease, answer } => {
                self.ready.pieces.append(&mut pieces);
                self.ready.leases.push((lease, Some(answer)));
            }
            Outgoing::Produce { admitted, version, correlation_id, lease } => {
                let wants_answer = admitted.wants_answer;
                let mut finish = pin!(admitted.finish());
                let response = match poll_once(finish.as_mut()).await {
                    Poll::Ready(response) => response,
                    Poll::Pending => {
                        self.send().await?;
                        finish.await
                    }
                };
                let failed = response.topics.iter().flat_map(|t| &t.partitions);
                if !wants_answer && failed.into_iter().any(|p| p.error_code != 0) {
                    return Err(Ends); // acks=0: closing is the only way to tell, as in Kafka
                }
                if wants_answer {
                    self.ready.pieces.push(encode(&response, version, correlation_id));
                }
                self.ready.leases.push((lease, None));
                self.ready.produced = true;
            }
        }
        Ok(())
    }

    /// Sends what is ready and gives its memory back.
    async fn send(&mut self) -> Result<(), Ends> {
        let count = self.ready.leases.len();
        if count == 0 {
            return Ok(());
        }
        let written = timeout(self.limit, self.write.write_all(&mut self.ready.pieces)).await;
        self.ready.leases.clear();
        self.ready.produced = false;
        if !matches!(written, Some(Ok(()))) {
            return Err(Ends);
        }
        self.open.count.set(self.open.count.get() - count);
        self.open.changed.notify_one();
        Ok(())
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}
