//! When requests are due, whatever the broker does.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

/// Has this thread woken when it asked to be: by default the kernel may be 50 µs late.
///
/// # Errors
/// The kernel refuses.
pub fn wake_on_time() -> Result<()> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("timer slack")
}

/// The moments at which requests are due: `burst` of them at once, then the next `burst`, evenly.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    /// From one burst to the next, in seconds.
    period: f64,
    burst: u64,
    pub count: u64,
}

impl Schedule {
    /// `rate` requests a second for `time`, in bursts.
    pub fn new(start: Instant, rate: f64, burst: u32, time: Duration) -> Result<Self> {
        ensure!(rate.is_finite() && rate > 0.0 && rate <= 1e6, "a rate is above 0, at most 10^6");
        ensure!(burst > 0, "a burst is at least one request");
        let period = f64::from(burst) / rate;
        let bursts = (time.as_secs_f64() / period).ceil() as u64;
        Ok(Self { start, period, burst: u64::from(burst), count: bursts * u64::from(burst) })
    }

    /// The share of connection `number` of `connections`: its bursts fall between the others', but
    /// those of more than one request come on all connections at once.
    pub fn share(&self, number: usize, connections: usize) -> Self {
        let period = self.period * connections as f64;
        let bursts = self.count / self.burst;
        let shift = if self.burst == 1 { self.period * number as f64 } else { 0.0 };
        let (connections, number) = (connections as u64, number as u64);
        let bursts = bursts / connections + u64::from(number < bursts % connections);
        let start = self.start + Duration::from_secs_f64(shift);
        Self { start, period, burst: self.burst, count: bursts * self.burst }
    }

    /// At most so many requests.
    pub fn at_most(mut self, count: u64) -> Self {
        self.count = self.count.min(count);
        self
    }

    /// When request `number` is due, the first being 0.
    pub fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64((number / self.burst) as f64 * self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_does_not_drift() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 3000.0, 1, Duration::from_secs(10)).unwrap();
        assert_eq!(schedule.count, 30_000);
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(30_000), start + Duration::from_secs(10));
    }

    #[test]
    fn rates_that_cannot_be_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(Schedule::new(Instant::now(), rate, 1, Duration::ZERO).is_err(), "{rate}");
        }
    }

    #[test]
    fn bursts_are_due_at_once_and_keep_the_rate() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 100.0, 10, Duration::from_secs(2)).unwrap();
        assert_eq!(schedule.count, 200);
        assert_eq!(schedule.due(9), start);
        assert_eq!(schedule.due(10), start + Duration::from_millis(100));
    }

    #[test]
    fn shares_make_up_the_whole() {
        let start = Instant::now();
        let whole = Schedule::new(start, 1000.0, 1, Duration::from_millis(7)).unwrap();
        let mut due: Vec<Duration> = (0..3)
            .map(|number| whole.share(number, 3))
            .flat_map(|share| (0..share.count).map(move |n| share.due(n) - start))
            .collect();
        due.sort();
        let expected: Vec<Duration> = (0..7).map(Duration::from_millis).collect();
        assert_eq!(due, expected);
    }
}
