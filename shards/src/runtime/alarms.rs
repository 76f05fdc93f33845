//! Keeps an executor from going to sleep while tasks of it are waiting to run.
//!
//! glommio 0.9 parks when a round of its main loop ran nothing, and takes "preempted before the
//! first task" for "nothing to run": a thread that the kernel takes off its core between arming
//! the preemption timer and the first task goes to sleep with a full queue, and nothing wakes it.
//! On a core shared with other threads that happened once in some ten thousand wake-ups.
//!
//! The preemption timer can only have passed if [`SPACING`] has, so a timer of ours is due by then
//! too, and a due timer keeps the executor awake. A timer that fires must wait for its task to run
//! before it is set anew; that is why there are several, each set well before its turn.
//! What remains is a completion nobody waits for any more that arrives in the same instant: it
//! costs one [`SPACING`] at most.

use std::time::{Duration, Instant};

use super::tasks::{sleep, TaskQueue};

/// Time between two alarms. No task queue may have a preemption timer that is shorter.
pub(super) const SPACING: Duration = Duration::from_millis(10);
/// How many alarms may be waiting for their tasks at once.
const ALARMS: u32 = 16;

/// Starts the alarms of this shard; they end with its executor.
pub(super) fn start(queue: TaskQueue) {
    let started = Instant::now();
    for turn in 0..ALARMS {
        queue.spawn(ring(started + SPACING * (turn + 1))).detach();
    }
}

/// Sleeps until `at` and then for ever anew, at fixed points of time so that the alarms stay
/// evenly spaced.
async fn ring(mut at: Instant) {
    loop {
        sleep(at.saturating_duration_since(Instant::now())).await;
        at += SPACING * ALARMS;
    }
}
