//! `fetch`: reads a topic from its beginning and throws it away.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, Context, Result};
use clap::Args;
use serde::Serialize;

use crate::cluster::Topic;
use crate::connection::Connection;
use crate::process::{ProcessSample, ProcessUse};
use crate::produce::write_use;
use crate::size::{human_bytes, parse_bytes};
use crate::stats::{megabytes_per_second, per_second, Latencies, LatencySummary};
use crate::wire::list_offsets::End;
use crate::wire::{batch, fetch};

/// Arguments of `fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    #[arg(long)]
    pub topic: String,
    /// Most bytes asked for in one request; the default is that of Kafka's consumers
    #[arg(long, default_value = "1MiB", value_parser = parse_bytes)]
    pub fetch_bytes: u64,
    /// Check the CRC32C of each batch
    #[arg(long)]
    pub verify: bool,
    /// Read the topic again and again until this many seconds have passed; default: once
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Process whose CPU time, memory and context switches are reported
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a fetch run, against a broker or the ceiling, came to.
#[derive(Debug, Clone, Serialize)]
pub struct FetchReport {
    pub connections: usize,
    pub seconds: f64,
    pub requests: u64,
    /// Bytes of whole record batches.
    pub bytes: u64,
    pub records: u64,
    pub mb_per_second: f64,
    pub records_per_second: f64,
    pub latency: Option<LatencySummary>,
    pub server: Option<ProcessUse>,
    pub client: ProcessUse,
}

/// What one connection read.
#[derive(Debug)]
pub struct Reading {
    pub requests: u64,
    pub bytes: u64,
    pub records: u64,
    pub latencies: Latencies,
}

impl Reading {
    pub fn new() -> Self {
        Self { requests: 0, bytes: 0, records: 0, latencies: Latencies::new() }
    }
}

/// Runs the command: one connection and thread for each partition.
pub fn run(args: &FetchArgs) -> Result<FetchReport> {
    let topic = Topic::find(&args.bootstrap, &args.topic)?;
    let max_bytes = u32::try_from(args.fetch_bytes).ok().filter(|&bytes| bytes <= 64 << 20);
    let max_bytes = max_bytes.context("--fetch-bytes is at most 64 MiB")?;
    let until = args.seconds.map(Duration::try_from_secs_f64).transpose()?;
    let first_offsets = topic.offsets(End::First)?;
    let deadline = until.map(|time| Instant::now() + time);
    let mut work = Vec::new();
    for (partition, leader) in topic.leaders.iter().enumerate() {
        let mut reader = PartitionReader {
            connection: Connection::open(leader)?,
            topic: topic.name.clone(),
            partition: partition as i32,
            first_offset: first_offsets[partition],
            max_bytes,
            verify: args.verify,
            reading: Reading::new(),
        };
        work.push(move || reader.run(deadline));
    }
    measure(work, args.broker_pid)
}

/// Runs each reader in a thread of its own and reports their sum. The readers keep their
/// connections until all is counted.
pub fn measure<F>(mut work: Vec<F>, server_pid: Option<u32>) -> Result<FetchReport>
where
    F: FnMut() -> Result<Reading> + Send,
{
    let connections = work.len();
    let server_before = server_pid.map(ProcessSample::read).transpose()?;
    let client_before = ProcessSample::of_self()?;
    let began = Instant::now();
    let readings = thread::scope(|scope| {
        let threads: Vec<_> = work.iter_mut().map(|reader| scope.spawn(reader)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a reading thread panicked"))?)
            .collect::<Result<Vec<Reading>>>()
    })?;
    let elapsed = began.elapsed();
    let client = ProcessUse::of_self_since(&client_before)?;
    let server_after = server_pid.map(ProcessSample::read).transpose()?;
    let mut sum = Reading::new();
    for reading in &readings {
        sum.requests += reading.requests;
        sum.bytes += reading.bytes;
        sum.records += reading.records;
        sum.latencies.add(&reading.latencies);
    }
    Ok(FetchReport {
        connections,
        seconds: elapsed.as_secs_f64(),
        requests: sum.requests,
        bytes: sum.bytes,
        records: sum.records,
        mb_per_second: megabytes_per_second(sum.bytes, elapsed),
        records_per_second: per_second(sum.records, elapsed),
        latency: sum.latencies.summary(),
        server: server_before.zip(server_after).map(|(before, after)| before.until(&after)),
        client,
    })
}

/// Reads one partition over a connection of its own.
struct PartitionReader {
    connection: Connection,
    topic: String,
    partition: i32,
    first_offset: i64,
    max_bytes: u32,
    verify: bool,
    reading: Reading,
}

impl PartitionReader {
    /// Reads up to the high watermark that the first answer names; with a deadline, again from the
    /// beginning until then.
    fn run(&mut self, deadline: Option<Instant>) -> Result<Reading> {
        loop {
            let before = self.reading.bytes;
            self.pass(deadline)
                .with_context(|| format!("partition {} of {}", self.partition, self.topic))?;
            let again = deadline.is_some_and(|deadline| Instant::now() < deadline);
            if !again || self.reading.bytes == before {
                return Ok(std::mem::replace(&mut self.reading, Reading::new()));
            }
        }
    }

    fn pass(&mut self, deadline: Option<Instant>) -> Result<()> {
        let mut offset = self.first_offset;
        let mut end = None;
        while end.is_none_or(|end| offset < end) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            let (next, high_watermark) = self.step(offset)?;
            let end = *end.get_or_insert(high_watermark);
            if next <= offset && offset < end {
                bail!("no whole batch at offset {offset}, though the end is {end}");
            }
            offset = next;
        }
        Ok(())
    }

    /// One fetch from `offset`: the offset to go on from, and the high watermark.
    fn step(&mut self, offset: i64) -> Result<(i64, i64)> {
        let request = fetch::request(&self.topic, self.partition, offset, self.max_bytes);
        let sent = Instant::now();
        let (id, frame) = self.connection.call(request)?;
        self.reading.latencies.record(sent.elapsed());
        self.reading.requests += 1;
        let fetched = fetch::parse(frame, id)?;
        if fetched.error.is_error() {
            bail!("fetch from offset {offset}: {}", fetched.error);
        }
        let walk = batch::walk(fetched.records, self.verify)?;
        self.reading.bytes += walk.bytes as u64;
        self.reading.records += walk.records;
        Ok((walk.next_offset.unwrap_or(offset), fetched.high_watermark))
    }
}

impl fmt::Display for FetchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.1} MB/s  ({} in {:.2} s; {} records, {} connections, {} requests)",
            self.mb_per_second,
            human_bytes(self.bytes),
            self.seconds,
            self.records,
            self.connections,
            self.requests,
        )?;
        if let Some(latency) = &self.latency {
            writeln!(f, "latency  {latency}")?;
        }
        write_use(f, "server", self.server.as_ref(), self.bytes)?;
        write_use(f, "client", Some(&self.client), self.bytes)
    }
}
