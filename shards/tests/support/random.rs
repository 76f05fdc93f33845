//! Random choices, and waiting for the answers to appends.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use corelane_shards::log::{AppendWaiter, LogError};

/// Choices that follow from a seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Counts the answers to appends.
#[derive(Default)]
pub struct Answers {
    pub open: Cell<usize>,
    pub failed: RefCell<Vec<LogError>>,
    waker: RefCell<Option<Waker>>,
}

impl Answers {
    /// Waits until none is missing.
    pub async fn all(&self) {
        poll_fn(|cx| {
            if self.open.get() == 0 {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl AppendWaiter for Answers {
    fn done(&self, _index: usize, result: Result<(), LogError>) {
        self.open.set(self.open.get() - 1);
        self.failed.borrow_mut().extend(result.err());
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
