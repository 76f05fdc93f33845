//! The course of a comparison: pairs, workloads, sides.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::thread::{sched_setaffinity, CpuSet};

use super::about::{About, Machine};
use super::args::CompareArgs;
use super::bare;
use super::nats::{about as about_nats, Nats};
use super::notes;
use super::results::{CeilingRun, Measured, Pair, Results, Run, Side};
use super::resume;
use super::sides::{class_path, Sides};
use crate::ceiling::client::{self, SinkArgs, SourceArgs};
use crate::ceiling::{Blocks, Durability};
use crate::flow::{self, Limits, Target};
use crate::produce::Load;
use crate::workload::{self, Bare, Ceiling, Workload};

/// Bare measures settle sooner than brokers do.
const MOST_BARE_SECONDS: f64 = 5.0;
/// How long a started broker is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(200);

/// A comparison that is going on.
pub struct Comparison<'a> {
    args: &'a CompareArgs,
    sides: Sides,
    results: Results,
    /// Of `results.workloads`, so many are taken; those behind them are kept of an earlier part.
    taken: usize,
    bar: ProgressBar,
    /// When nothing new is begun any more.
    over: Option<Instant>,
}

impl<'a> Comparison<'a> {
    pub fn new(args: &'a CompareArgs) -> Result<Self> {
        ensure!(args.corelane.is_file(), "{} is not a file", args.corelane.display());
        ensure!(
            args.seconds > 0.0 && args.warm_up >= 0.0,
            "--seconds is above 0, --warm-up not below"
        );
        let mut workloads = workload::read_all(&args.workloads, &args.only)?;
        for backlog in workloads.iter_mut().filter_map(|workload| workload.backlog.as_mut()) {
            backlog.bytes = backlog.bytes.min(args.bytes);
        }
        let sides = sides(args)?;
        if let Some(cpus) = &args.client_cpus {
            run_on(cpus)?;
        }
        let nats = about_nats(&args.nats);
        if nats.is_none() {
            workloads.iter_mut().for_each(|workload| workload.sides.retain(|&s| s != Side::Nats));
        }
        let about = About {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            began: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine: Machine::this(&sides.dirs),
            corelane: sides.about(Side::Corelane),
            kafka: sides.about(Side::Kafka),
            nats,
            seconds: args.seconds,
            warm_up_seconds: args.warm_up,
            most_bytes: args.bytes,
            broker_cpus: args.broker_cpus.clone(),
            client_cpus: args.client_cpus.clone(),
            notes: Vec::new(),
        };
        let taken = workloads.len();
        let measured =
            |workload| Measured { workload, batches_per_second: None, pairs: Vec::new() };
        let workloads = workloads.into_iter().map(measured).collect();
        let mut results = Results { about, workloads, failures: Vec::new() };
        if args.resume {
            resume::go_on(&mut results, &args.out)?;
            resume::remove_leftovers(&sides.dirs)?;
        }
        let runs = results.workloads[..taken].iter().map(|m| m.workload.sides.len() as u64);
        let steps = runs.sum::<u64>() * u64::from(args.pairs);
        let style = "{bar:30} {pos}/{len}  {elapsed_precise}, {eta} left  {wide_msg}";
        let bar = ProgressBar::new(steps).with_style(ProgressStyle::with_template(style)?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let time = args.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
        let over = time.transpose()?.map(|time| Instant::now() + time);
        Ok(Self { args, sides, results, taken, bar, over })
    }

    /// Takes what is not there of all pairs; what is there after each measure is on the disk.
    pub fn run(mut self) -> Result<Results> {
        for number in 1..=self.args.pairs as usize {
            for at in 0..self.taken {
                self.pair(number, at)?;
            }
        }
        self.bar.finish_and_clear();
        notes::add(&mut self.results, self.args.count_system_calls);
        Ok(self.results)
    }

    /// Whether the time is used up.
    fn is_over(&self) -> bool {
        self.over.is_some_and(|over| Instant::now() >= over)
    }

    fn fail(&mut self, what: &str, error: &anyhow::Error) {
        let failure = format!("{what}: {error:#}");
        self.say(format!("failed: {failure}"));
        self.results.failures.push(failure);
    }

    /// A line above the bar, or where there is no terminal, alone, with how far it is.
    fn say(&self, line: String) {
        let (at, of) = (self.bar.position(), self.bar.length().unwrap_or_default());
        self.bar.suspend(|| eprintln!("[{at}/{of}] {line}"));
    }

    fn save(&mut self) -> Result<()> {
        notes::add(&mut self.results, self.args.count_system_calls);
        super::save(&self.results, &self.args.out)
    }

    /// What is missing of one pair of one workload.
    fn pair(&mut self, number: usize, at: usize) -> Result<()> {
        let over = self.is_over();
        let pairs = &mut self.results.workloads[at].pairs;
        if pairs.len() < number {
            if over {
                return Ok(());
            }
            pairs.resize(number, Pair::default());
        }
        let workload = self.results.workloads[at].workload.clone();
        for side in workload.sides.iter().copied() {
            if self.results.workloads[at].pairs[number - 1].side(side).is_none() && !self.is_over()
            {
                self.one_side(number, at, side, &workload)?;
            }
            self.bar.inc(1);
        }
        let pair = &self.results.workloads[at].pairs[number - 1];
        let missing: Vec<Bare> =
            workload.bare.iter().copied().filter(|bare| !pair.bare.contains_key(bare)).collect();
        let ceiling = workload.ceiling != Ceiling::None && pair.ceiling.is_none();
        if self.args.no_ceiling || self.is_over() || (missing.is_empty() && !ceiling) {
            return Ok(());
        }
        if ceiling {
            self.bar.set_message(format!("pair {number}, {}, ceiling", workload.name));
            match self.ceiling(&workload) {
                Ok(run) => self.results.workloads[at].pairs[number - 1].ceiling = Some(run),
                Err(error) => {
                    self.fail(&format!("pair {number}, {}, ceiling", workload.name), &error)
                }
            }
        }
        for bare in missing {
            let what = format!("pair {number}, {}, {}", workload.name, bare.name());
            self.bar.set_message(what.clone());
            rustix::fs::sync();
            match bare::measure(bare, &self.sides.dirs[0], self.args.seconds.min(MOST_BARE_SECONDS))
            {
                Ok(value) => {
                    self.say(format!("{what}: {value:.3} {}", bare.unit()));
                    self.results.workloads[at].pairs[number - 1].bare.insert(bare, value);
                }
                Err(error) => self.fail(&what, &error),
            }
        }
        self.save()
    }

    fn one_side(
        &mut self,
        number: usize,
        at: usize,
        side: Side,
        workload: &Workload,
    ) -> Result<()> {
        let what = format!("pair {number}, {}, {}", workload.name, side.name());
        if let Err(error) = self.find_rate(at, workload) {
            self.fail(&format!("{}: finding Kafka's rate", workload.name), &error);
            return Ok(());
        }
        self.bar.set_message(what.clone());
        let rate = self.results.workloads[at].batches_per_second;
        let run = match side {
            Side::Nats => self.run_nats(workload),
            Side::Corelane | Side::Kafka => self.run_one(side, workload, rate),
        };
        match run {
            Ok(run) => {
                let outcome = run.outcome.to_string();
                self.say(format!("{what}: {}", outcome.lines().next().unwrap_or_default()));
                self.results.workloads[at].pairs[number - 1].set(side, run);
            }
            Err(error) => self.fail(&what, &error),
        }
        self.save()
    }

    fn limits(&self, seconds: f64, batches_per_second: Option<f64>) -> Result<Limits> {
        let time = Duration::try_from_secs_f64(seconds)?;
        Ok(Limits { time, bytes: self.args.bytes, batches_per_second })
    }

    /// What a share of Kafka's rate is, for a workload that asks for it and has not found it yet:
    /// Kafka takes the load once without a rate, and with nobody reading.
    fn find_rate(&mut self, at: usize, workload: &Workload) -> Result<()> {
        let Some(share) = workload.rate().and_then(|rate| rate.share_of_kafka) else {
            return Ok(());
        };
        if self.results.workloads[at].batches_per_second.is_some() {
            return Ok(());
        }
        self.bar.set_message(format!("{}: finding Kafka's rate", workload.name));
        let mut full = Workload { consume: None, backlog: None, ..workload.clone() };
        full.produce.iter_mut().for_each(|produce| produce.rate = None);
        let run = self.run_one(Side::Kafka, &full, None)?;
        let top = run.outcome.produced.context("nothing was produced")?.requests_per_second();
        self.say(format!("{}: Kafka takes {top:.0} batches/s", workload.name));
        self.results.workloads[at].batches_per_second = Some(top * share);
        Ok(())
    }

    fn run_nats(&self, workload: &Workload) -> Result<Run> {
        let nats = Nats {
            program: self.args.nats.clone(),
            dir: self.sides.dirs[0].clone(),
            cpus: self.args.broker_cpus.clone(),
        };
        let warm_up = self.limits(self.args.warm_up, None)?;
        let warm_up = (self.args.warm_up > 0.0).then_some(&warm_up);
        nats.run(workload, warm_up, &self.limits(self.args.seconds, None)?)
    }

    fn run_one(&self, side: Side, workload: &Workload, rate: Option<f64>) -> Result<Run> {
        let mut node = self.sides.start(side, workload)?;
        let cold = workload.backlog.as_ref().is_some_and(|backlog| backlog.cold);
        let own = match side {
            Side::Corelane => &workload.corelane,
            Side::Kafka | Side::Nats => &workload.kafka,
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
        thread::sleep(SETTLE);
        let idle_rss_bytes = Some(node.broker()?.rss_bytes()?);
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
        Ok(Run { outcome, start_ms, idle_rss_bytes, flush_seconds, caches_dropped })
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
}

fn sides(args: &CompareArgs) -> Result<Sides> {
    let dirs = args
        .dirs
        .iter()
        .map(|dir| dir.canonicalize().with_context(|| format!("--dir {}", dir.display())));
    let dirs = dirs.collect::<Result<Vec<PathBuf>>>()?;
    let memory_bytes = Machine::this(&dirs).memory_bytes;
    Ok(Sides {
        corelane: args.corelane.canonicalize()?,
        corelane_settings: args.corelane_config.iter().cloned().collect(),
        java: args.java.clone(),
        class_path: class_path(&args.kafka)?,
        heap: args.kafka_heap.clone().unwrap_or_else(|| heap(memory_bytes)),
        kafka_settings: args.kafka_config.iter().cloned().collect(),
        nats: args.nats.clone(),
        cpus: args.broker_cpus.clone(),
        dirs,
    })
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
