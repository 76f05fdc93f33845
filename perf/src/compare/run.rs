//! The course of a comparison: pairs, workloads, sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::thread::{sched_setaffinity, CpuSet};

use super::about::{About, Machine};
use super::args::CompareArgs;
use super::results::{CeilingRun, Measured, Pair, Results, Run, Side};
use super::sides::{class_path, Sides};
use crate::ceiling::client::{self, SinkArgs, SourceArgs};
use crate::ceiling::{Blocks, Durability};
use crate::flow::{self, Limits, Target};
use crate::produce::Load;
use crate::workload::{self, Ceiling, Workload};

/// A comparison that is going on.
pub struct Comparison<'a> {
    args: &'a CompareArgs,
    sides: Sides,
    results: Results,
    bar: ProgressBar,
}

impl<'a> Comparison<'a> {
    pub fn new(args: &'a CompareArgs) -> Result<Self> {
        ensure!(args.corelane.is_file(), "{} is not a file", args.corelane.display());
        ensure!(
            args.seconds > 0.0 && args.warm_up >= 0.0,
            "--seconds is above 0, --warm-up not below"
        );
        let workloads = workload::read_all(&args.workloads, &args.only)?;
        let dirs = args
            .dirs
            .iter()
            .map(|dir| dir.canonicalize().with_context(|| format!("--dir {}", dir.display())));
        let dirs = dirs.collect::<Result<Vec<PathBuf>>>()?;
        let machine = Machine::this(&dirs);
        let sides = Sides {
            corelane: args.corelane.canonicalize()?,
            corelane_settings: args.corelane_config.iter().cloned().collect(),
            java: args.java.clone(),
            class_path: class_path(&args.kafka)?,
            heap: args.kafka_heap.clone().unwrap_or_else(|| heap(machine.memory_bytes)),
            kafka_settings: args.kafka_config.iter().cloned().collect(),
            cpus: args.broker_cpus.clone(),
            dirs,
        };
        if let Some(cpus) = &args.client_cpus {
            run_on(cpus)?;
        }
        let about = About {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            began: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine,
            corelane: sides.about(Side::Corelane),
            kafka: sides.about(Side::Kafka),
            seconds: args.seconds,
            warm_up_seconds: args.warm_up,
            most_bytes: args.bytes,
            broker_cpus: args.broker_cpus.clone(),
            client_cpus: args.client_cpus.clone(),
            notes: Vec::new(),
        };
        let steps = workloads.len() as u64 * 2 * u64::from(args.pairs);
        let measured =
            |workload| Measured { workload, batches_per_second: None, pairs: Vec::new() };
        let workloads = workloads.into_iter().map(measured).collect();
        let results = Results { about, workloads, failures: Vec::new() };
        let style = "{bar:30} {pos}/{len}  {elapsed_precise}, {eta} left  {wide_msg}";
        let bar = ProgressBar::new(steps).with_style(ProgressStyle::with_template(style)?);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self { args, sides, results, bar })
    }

    /// Takes all pairs; what is there after each workload is written to `out`.
    pub fn run(mut self, out: &Path) -> Result<Results> {
        for at in 0..self.results.workloads.len() {
            let found = self.find_rate(&self.results.workloads[at].workload.clone());
            match found {
                Ok(rate) => self.results.workloads[at].batches_per_second = rate,
                Err(error) => self.fail("finding Kafka's rate", &error),
            }
        }
        for number in 1..=self.args.pairs {
            for at in 0..self.results.workloads.len() {
                let pair = self.pair(number, at);
                self.results.workloads[at].pairs.push(pair);
                super::save(&self.results, out)?;
            }
        }
        self.bar.finish_and_clear();
        self.add_notes();
        Ok(self.results)
    }

    fn fail(&mut self, what: &str, error: &anyhow::Error) {
        let failure = format!("{what}: {error:#}");
        self.say(format!("failed: {failure}"));
        self.results.failures.push(failure);
    }

    /// A line above the bar, or where there is no terminal, alone.
    fn say(&self, line: String) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn pair(&mut self, number: u32, at: usize) -> Pair {
        let Measured { workload, batches_per_second, .. } = self.results.workloads[at].clone();
        let mut pair = Pair::default();
        for side in Side::BOTH {
            let what = format!("pair {number}, {}, {}", workload.name, side.name());
            self.bar.set_message(what.clone());
            match self.run_one(side, &workload, batches_per_second) {
                Ok(run) => {
                    let outcome = run.outcome.to_string();
                    self.say(format!("{what}: {}", outcome.lines().next().unwrap_or_default()));
                    pair.set(side, run);
                }
                Err(error) => self.fail(&what, &error),
            }
            self.bar.inc(1);
        }
        if !self.args.no_ceiling && workload.ceiling != Ceiling::None {
            self.bar.set_message(format!("pair {number}, {}, ceiling", workload.name));
            match self.ceiling(&workload) {
                Ok(run) => pair.ceiling = Some(run),
                Err(error) => {
                    self.fail(&format!("pair {number}, {}, ceiling", workload.name), &error)
                }
            }
        }
        pair
    }

    fn limits(&self, seconds: f64, batches_per_second: Option<f64>) -> Result<Limits> {
        let time = Duration::try_from_secs_f64(seconds)?;
        Ok(Limits { time, bytes: self.args.bytes, batches_per_second })
    }

    /// What a share of Kafka's rate is, for a workload that asks for it: Kafka takes the load once
    /// without a rate, and with nobody reading.
    fn find_rate(&mut self, workload: &Workload) -> Result<Option<f64>> {
        let Some(share) = workload.rate().and_then(|rate| rate.share_of_kafka) else {
            return Ok(None);
        };
        self.bar.set_message(format!("{}: finding Kafka's rate", workload.name));
        let mut full = Workload { consume: None, backlog: None, ..workload.clone() };
        full.produce.iter_mut().for_each(|produce| produce.rate = None);
        let run = self.run_one(Side::Kafka, &full, None)?;
        let top = run.outcome.produced.context("nothing was produced")?.requests_per_second();
        self.say(format!("{}: Kafka takes {top:.0} batches/s", workload.name));
        Ok(Some(top * share))
    }

    fn run_one(&self, side: Side, workload: &Workload, rate: Option<f64>) -> Result<Run> {
        let mut node = self.sides.start(side, workload)?;
        let cold = workload.backlog.as_ref().is_some_and(|backlog| backlog.cold);
        let own = match side {
            Side::Corelane => &workload.corelane,
            Side::Kafka => &workload.kafka,
        };
        let mut topic = workload.topic.clone();
        topic.extend(own.topic.clone());
        let mut target = Target {
            address: node.broker()?.address(),
            pid: Some(node.broker()?.pid()),
            count_system_calls: self.args.count_system_calls,
            topic,
        };
        let start_ms = node.broker()?.start_time.as_secs_f64() * 1e3;
        let warm_up = |target: &Target| match self.args.warm_up > 0.0 {
            true => flow::warm_up(workload, target, &self.limits(self.args.warm_up, rate)?),
            false => Ok(()),
        };
        if cold {
            flow::prepare(workload, &target)?;
            node.restart()?;
            target.pid = Some(node.broker()?.pid());
            warm_up(&target)?;
        } else {
            // Before the backlog: what is to be read from memory must be what was written last.
            warm_up(&target)?;
            flow::prepare(workload, &target)?;
        }
        // What the warm-up left to be flushed is none of the run's business.
        node.flush()?;
        let caches_dropped = (cold || self.args.drop_caches) && drop_caches();
        let outcome = flow::measure(workload, &target, &self.limits(self.args.seconds, rate)?)?;
        let began = Instant::now();
        node.flush()?;
        let flush_seconds = began.elapsed().as_secs_f64();
        node.stop()?;
        Ok(Run { outcome, start_ms, flush_seconds, caches_dropped })
    }

    fn ceiling(&self, workload: &Workload) -> Result<CeilingRun> {
        rustix::fs::sync();
        let dir =
            tempfile::Builder::new().prefix("corelane-perf-").tempdir_in(&self.sides.dirs[0])?;
        let seconds = self.args.seconds;
        if let Some(produce) = &workload.produce {
            let report = client::produce(&SinkArgs {
                dir: dir.path().to_owned(),
                durability: match workload.ceiling {
                    Ceiling::Durable => Durability::Dsync,
                    _ => Durability::None,
                },
                blocks: Blocks::Fallocated,
                server_cpus: self.args.broker_cpus.clone(),
                load: Load {
                    record_size: produce.record_bytes,
                    batch_bytes: produce.batch_bytes,
                    connections: produce.connections,
                    in_flight: produce.in_flight,
                    seconds,
                    bytes: self.args.bytes,
                },
                json: false,
            })?;
            return Ok(CeilingRun {
                mb_per_second: report.mb_per_second,
                cpu_seconds_per_gb: report.server.map(|used| used.cpu_seconds_per_gb(report.bytes)),
            });
        }
        let backlog = workload.backlog.as_ref().context("this ceiling is for a backlog")?;
        let consume = workload.consume.as_ref().context("this ceiling is for reading")?;
        let report = client::fetch(&SourceArgs {
            connections: (workload.partitions * consume.groups) as u16,
            fetch_bytes: consume.fetch_bytes,
            seconds,
            bytes: backlog.bytes * u64::from(consume.groups),
            dir: (workload.ceiling == Ceiling::Disk).then(|| dir.path().to_owned()),
            server_cpus: self.args.broker_cpus.clone(),
            json: false,
        })?;
        Ok(CeilingRun {
            mb_per_second: report.mb_per_second,
            cpu_seconds_per_gb: report.server.map(|used| used.cpu_seconds_per_gb(report.bytes)),
        })
    }

    fn add_notes(&mut self) {
        let runs = || {
            let pairs = self.results.workloads.iter().flat_map(|measured| {
                measured.pairs.iter().map(move |pair| (&measured.workload, pair))
            });
            pairs.flat_map(|(workload, pair)| {
                [&pair.corelane, &pair.kafka].into_iter().flatten().map(move |run| (workload, run))
            })
        };
        let mut notes = Vec::new();
        let cold =
            |workload: &Workload| workload.backlog.as_ref().is_some_and(|backlog| backlog.cold);
        if runs().any(|(workload, run)| cold(workload) && !run.caches_dropped) {
            notes.push("The machine's caches could not be dropped (that needs root): cold reads may have come from memory.".to_owned());
        }
        if !self.args.count_system_calls {
            notes.push("System calls were not counted (--count-system-calls).".to_owned());
        } else if runs().any(|(_, run)| run.outcome.system_calls.is_none()) {
            notes.push("System calls are unknown: perf is not there, or may not trace.".to_owned());
        }
        if self.results.workloads.iter().any(|measured| measured.workload.ceiling != Ceiling::None)
        {
            notes.push("The ceiling is a bare program on the first directory that does the same bytes: socket in, direct writes out, or the other way round.".to_owned());
        }
        self.results.about.notes = notes;
    }
}

/// What Kafka's documentation runs with, where the machine has room for it.
fn heap(memory_bytes: u64) -> String {
    format!("{}m", (memory_bytes / 4).min(6 << 30) >> 20)
}

/// Has the kernel forget what files hold; whether it did.
fn drop_caches() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Holds this process, and what it starts from now on, to these cores.
fn run_on(cpus: &str) -> Result<()> {
    let mut set = CpuSet::new();
    for part in cpus.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let core = |text: &str| text.trim().parse::<usize>().ok().filter(|&core| core < 1024);
        let (from, to) =
            core(from).zip(core(to)).with_context(|| format!("{part:?} is no core"))?;
        (from..=to).for_each(|core| set.set(core));
    }
    sched_setaffinity(None, &set).with_context(|| format!("cores {cpus}"))
}
