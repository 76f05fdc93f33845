//! What the runs came to, as it is kept, and written as JSON.

use std::fs;

use anyhow::Result;
use serde::Serialize;

use super::ReportArgs;
use crate::fetch::FetchReport;
use crate::process::ProcessUse;
use crate::produce::ProduceReport;
use crate::stats::{LatencySummary, Spread};

/// Everything a report says.
#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    pub pairs: u32,
    pub longest_run_seconds: f64,
    pub throughput: Vec<Throughput>,
    pub latencies: Vec<Latencies>,
    pub footprints: Vec<Footprint>,
    /// What failed, and why.
    pub failures: Vec<String>,
}

/// What was measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
}

/// One measure: run `n` of the broker beside run `n` of the ceiling.
#[derive(Debug, Serialize)]
pub struct Throughput {
    pub name: String,
    pub runs: Vec<Pair>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    pub corelane: Run,
    pub ceiling: Run,
}

/// One run at full speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Run {
    pub mb_per_second: f64,
    pub records_per_second: f64,
    pub seconds: f64,
    pub bytes: u64,
    pub latency: Option<LatencySummary>,
    pub server: Option<ProcessUse>,
    pub server_cpu_seconds_per_gb: Option<f64>,
    pub client_cpu_seconds_per_gb: f64,
}

impl Run {
    pub fn from_produce(report: &ProduceReport) -> Self {
        Self {
            mb_per_second: report.mb_per_second,
            records_per_second: report.records_per_second,
            seconds: report.seconds,
            bytes: report.bytes,
            latency: report.latency,
            server: report.server,
            server_cpu_seconds_per_gb: report.server.map(|s| s.cpu_seconds_per_gb(report.bytes)),
            client_cpu_seconds_per_gb: report.client.cpu_seconds_per_gb(report.bytes),
        }
    }

    pub fn from_fetch(report: &FetchReport) -> Self {
        Self {
            mb_per_second: report.mb_per_second,
            records_per_second: report.records_per_second,
            seconds: report.seconds,
            bytes: report.bytes,
            latency: report.latency,
            server: report.server,
            server_cpu_seconds_per_gb: report.server.map(|s| s.cpu_seconds_per_gb(report.bytes)),
            client_cpu_seconds_per_gb: report.client.cpu_seconds_per_gb(report.bytes),
        }
    }
}

/// Small requests one at a time, all in the same pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    pub produce_all: LatencySummary,
    pub produce_leader: LatencySummary,
    pub durable_write_written: LatencySummary,
    pub durable_write_fallocated: LatencySummary,
    pub echo: LatencySummary,
}

/// A broker without load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Footprint {
    /// From starting the process on an empty directory to its first answer.
    pub start_ms: f64,
    pub idle_rss_bytes: u64,
    /// Resident with 1,000 empty partitions.
    pub partitions_rss_bytes: u64,
    /// From starting the process with those partitions to its first answer.
    pub restart_ms: f64,
}

impl Results {
    pub fn new(args: &ReportArgs) -> Self {
        Self {
            machine: Machine::this(),
            pairs: args.pairs,
            longest_run_seconds: args.seconds,
            throughput: Vec::new(),
            latencies: Vec::new(),
            footprints: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub fn add_throughput(&mut self, name: String, pair: Result<Pair>) {
        let Some(pair) = self.taken(&name, pair) else { return };
        eprintln!(
            "  {name}: {:.0} MB/s, ceiling {:.0} MB/s",
            pair.corelane.mb_per_second, pair.ceiling.mb_per_second
        );
        match self.throughput.iter_mut().find(|measure| measure.name == name) {
            Some(measure) => measure.runs.push(pair),
            None => self.throughput.push(Throughput { name, runs: vec![pair] }),
        }
    }

    pub fn add_latencies(&mut self, latencies: Result<Latencies>) {
        let Some(latencies) = self.taken("latency", latencies) else { return };
        eprintln!("  latency, acks=all: p50 {:.0} µs", latencies.produce_all.p50_us);
        self.latencies.push(latencies);
    }

    pub fn add_footprint(&mut self, footprint: Result<Footprint>) {
        let Some(footprint) = self.taken("memory", footprint) else { return };
        eprintln!("  first answer after {:.0} ms", footprint.start_ms);
        self.footprints.push(footprint);
    }

    /// The result, or a line among the failures.
    fn taken<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                let failure = format!("{name}: {error:#}");
                eprintln!("  failed: {failure}");
                self.failures.push(failure);
            })
            .ok()
    }
}

impl Throughput {
    /// The spread over the runs of what `pick` finds in each.
    pub fn spread(&self, pick: impl Fn(&Pair) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.runs.iter().filter_map(pick).collect::<Vec<_>>())
    }

    /// The broker's share of the ceiling, taken within each pair.
    pub fn ratio(&self) -> Option<Spread> {
        self.spread(|pair| {
            let ceiling = pair.ceiling.mb_per_second;
            (ceiling > 0.0).then(|| pair.corelane.mb_per_second / ceiling)
        })
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned());
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use anyhow::anyhow;

    use super::*;

    pub fn run(mb_per_second: f64) -> Run {
        Run {
            mb_per_second,
            records_per_second: 0.0,
            seconds: 1.0,
            bytes: 1_000_000_000,
            latency: None,
            server: None,
            server_cpu_seconds_per_gb: Some(0.5),
            client_cpu_seconds_per_gb: 0.1,
        }
    }

    pub fn empty() -> Results {
        Results {
            machine: Machine { processor: "P".into(), cores: 2, kernel: "6".into() },
            pairs: 1,
            longest_run_seconds: 1.0,
            throughput: Vec::new(),
            latencies: Vec::new(),
            footprints: Vec::new(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn ratio_is_taken_within_each_pair() {
        let mut results = empty();
        // The machine is twice as fast in the second pair: the ratios do not care.
        for speed in [1.0, 2.0, 1.0] {
            let pair = Pair { corelane: run(600.0 * speed), ceiling: run(1000.0 * speed) };
            results.add_throughput("m".into(), Ok(pair));
        }
        let ratio = results.throughput[0].ratio().unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.6, 0.6, 0.6));
    }

    #[test]
    fn failed_run_is_named_and_leaves_the_others() {
        let mut results = empty();
        let pair = Pair { corelane: run(1.0), ceiling: run(2.0) };
        results.add_throughput("m".into(), Ok(pair));
        results.add_throughput("m".into(), Err(anyhow!("no disk")));
        assert_eq!(results.throughput[0].runs, [pair]);
        assert_eq!(results.failures, ["m: no disk"]);
    }
}
