use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Counts a group of detached tasks, so that shutdown can refuse new ones and wait for the rest.
/// One shard's view; clones share the count.
#[derive(Clone, Default)]
pub struct Gate {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    open_passes: Cell<usize>,
    closed: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

/// Held by a task while it runs; dropping it lets the gate's closing go on.
pub struct Pass {
    inner: Rc<Inner>,
}

impl Gate {
    pub fn new() -> Self {
        Gate::default()
    }

    /// A pass, or `None` once the gate is closing.
    pub fn enter(&self) -> Option<Pass> {
        if self.inner.closed.get() {
            return None;
        }
        self.inner.open_passes.set(self.inner.open_passes.get() + 1);
        Some(Pass { inner: Rc::clone(&self.inner) })
    }

    pub fn count(&self) -> usize {
        self.inner.open_passes.get()
    }

    /// Refuses new passes and waits until all are given back. One caller at a time.
    pub async fn close(&self) {
        self.inner.closed.set(true);
        poll_fn(|cx| {
            if self.inner.open_passes.get() == 0 {
                return Poll::Ready(());
            }
            *self.inner.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.inner.open_passes.set(self.inner.open_passes.get() - 1);
        if self.inner.open_passes.get() == 0 {
            if let Some(waker) = self.inner.waiter.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}
