//! `produce`: a closed loop of pre-encoded batches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::cluster::{now_ms, Topic};
use crate::connection::Connection;
use crate::load::{drive, Answers, Request, Tally, Work};
use crate::process::{ProcessSample, ProcessUse};
use crate::size::{human_bytes, parse_bytes, parse_setting};
use crate::stats::{megabytes_per_second, per_second, LatencySummary};
use crate::wire::{batch, produce};

/// When a produce is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    All,
    #[value(name = "1")]
    #[serde(rename = "1")]
    Leader,
    #[value(name = "0")]
    #[serde(rename = "0")]
    None,
}

impl Acks {
    /// The number that stands in the request.
    pub fn on_the_wire(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Leader => "1",
            Self::None => "0",
        })
    }
}

/// The load itself: the same for a broker and for the ceiling.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// Bytes of each record's value
    #[arg(long, default_value = "1024", value_parser = parse_bytes)]
    pub record_size: u64,
    /// Largest size of a batch; as many records as fit
    #[arg(long, default_value = "256KiB", value_parser = parse_bytes)]
    pub batch_bytes: u64,
    /// Connections (to each leader), each with a thread of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Requests on their way at once on each connection
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub in_flight: u16,
    /// End after this many seconds
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// End after this many bytes of batches, if that is sooner
    #[arg(long, default_value = "4GiB", value_parser = parse_bytes)]
    pub bytes: u64,
}

impl Load {
    pub fn time(&self) -> Result<Duration> {
        ensure!(self.seconds > 0.0, "--seconds must be above 0");
        Ok(Duration::try_from_secs_f64(self.seconds)?)
    }

    /// Encodes the batch that is sent again and again.
    pub fn batch(&self) -> Result<batch::EncodedBatch> {
        const LARGEST: u64 = 100 << 20;
        ensure!(self.record_size <= LARGEST && self.batch_bytes <= LARGEST, "at most 100 MiB");
        Ok(batch::encode(self.record_size as usize, self.batch_bytes as usize, now_ms()))
    }

    /// How many requests the byte budget allows; one at the least.
    pub fn requests(&self, batch_len: usize) -> u64 {
        (self.bytes / batch_len as u64).max(1)
    }
}

/// Arguments of `produce`.
#[derive(Debug, Clone, Args)]
pub struct ProduceArgs {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Created if it is not there
    #[arg(long)]
    pub topic: String,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: u32,
    /// Setting of the topic if it is created, as key=value; may be given several times
    #[arg(long = "topic-config", value_parser = parse_setting)]
    pub topic_config: Vec<(String, String)>,
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    #[command(flatten)]
    pub load: Load,
    /// Process whose CPU time, memory and context switches are reported
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a produce run, against a broker or the ceiling, came to.
#[derive(Debug, Clone, Serialize)]
pub struct ProduceReport {
    pub connections: usize,
    pub in_flight: u16,
    pub batch_bytes: usize,
    pub records_per_batch: u32,
    pub seconds: f64,
    pub requests: u64,
    /// Bytes of record batches that were acknowledged (sent, with `acks=0`).
    pub bytes: u64,
    pub mb_per_second: f64,
    pub records_per_second: f64,
    pub requests_per_second: f64,
    pub latency: Option<LatencySummary>,
    pub server: Option<ProcessUse>,
    pub client: ProcessUse,
}

/// Runs the command.
pub fn run(args: &ProduceArgs) -> Result<ProduceReport> {
    let encoded = args.load.batch()?;
    let topic = Topic::ensure(&args.bootstrap, &args.topic, args.partitions, &args.topic_config)?;
    topic.warm_up()?;
    let batch: Arc<[u8]> = encoded.bytes.into();
    let acks = args.acks.on_the_wire();
    let mut work = Vec::new();
    for share in topic.deal(usize::from(args.load.connections)) {
        let request = |&partition: &i32| Request {
            head: produce::head(&topic.name, partition, acks, batch.len()),
            batch: Arc::clone(&batch),
            tail: produce::TAIL,
        };
        let requests = share.partitions.iter().map(request).collect();
        work.push(Work { connection: Connection::open(&share.address)?, requests });
    }
    let answers = match args.acks {
        Acks::None => Answers::None,
        Acks::All | Acks::Leader => {
            Answers::Each { in_flight: usize::from(args.load.in_flight), check: produce::parse }
        }
    };
    measure(work, answers, &args.load, encoded.records, args.broker_pid)
}

/// Drives the load and reports it beside what server and client spent on it.
pub fn measure(
    mut work: Vec<Work>,
    answers: Answers,
    load: &Load,
    records_per_batch: u32,
    server_pid: Option<u32>,
) -> Result<ProduceReport> {
    let first = work.iter().find_map(|work| work.requests.first());
    let batch_bytes = first.context("nothing to send")?.batch.len();
    let connections = work.len();
    let server_before = server_pid.map(ProcessSample::read).transpose()?;
    let client_before = ProcessSample::of_self()?;
    let (tally, elapsed) = drive(&mut work, answers, load.time()?, load.requests(batch_bytes))?;
    let client = ProcessUse::of_self_since(&client_before)?;
    let server_after = server_pid.map(ProcessSample::read).transpose()?;
    let Tally { requests, latencies } = tally;
    let bytes = requests * batch_bytes as u64;
    Ok(ProduceReport {
        connections,
        in_flight: load.in_flight,
        batch_bytes,
        records_per_batch,
        seconds: elapsed.as_secs_f64(),
        requests,
        bytes,
        mb_per_second: megabytes_per_second(bytes, elapsed),
        records_per_second: per_second(requests * u64::from(records_per_batch), elapsed),
        requests_per_second: per_second(requests, elapsed),
        latency: latencies.summary(),
        server: server_before.zip(server_after).map(|(before, after)| before.until(&after)),
        client,
    })
}

impl fmt::Display for ProduceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.1} MB/s  {:.0} records/s  {:.0} requests/s  ({} in {:.2} s; {} connections x {} in flight, batches of {} records, {})",
            self.mb_per_second,
            self.records_per_second,
            self.requests_per_second,
            human_bytes(self.bytes),
            self.seconds,
            self.connections,
            self.in_flight,
            self.records_per_batch,
            human_bytes(self.batch_bytes as u64),
        )?;
        if let Some(latency) = &self.latency {
            writeln!(f, "latency  {latency}")?;
        }
        write_use(f, "server", self.server.as_ref(), self.bytes)?;
        write_use(f, "client", Some(&self.client), self.bytes)
    }
}

/// One line on what a process spent on moving `bytes`.
pub fn write_use(
    f: &mut fmt::Formatter<'_>,
    who: &str,
    used: Option<&ProcessUse>,
    bytes: u64,
) -> fmt::Result {
    let Some(used) = used else { return Ok(()) };
    write!(
        f,
        "{who}   {:.2} CPU s ({:.3} s/GB)  resident {} (peak {})",
        used.cpu_seconds,
        used.cpu_seconds_per_gb(bytes),
        human_bytes(used.rss_bytes),
        human_bytes(used.peak_rss_bytes),
    )?;
    if let Some(switches) = &used.switches {
        write!(
            f,
            "  context switches {} voluntary, {} not",
            switches.voluntary, switches.involuntary
        )?;
    }
    writeln!(f)
}
