//! What a comparison found, as it is kept: every value of every run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::about::About;
use crate::flow::{Flow, Outcome};
use crate::stats::{LatencySummary, Profile, Spread};
use crate::workload::{Bare, From, Workload};

pub use crate::workload::Side;

/// The two that ratios are taken of.
pub const BOTH: [Side; 2] = [Side::Corelane, Side::Kafka];

/// Everything a comparison says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub about: About,
    pub workloads: Vec<Measured>,
    /// What failed, and why.
    pub failures: Vec<String>,
}

/// One workload and its pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub workload: Workload,
    /// The rate that the share of Kafka's came to.
    pub batches_per_second: Option<f64>,
    pub pairs: Vec<Pair>,
}

/// Both sides right after each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub corelane: Option<Run>,
    pub kafka: Option<Run>,
    #[serde(default)]
    pub nats: Option<Run>,
    pub ceiling: Option<CeilingRun>,
    /// What the bare measures came to, in their units.
    #[serde(default)]
    pub bare: BTreeMap<Bare, f64>,
}

/// One side, one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub outcome: Outcome,
    /// From starting the process to its first answer.
    pub start_ms: f64,
    /// Resident a moment later, with nothing in it.
    #[serde(default)]
    pub idle_rss_bytes: Option<u64>,
    /// How long it took after the run until the kernel had written all to the disk.
    pub flush_seconds: f64,
    /// Whether the machine's caches were dropped before.
    pub caches_dropped: bool,
}

/// The bare program with the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CeilingRun {
    pub mb_per_second: f64,
    pub cpu_seconds_per_gb: Option<f64>,
}

/// A figure that every run has, or not.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    /// Digits behind the point.
    pub digits: usize,
    pub more_is_better: bool,
    /// Whether one side can be ahead in it; else it only tells how the others came about.
    pub compared: bool,
    pub of: fn(&Run) -> Option<f64>,
}

impl Figure {
    /// How many times better one value is than the other; none where one of them is nothing.
    pub fn times_better(&self, value: f64, than: f64) -> Option<f64> {
        let (over, under) = if self.more_is_better { (value, than) } else { (than, value) };
        (under > 0.0 && over > 0.0).then(|| over / under)
    }
}

fn produced(run: &Run) -> Option<&Flow> {
    run.outcome.produced.as_ref()
}

fn consumed(run: &Run) -> Option<&Flow> {
    run.outcome.consumed.as_ref()
}

fn request(run: &Run) -> Option<LatencySummary> {
    Some(produced(run)?.latency.as_ref()?.summary)
}

fn fetch(run: &Run) -> Option<LatencySummary> {
    Some(consumed(run)?.latency.as_ref()?.summary)
}

fn end_to_end(run: &Run) -> Option<LatencySummary> {
    run.outcome.end_to_end.as_ref().map(|profile| profile.summary)
}

const fn rate(
    name: &'static str,
    unit: &'static str,
    digits: usize,
    of: fn(&Run) -> Option<f64>,
) -> Figure {
    Figure { name, unit, digits, more_is_better: true, compared: true, of }
}

const fn cost(
    name: &'static str,
    unit: &'static str,
    digits: usize,
    of: fn(&Run) -> Option<f64>,
) -> Figure {
    Figure { name, unit, digits, more_is_better: false, compared: true, of }
}

const fn told(
    name: &'static str,
    unit: &'static str,
    digits: usize,
    of: fn(&Run) -> Option<f64>,
) -> Figure {
    Figure { name, unit, digits, more_is_better: false, compared: false, of }
}

pub const PRODUCED: Figure =
    rate("produced", "MB/s", 1, |run| Some(produced(run)?.mb_per_second()));
pub const PRODUCED_RECORDS: Figure =
    rate("produced", "records/s", 0, |run| Some(produced(run)?.records_per_second()));
const ANSWERS: Figure =
    rate("produce answers", "/s", 0, |run| Some(produced(run)?.requests_per_second()));
pub const CONSUMED: Figure =
    rate("consumed", "MB/s", 1, |run| Some(consumed(run)?.mb_per_second()));
pub const PRODUCE_P99: Figure =
    cost("produce p99", "ms", 3, |run| Some(request(run)?.p99_us / 1e3));
pub const FETCH_P99: Figure = cost("fetch p99", "ms", 3, |run| Some(fetch(run)?.p99_us / 1e3));
pub const END_TO_END_P99: Figure =
    cost("end to end p99", "ms", 3, |run| Some(end_to_end(run)?.p99_us / 1e3));
pub const END_TO_END_P999: Figure =
    cost("end to end p99.9", "ms", 3, |run| Some(end_to_end(run)?.p999_us / 1e3));
pub const CPU_PER_GB: Figure =
    cost("broker CPU", "s/GB", 3, |run| run.outcome.broker_cpu_seconds_per_gb());

pub const PRODUCE_P50: Figure =
    cost("produce p50", "ms", 3, |run| Some(request(run)?.p50_us / 1e3));
pub const END_TO_END_P50: Figure =
    cost("end to end p50", "ms", 3, |run| Some(end_to_end(run)?.p50_us / 1e3));
pub const END_TO_END_P9999: Figure =
    cost("end to end p99.99", "ms", 3, |run| Some(end_to_end(run)?.p9999_us / 1e3));
pub const PEAK: Figure = cost("resident at most, since the start", "MiB", 0, |run| {
    Some(run.outcome.broker.as_ref()?.peak_rss_bytes as f64 / f64::from(1 << 20))
});
pub const START: Figure = cost("start to first answer", "ms", 0, |run| Some(run.start_ms));
pub const IDLE: Figure = cost("resident when empty", "MiB", 1, |run| {
    run.idle_rss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
});

/// All figures, in the order of the report.
pub const FIGURES: &[Figure] = &[
    PRODUCED,
    rate("produced, with the flush after the run", "MB/s", 1, |run| {
        let flow = produced(run)?;
        Some(flow.bytes as f64 / 1e6 / (flow.seconds + run.flush_seconds))
    }),
    PRODUCED_RECORDS,
    ANSWERS,
    CONSUMED,
    PRODUCE_P50,
    PRODUCE_P99,
    cost("produce p99.9", "ms", 3, |run| Some(request(run)?.p999_us / 1e3)),
    cost("produce p99.99", "ms", 3, |run| Some(request(run)?.p9999_us / 1e3)),
    cost("produce max", "ms", 1, |run| Some(request(run)?.max_us / 1e3)),
    told("due and not sent in time", "requests", 0, |run| {
        produced(run)?.sent_late.as_ref()?;
        Some(produced(run)?.unsent as f64)
    }),
    told("client's own lateness p99", "ms", 3, |run| {
        Some(produced(run)?.sent_late.as_ref()?.summary.p99_us / 1e3)
    }),
    cost("fetch p50", "ms", 3, |run| Some(fetch(run)?.p50_us / 1e3)),
    FETCH_P99,
    END_TO_END_P50,
    END_TO_END_P99,
    END_TO_END_P999,
    END_TO_END_P9999,
    cost("end to end max", "ms", 1, |run| Some(end_to_end(run)?.max_us / 1e3)),
    CPU_PER_GB,
    cost("broker CPU", "s", 2, |run| Some(run.outcome.broker.as_ref()?.cpu_seconds)),
    told("client CPU", "s", 2, |run| Some(run.outcome.client.cpu_seconds)),
    PEAK,
    cost("context switches", "/MB", 1, |run| {
        let switches = run.outcome.broker.as_ref()?.switches?;
        per_mb(switches.voluntary + switches.involuntary, run)
    }),
    cost("system calls", "/MB", 1, |run| per_mb(run.outcome.system_calls?, run)),
    told("read and written on disks by the broker", "MB", 0, |run| {
        let io = run.outcome.broker.as_ref()?.io?;
        Some((io.disk_read_bytes + io.disk_written_bytes) as f64 / 1e6)
    }),
    told("left to the kernel to flush, after the run", "s", 2, |run| Some(run.flush_seconds)),
    told("length of the run", "s", 2, |run| {
        let flows = [produced(run), consumed(run)].into_iter().flatten();
        flows.map(|flow| flow.seconds).max_by(f64::total_cmp)
    }),
    START,
    IDLE,
];

fn per_mb(count: u64, run: &Run) -> Option<f64> {
    let bytes = run.outcome.bytes();
    (bytes > 0).then(|| count as f64 / (bytes as f64 / 1e6))
}

impl Pair {
    pub fn side(&self, side: Side) -> Option<&Run> {
        match side {
            Side::Corelane => self.corelane.as_ref(),
            Side::Kafka => self.kafka.as_ref(),
            Side::Nats => self.nats.as_ref(),
        }
    }

    pub fn set(&mut self, side: Side, run: Run) {
        match side {
            Side::Corelane => self.corelane = Some(run),
            Side::Kafka => self.kafka = Some(run),
            Side::Nats => self.nats = Some(run),
        }
    }
}

impl Measured {
    /// The figure that the workload is about.
    pub fn headline(&self) -> Figure {
        let consume = self.workload.consume.as_ref();
        let produce = self.workload.produce.as_ref();
        let small = produce.is_some_and(|load| load.record_bytes <= 200);
        match (self.workload.is_open_loop(), consume) {
            (true, Some(consume)) if consume.from == From::Tail => END_TO_END_P999,
            (true, _) => PRODUCE_P99,
            (false, Some(_)) => CONSUMED,
            (false, None) if small && produce.is_some_and(|load| load.batch_bytes < 1024) => {
                ANSWERS
            }
            (false, None) if small => PRODUCED_RECORDS,
            (false, None) => PRODUCED,
        }
    }

    /// The latency that goes with it.
    pub fn latency(&self) -> Figure {
        match (self.headline().name, &self.workload.produce) {
            ("end to end p99.9", _) => END_TO_END_P99,
            (_, Some(_)) => PRODUCE_P99,
            (_, None) => FETCH_P99,
        }
    }

    pub fn values(&self, side: Side, figure: &Figure) -> Vec<f64> {
        self.pairs.iter().filter_map(|pair| (figure.of)(pair.side(side)?)).collect()
    }

    /// Whether any run of the side is there.
    pub fn has(&self, side: Side) -> bool {
        self.pairs.iter().any(|pair| pair.side(side).is_some())
    }

    /// Pairs with all their sides.
    pub fn whole_pairs(&self) -> usize {
        let whole =
            |pair: &&Pair| self.workload.sides.iter().all(|&side| pair.side(side).is_some());
        self.pairs.iter().filter(whole).count()
    }

    /// The values of a bare measure.
    pub fn bare(&self, bare: Bare) -> Vec<f64> {
        self.pairs.iter().filter_map(|pair| pair.bare.get(&bare).copied()).collect()
    }

    pub fn spread(&self, side: Side, figure: &Figure) -> Option<Spread> {
        Spread::of(&self.values(side, figure))
    }

    /// How many times better Corelane is, within each pair: above 1 it is ahead, below Kafka is.
    pub fn ratios(&self, figure: &Figure) -> Vec<f64> {
        // At a rate that is set, how much goes through tells nothing; how fast a backlog is read does.
        let set = self.workload.is_open_loop()
            && figure.more_is_better
            && !(self.workload.drains() && figure.name == CONSUMED.name);
        if set || !figure.compared {
            return Vec::new();
        }
        let ratio = |pair: &Pair| {
            let corelane = (figure.of)(pair.corelane.as_ref()?)?;
            let kafka = (figure.of)(pair.kafka.as_ref()?)?;
            figure.times_better(corelane, kafka)
        };
        self.pairs.iter().filter_map(ratio).collect()
    }

    pub fn ratio(&self, figure: &Figure) -> Option<Spread> {
        Spread::of(&self.ratios(figure))
    }

    /// The side's part of the bare program's MB/s, within each pair.
    pub fn of_the_ceiling(&self, side: Side) -> Option<Spread> {
        Spread::of(&self.parts_of_the_ceiling(side))
    }

    pub fn parts_of_the_ceiling(&self, side: Side) -> Vec<f64> {
        let flow = |run: &Run| produced(run).or(consumed(run)).map(Flow::mb_per_second);
        let part = |pair: &Pair| {
            let ceiling = pair.ceiling?.mb_per_second;
            (ceiling > 0.0).then(|| Some(flow(pair.side(side)?)? / ceiling))?
        };
        self.pairs.iter().filter_map(part).collect()
    }

    /// What [`Self::curves`] are of.
    pub fn curves_are_of(&self) -> &'static str {
        let runs = self.pairs.iter().flat_map(|pair| [&pair.corelane, &pair.kafka]).flatten();
        match runs.map(|run| &run.outcome).find(|outcome| outcome.end_to_end.is_some()) {
            Some(_) => "end to end",
            None if self.workload.produce.is_some() => "produce",
            None => "fetch",
        }
    }

    /// The latency curves of a side, one for each run: end to end where there is such, else of
    /// produce requests, else of fetches.
    pub fn curves(&self, side: Side) -> Vec<&Profile> {
        let of = |pair| -> Option<&Profile> {
            let outcome = &Pair::side(pair, side)?.outcome;
            let flow = outcome.produced.as_ref().or(outcome.consumed.as_ref());
            outcome.end_to_end.as_ref().or(flow?.latency.as_ref())
        };
        self.pairs.iter().filter_map(of).collect()
    }
}

impl Results {
    pub fn workload(&self, name: &str) -> Option<&Measured> {
        self.workloads.iter().find(|measured| measured.workload.name == name)
    }

    /// Where Kafka is ahead, by the median: workload, figure and how many times.
    pub fn kafka_ahead(&self) -> Vec<(&str, &'static str, f64)> {
        const TELLING: [Figure; 8] = [
            PRODUCED,
            CONSUMED,
            PRODUCE_P99,
            FETCH_P99,
            END_TO_END_P99,
            END_TO_END_P999,
            CPU_PER_GB,
            ANSWERS,
        ];
        let mut ahead = Vec::new();
        for measured in &self.workloads {
            for figure in TELLING {
                let Some(ratio) = measured.ratio(&figure) else { continue };
                if ratio.median < 1.0 {
                    ahead.push((measured.workload.name.as_str(), figure.name, 1.0 / ratio.median));
                }
            }
        }
        ahead
    }
}
