use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use glommio::{Latency, Shares, TaskQueueHandle};

use super::Gate;

/// A class of work on one shard with its share of the core. Lives on its shard.
#[derive(Clone, Copy)]
pub struct TaskQueue {
    handle: TaskQueueHandle,
}

/// A running task of this shard; dropping it cancels the task, `detach` lets it run on.
pub struct Task<T>(glommio::Task<T>);

impl<T> Task<T> {
    pub fn detach(self) {
        self.0.detach();
    }

    /// Waits for the task's end.
    pub async fn join(self) -> T {
        self.0.await
    }
}

/// Clients' requests, against which background work is throttled ten to one.
const FOREGROUND_SHARES: usize = 1000;
const BACKGROUND_SHARES: usize = 100;

impl TaskQueue {
    /// How long tasks run before the executor looks for what has completed meanwhile. It costs a
    /// system call at most.
    pub(super) const LATENCY: Duration = Duration::from_millis(1);

    pub(super) fn foreground() -> Self {
        TaskQueue::create(FOREGROUND_SHARES, Latency::Matters(TaskQueue::LATENCY), "foreground")
    }

    pub(super) fn background() -> Self {
        TaskQueue::create(BACKGROUND_SHARES, Latency::NotImportant, "background")
    }

    /// The queue that the caller runs in: its tasks take turns with it, in the order in which they
    /// were woken, which a simulation can repeat.
    pub fn current() -> Self {
        TaskQueue { handle: glommio::executor().current_task_queue() }
    }

    fn create(shares: usize, latency: Latency, name: &str) -> Self {
        let executor = glommio::executor();
        let handle = executor.create_task_queue(Shares::Static(shares), latency, name);
        TaskQueue { handle }
    }

    /// Starts a task in this queue.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        match glommio::spawn_local_into(future, self.handle) {
            Ok(task) => Task(task),
            Err(_) => unreachable!("a shard's task queues live as long as its executor"),
        }
    }
}

/// Starts a task in the current queue of this shard.
pub fn spawn_local<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Task(glommio::spawn_local(future))
}

/// Starts a detached task that belongs to `gate`; a panic in it is logged and ends it alone.
/// Returns whether the gate was open.
pub fn spawn_guarded(
    gate: &Gate,
    name: &'static str,
    future: impl Future<Output = ()> + 'static,
) -> bool {
    let Some(pass) = gate.enter() else { return false };
    spawn_local(async move {
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            tracing::error!(task = name, "a task panicked and was ended: {}", panic_text(&*panic));
        }
        drop(pass);
    })
    .detach();
    true
}

/// What a panic said, for a log line.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_string()
    }
}

/// Waits on this shard's timer; no time at all is one turn of the other tasks.
pub async fn sleep(duration: Duration) {
    if duration.is_zero() {
        return yield_now().await;
    }
    glommio::timer::sleep(duration).await
}

/// The future's output, or `None` when `duration` passes first (the future is then dropped).
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = std::pin::pin!(sleep(duration));
    let future = std::pin::pin!(future);
    match futures_util::future::select(future, deadline).await {
        futures_util::future::Either::Left((output, _)) => Some(output),
        futures_util::future::Either::Right(_) => None,
    }
}

/// Lets every other runnable task of this shard run once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await
}

/// Runs blocking work on the shard's helper thread and waits for it without blocking the shard.
pub async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    glommio::executor().spawn_blocking(work).await
}
