//! One run of each measure: against the broker, then against the ceiling.

use std::fmt;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use tempfile::TempDir;

use super::results::{Footprint, Latencies, Pair, Run};
use super::ReportArgs;
use crate::broker::Broker;
use crate::ceiling::client::{self, EchoArgs, SinkArgs, SourceArgs};
use crate::ceiling::durable::{self, DurableArgs};
use crate::ceiling::{Blocks, Durability, BLOCK_BYTES};
use crate::cluster::Topic;
use crate::fetch::{self, FetchArgs};
use crate::latency::{self, LatencyArgs};
use crate::produce::{self, Acks, Load, ProduceArgs};
use crate::size::human_bytes;
use crate::stats::LatencySummary;

const TOPIC: &str = "corelane-perf";
const RECORD_BYTES: u64 = 1024;
const SMALL_RECORD_BYTES: u64 = 100;
/// What Kafka's producers keep in flight on a connection.
const IN_FLIGHT: u16 = 5;
/// What Kafka's consumers ask for of a partition at once.
const FETCH_BYTES: u64 = 1 << 20;
const EMPTY_PARTITIONS: u32 = 1_000;

/// Produce at full speed.
#[derive(Debug, Clone, Copy)]
pub struct Produce {
    pub partitions: u32,
    pub acks: Acks,
    pub batch_bytes: u64,
}

impl fmt::Display for Produce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, acks, batch_bytes } = *self;
        let plural = if partitions == 1 { "" } else { "s" };
        let batch = human_bytes(batch_bytes);
        write!(f, "produce, {partitions} partition{plural}, acks={acks}, {batch}")
    }
}

/// Read all that was produced.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    pub partitions: u32,
    /// Whether the broker is restarted between writing and reading, and has to read the disk.
    pub restarted: bool,
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.partitions == 1 { "" } else { "s" };
        let when = if self.restarted { "after a restart" } else { "just written" };
        write!(f, "fetch, {} partition{plural}, {when}", self.partitions)
    }
}

/// Where and how long to measure.
#[derive(Debug)]
pub struct Bench {
    corelane: PathBuf,
    serve_args: Vec<String>,
    dir: PathBuf,
    seconds: f64,
    bytes: u64,
}

impl Bench {
    pub fn new(args: &ReportArgs) -> Result<Self> {
        // Absolute, because a name without a slash would be looked up in PATH.
        let corelane = args.corelane.canonicalize()?;
        Ok(Self {
            corelane,
            serve_args: args.serve_args.clone(),
            dir: args.dir.canonicalize()?,
            seconds: args.seconds,
            bytes: args.bytes,
        })
    }

    /// An empty directory. What earlier runs left to be written or discarded is waited for, so
    /// that it does not burden the next.
    fn fresh_dir(&self) -> Result<TempDir> {
        rustix::fs::sync();
        let dir = tempfile::Builder::new().prefix("corelane-perf-").tempdir_in(&self.dir);
        dir.with_context(|| format!("cannot write in {}", self.dir.display()))
    }

    fn start(&self, dir: &TempDir) -> Result<Broker> {
        Broker::start(&self.corelane, &self.serve_args, dir.path())
    }

    /// A broker whose tail cache holds all that a run writes, even if one shard has it all, unless
    /// the arguments say what it has.
    fn start_with_room(&self, dir: &TempDir) -> Result<Broker> {
        if self.serve_args.iter().any(|arg| arg.starts_with("--config")) {
            return self.start(dir);
        }
        let shards = std::thread::available_parallelism()?.get() as u64;
        let config = dir.path().join("corelane.toml");
        std::fs::write(&config, format!("memory = \"{}\"\n", self.bytes * 3 * shards))?;
        let config = ["--config".to_owned(), config.display().to_string()];
        let args = [&self.serve_args[..], &config].concat();
        Broker::start(&self.corelane, &args, dir.path())
    }

    fn load(&self, partitions: u32, batch_bytes: u64) -> Load {
        Load {
            record_size: RECORD_BYTES,
            batch_bytes,
            connections: partitions as u16,
            in_flight: IN_FLIGHT,
            seconds: self.seconds,
            bytes: self.bytes,
        }
    }

    fn produce_to(&self, broker: &Broker, measure: Produce) -> Result<Run> {
        let report = produce::run(&ProduceArgs {
            bootstrap: broker.address(),
            topic: TOPIC.to_owned(),
            partitions: measure.partitions,
            topic_config: Vec::new(),
            acks: measure.acks,
            load: self.load(measure.partitions, measure.batch_bytes),
            broker_pid: Some(broker.pid()),
            json: false,
        })?;
        Ok(Run::from_produce(&report))
    }

    /// Produces to a fresh broker, then the same bytes to the ceiling.
    pub fn produce(&self, measure: Produce) -> Result<Pair> {
        let dir = self.fresh_dir()?;
        let broker = self.start(&dir)?;
        let corelane = self.produce_to(&broker, measure)?;
        broker.stop()?;
        drop(dir);
        let dir = self.fresh_dir()?;
        let ceiling = client::produce(&SinkArgs {
            dir: dir.path().to_owned(),
            durability: match measure.acks {
                Acks::All => Durability::Dsync,
                Acks::Leader | Acks::None => Durability::None,
            },
            blocks: Blocks::Fallocated,
            server_cpus: None,
            load: self.load(measure.partitions, measure.batch_bytes),
            json: false,
        })?;
        Ok(Pair { corelane, ceiling: Run::from_produce(&ceiling) })
    }

    /// Fills a fresh broker and reads it all, then as many bytes from the ceiling.
    pub fn fetch(&self, measure: Fetch) -> Result<Pair> {
        let dir = self.fresh_dir()?;
        let mut broker = match measure.restarted {
            true => self.start(&dir)?,
            false => self.start_with_room(&dir)?,
        };
        let partitions = measure.partitions;
        let fill = Produce { partitions, acks: Acks::Leader, batch_bytes: 256 << 10 };
        let filled = self.produce_to(&broker, fill)?;
        if measure.restarted {
            broker.stop()?;
            broker = self.start(&dir)?;
        }
        let report = fetch::run(&FetchArgs {
            bootstrap: broker.address(),
            topic: TOPIC.to_owned(),
            fetch_bytes: FETCH_BYTES,
            verify: false,
            seconds: None,
            broker_pid: Some(broker.pid()),
            json: false,
        })?;
        broker.stop()?;
        ensure!(
            report.bytes >= filled.bytes,
            "only {} of {} acknowledged bytes came back",
            report.bytes,
            filled.bytes
        );
        drop(dir);
        let dir = self.fresh_dir()?;
        let ceiling = client::fetch(&SourceArgs {
            dir: measure.restarted.then(|| dir.path().to_owned()),
            server_cpus: None,
            connections: partitions as u16,
            fetch_bytes: FETCH_BYTES,
            seconds: self.seconds,
            bytes: report.bytes,
            json: false,
        })?;
        Ok(Pair { corelane: Run::from_fetch(&report), ceiling: Run::from_fetch(&ceiling) })
    }

    fn small_produce(&self, broker: &Broker, acks: Acks) -> Result<LatencySummary> {
        let report = latency::run(&LatencyArgs {
            bootstrap: broker.address(),
            topic: format!("{TOPIC}-{acks}"),
            topic_config: Vec::new(),
            acks,
            record_size: SMALL_RECORD_BYTES,
            rate: None,
            seconds: self.seconds,
            json: false,
        })?;
        report.latency.context("no request was answered")
    }

    fn durable_write(&self, blocks: Blocks) -> Result<LatencySummary> {
        let dir = self.fresh_dir()?;
        let report = durable::run(&DurableArgs {
            dir: dir.path().to_owned(),
            write_bytes: BLOCK_BYTES as u64,
            durability: Durability::Dsync,
            blocks,
            writers: 1,
            seconds: self.seconds,
            json: false,
        })?;
        report.latency.context("nothing was written")
    }

    /// Small produces one at a time, beside what they are made of: a durable write and an echo.
    pub fn latencies(&self) -> Result<Latencies> {
        let dir = self.fresh_dir()?;
        let broker = self.start(&dir)?;
        let produce_all = self.small_produce(&broker, Acks::All)?;
        let produce_leader = self.small_produce(&broker, Acks::Leader)?;
        broker.stop()?;
        drop(dir);
        let echo = client::echo(&EchoArgs {
            message_bytes: SMALL_RECORD_BYTES,
            seconds: self.seconds,
            burst: 1,
            every_ms: None,
            json: false,
        })?;
        Ok(Latencies {
            produce_all,
            produce_leader,
            durable_write_written: self.durable_write(Blocks::Written)?,
            durable_write_fallocated: self.durable_write(Blocks::Fallocated)?,
            echo: echo.latency.context("nothing came back")?,
        })
    }

    /// Memory and start time of a broker without load.
    pub fn footprint(&self) -> Result<Footprint> {
        let dir = self.fresh_dir()?;
        let broker = self.start(&dir)?;
        let idle_rss_bytes = broker.rss_bytes()?;
        Topic::ensure(&broker.address(), TOPIC, EMPTY_PARTITIONS, &[])?;
        let partitions_rss_bytes = broker.rss_bytes()?;
        let start_ms = broker.start_time.as_secs_f64() * 1e3;
        broker.stop()?;
        let broker = self.start(&dir)?;
        let restart_ms = broker.start_time.as_secs_f64() * 1e3;
        broker.stop()?;
        Ok(Footprint { start_ms, idle_rss_bytes, partitions_rss_bytes, restart_ms })
    }
}
