//! Keeps work in the background from being felt: by a rate, and by leaving the shard to others again
//! and again.

use std::time::{Duration, Instant};

use crate::runtime::{sleep, yield_now};

/// How fast work in the background may be, on one shard.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes read and written a second; 0: not bounded.
    pub bytes_per_second: u64,
    /// After so much work the shard is left to others for as long; zero: only while it reads and
    /// writes.
    pub slice: Duration,
}

/// How long work in the background goes on, and then rests.
const SLICE: Duration = Duration::from_micros(100);

impl Pace {
    /// Work that others on the shard do not feel, at `bytes_per_second` at most.
    pub fn unfelt(bytes_per_second: u64) -> Pace {
        Pace { bytes_per_second, slice: SLICE }
    }
}

/// How far a pass is ahead of its rate, and how long it has worked without a rest.
pub struct Throttle {
    since: Instant,
    bytes: u64,
    pace: Pace,
    slice_began: Instant,
}

impl Throttle {
    pub fn new(pace: Pace) -> Self {
        Throttle { since: Instant::now(), bytes: 0, pace, slice_began: Instant::now() }
    }

    /// Notes bytes that were read or written, and waits where they were too many.
    pub async fn spend(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.pace.bytes_per_second == 0 {
            return self.breathe().await;
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / self.pace.bytes_per_second as f64);
        sleep(due.saturating_sub(self.since.elapsed())).await;
        self.slice_began = Instant::now();
    }

    /// Leaves the shard to others, if it is time to. Sleeping, not yielding: as long as a queue has
    /// something to do the shard does not look whether anything has come from outside.
    pub async fn breathe(&mut self) {
        if self.pace.slice.is_zero() {
            return yield_now().await;
        }
        if self.slice_began.elapsed() >= self.pace.slice {
            sleep(self.pace.slice).await;
            self.slice_began = Instant::now();
        }
    }
}
