//! Latency histograms, medians and the shapes in which both are reported.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer latencies are counted as this long.
const LONGEST: Duration = Duration::from_secs(120);
/// Three digits: an error below 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A histogram of durations with nanosecond resolution.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, SIGNIFICANT_DIGITS)
                .expect("constant bounds are valid");
        Self(histogram)
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos().clamp(1, LONGEST.as_nanos()) as u64);
    }

    /// As [`Self::record`], for `count` events that took equally long.
    pub fn record_n(&mut self, latency: Duration, count: u64) {
        let nanos = latency.as_nanos().clamp(1, LONGEST.as_nanos()) as u64;
        self.0.saturating_record_n(nanos, count);
    }

    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Microseconds at each percentile; none when nothing was recorded.
    pub fn summary(&self) -> Option<LatencySummary> {
        if self.0.is_empty() {
            return None;
        }
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Some(LatencySummary {
            count: self.0.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: self.0.max() as f64 / 1e3,
        })
    }
}

/// The quantiles of a [`Profile`]'s curve.
const CURVE: [f64; 15] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
];

/// Percentiles, and the curve through them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    #[serde(flatten)]
    pub summary: LatencySummary,
    /// Quantile (0.99 for p99) and microseconds, as far up as there is a sample beyond.
    pub curve: Vec<(f64, f64)>,
}

impl Latencies {
    /// None when nothing was recorded.
    pub fn profile(&self) -> Option<Profile> {
        let summary = self.summary()?;
        let reaches = |quantile: f64| (1.0 - quantile) * summary.count as f64 >= 1.0;
        let at = |quantile| (quantile, self.0.value_at_quantile(quantile) as f64 / 1e3);
        let curve = CURVE.into_iter().filter(|&quantile| reaches(quantile)).map(at).collect();
        Some(Profile { summary, curve })
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    pub count: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub p9999_us: f64,
    pub max_us: f64,
}

impl fmt::Display for LatencySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  p99.99 {:.0}  max {:.0} µs  ({} samples)",
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p999_us,
            self.p9999_us,
            self.max_us,
            self.count,
        )
    }
}

/// The middle, smallest and largest of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// None for no runs; of an even number, the median is the mean of the middle two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => return None,
            len if len % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1] })
    }
}

/// Millions of bytes a second.
pub fn megabytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    per_second(bytes, elapsed) / 1e6
}

/// Events a second; 0 for no time.
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_runs() {
        let odd = Spread::of(&[5.0, 1.0, 3.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 5.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn percentiles_are_in_microseconds_within_a_thousandth() {
        let mut latencies = Latencies::new();
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros));
        }
        let summary = latencies.summary().unwrap();
        assert_eq!(summary.count, 1000);
        for (got, expected) in
            [(summary.p50_us, 500.0), (summary.p99_us, 990.0), (summary.p999_us, 999.0)]
        {
            assert!((got - expected).abs() <= expected / 1000.0 + 0.001, "{got} for {expected}");
        }
    }

    #[test]
    fn merged_histograms_hold_both_and_outliers_are_kept() {
        let (mut one, mut two) = (Latencies::new(), Latencies::new());
        one.record(Duration::ZERO);
        two.record(Duration::from_secs(1_000));
        one.add(&two);
        let summary = one.summary().unwrap();
        assert_eq!(summary.count, 2);
        assert!(summary.max_us >= LONGEST.as_micros() as f64 * 0.999);
    }

    #[test]
    fn curve_ends_where_a_single_sample_would_speak_for_it() {
        let mut latencies = Latencies::new();
        latencies.record_n(Duration::from_micros(10), 990);
        latencies.record_n(Duration::from_micros(500), 10);
        let profile = latencies.profile().unwrap();
        assert_eq!(profile.summary.count, 1000);
        let (last, _) = *profile.curve.last().unwrap();
        assert_eq!(last, 0.999);
        assert!(profile.curve.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    }

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        assert_eq!(Latencies::new().summary(), None);
    }

    #[test]
    fn rates_survive_zero_time() {
        assert_eq!(per_second(5, Duration::ZERO), 0.0);
        assert_eq!(megabytes_per_second(3_000_000, Duration::from_secs(2)), 1.5);
    }
}
