use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Asks every shard to stop. Made by the engine, cloned to each shard and to whoever may ask;
/// may be triggered from any thread. The lock guards only the list of waiting tasks and is taken
/// when one begins to wait, never on the produce or fetch path.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    requested: AtomicBool,
    waiting: std::sync::Mutex<Vec<Waker>>,
}

impl Shutdown {
    pub fn request(&self) {
        self.inner.requested.store(true, Ordering::SeqCst);
        let mut waiting = self.inner.waiting.lock().unwrap_or_else(|e| e.into_inner());
        waiting.drain(..).for_each(Waker::wake);
    }

    pub fn is_requested(&self) -> bool {
        self.inner.requested.load(Ordering::SeqCst)
    }

    /// Completes once a stop was asked for. Meant for a few long-lived tasks per shard: each
    /// poll registers its waker.
    pub async fn requested(&self) {
        poll_fn(|cx| {
            if self.is_requested() {
                return Poll::Ready(());
            }
            let mut waiting = self.inner.waiting.lock().unwrap_or_else(|e| e.into_inner());
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            if self.is_requested() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await
    }
}
