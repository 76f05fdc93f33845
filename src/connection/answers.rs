use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use corelane_shards::net::{Closer, WriteHalf};
use corelane_shards::runtime::{timeout, Lease};
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
}

impl Answers {
    /// The reader's end, and the task's future that writes.
    pub fn new(
        write: WriteHalf,
        closer: Closer,
        limit: Duration,
    ) -> (Answers, impl std::future::Future<Output = ()>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let open = Rc::new(Open::default());
        let writer = Writer { write, open: Rc::clone(&open), limit };
        let run = async move {
            writer.run(queued).await;
            closer.close();
        };
        (Answers { queue, open }, run)
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
}

impl Writer {
    /// Answers in order until the reader is gone and all is said, or the connection breaks.
    async fn run(mut self, mut queued: mpsc::UnboundedReceiver<Outgoing>) {
        while let Some(outgoing) = queued.recv().await {
            let (mut pieces, leases) = match outgoing {
                Outgoing::Frame { pieces, lease, answer } => (pieces, (lease, Some(answer))),
                Outgoing::Produce { admitted, version, correlation_id, lease } => {
                    let wants_answer = admitted.wants_answer;
                    let response = admitted.finish().await;
                    let failed = response.topics.iter().flat_map(|t| &t.partitions);
                    if !wants_answer && failed.into_iter().any(|p| p.error_code != 0) {
                        break; // acks=0: closing is the only way to tell, as in Kafka
                    }
                    let frame = wants_answer.then(|| encode(&response, version, correlation_id));
                    (frame.into_iter().collect(), (lease, None))
                }
            };
            let written = timeout(self.limit, self.write.write_all(&mut pieces)).await;
            drop(leases);
            if !matches!(written, Some(Ok(()))) {
                break;
            }
            self.open.count.set(self.open.count.get() - 1);
            self.open.changed.notify_one();
        }
        queued.close();
        self.open.changed.notify_one();
    }
}
