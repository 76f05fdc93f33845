//! The client side of the ceiling: the load of `produce`, `fetch` and `latency` on bare servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use clap::Args;

use super::frames;
use super::server::{Server, ServerCommand, SinkOptions, SourceOptions};
use super::source::LARGEST_ANSWER;
use super::{Blocks, Durability};
use crate::connection::Connection;
use crate::fetch::{self, FetchReport, Reading};
use crate::latency::LatencyReport;
use crate::load::{Answers, Request, Work};
use crate::produce::{self, Load, ProduceReport};
use crate::size::parse_bytes;
use crate::stats::Latencies;
use crate::workload::schedule::wake_on_time;

/// Arguments of `ceiling produce`.
#[derive(Debug, Clone, Args)]
pub struct SinkArgs {
    /// Directory on the disk to be measured
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    #[arg(long, value_enum, default_value_t = Durability::None)]
    pub durability: Durability,
    #[arg(long, value_enum, default_value_t = Blocks::Fallocated)]
    pub blocks: Blocks,
    #[command(flatten)]
    pub load: Load,
    /// Cores of the server, as 0,2,4-7; default: all
    #[arg(long)]
    pub server_cpus: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A longer run reads the same file again.
const LARGEST_FILE: u64 = 2 << 30;

/// Arguments of `ceiling fetch`.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Bytes of each answer
    #[arg(long, default_value = "1MiB", value_parser = parse_bytes)]
    pub fetch_bytes: u64,
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// End after this many bytes, if that is sooner
    #[arg(long, default_value = "64GiB", value_parser = parse_bytes)]
    pub bytes: u64,
    /// Read the bytes directly from files made here, not from memory
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Cores of the server, as 0,2,4-7; default: all
    #[arg(long)]
    pub server_cpus: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `ceiling echo`.
#[derive(Debug, Clone, Args)]
pub struct EchoArgs {
    /// Bytes of each message
    #[arg(long, default_value = "100", value_parser = parse_bytes)]
    pub message_bytes: u64,
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Messages that are sent at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub burst: u32,
    /// Milliseconds from one burst to the next, with silence between them; default: as soon as all
    /// are back
    #[arg(long)]
    pub every_ms: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Socket in, O_DIRECT file out: one file for each connection.
pub fn produce(args: &SinkArgs) -> Result<ProduceReport> {
    let encoded = args.load.batch()?;
    let batch: Arc<[u8]> = encoded.bytes.into();
    let connections = usize::from(args.load.connections);
    let dir = tempfile::tempdir_in(&args.dir)
        .with_context(|| format!("cannot write in {}", args.dir.display()))?;
    // Connections draw on one byte budget and do not run equally fast: leave each some room. One
    // that runs past its reserved blocks goes on in a growing file.
    let share = args.load.bytes / connections as u64;
    let file_bytes = share + share / 4 + (16 << 20);
    let sink = ServerCommand::Sink(SinkOptions {
        dir: dir.path().to_owned(),
        files: connections,
        file_bytes: file_bytes.next_multiple_of(super::BLOCK_BYTES as u64),
        durability: args.durability,
        blocks: args.blocks,
    });
    let server = Server::start(&sink, args.server_cpus.as_deref())?;
    let request = Request { head: frames::head(batch.len()), batch, tail: &[] };
    let work = (0..connections)
        .map(|_| {
            let connection = Connection::open(server.address())?;
            Ok(Work { connection, requests: vec![request.clone()] })
        })
        .collect::<Result<Vec<_>>>()?;
    let answers =
        Answers::Each { in_flight: usize::from(args.load.in_flight), check: frames::check_ack };
    produce::measure(work, answers, &args.load, encoded.records, Some(server.pid()))
}

/// Memory out to sockets, an answer for each request as a fetch has it.
pub fn fetch(args: &SourceArgs) -> Result<FetchReport> {
    ensure!(args.fetch_bytes <= u64::from(LARGEST_ANSWER), "--fetch-bytes is at most 64 MiB");
    let wanted = (args.fetch_bytes as u32).to_be_bytes();
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let share = args.bytes / u64::from(args.connections);
    let source = ServerCommand::Source(SourceOptions {
        dir: args.dir.clone(),
        files: usize::from(args.connections),
        file_bytes: share.clamp(args.fetch_bytes, LARGEST_FILE).next_multiple_of(args.fetch_bytes),
    });
    let server = Server::start(&source, args.server_cpus.as_deref())?;
    let mut work = Vec::new();
    for _ in 0..args.connections {
        let mut connection = Connection::open(server.address())?;
        let deadline = Instant::now() + time;
        work.push(move || {
            let mut reading = Reading::new();
            let mut head = frames::head(wanted.len());
            while reading.bytes < share && Instant::now() < deadline {
                let sent = Instant::now();
                let id = connection.send(&mut head, &wanted, &[])?;
                let frame = connection.receive()?;
                reading.latencies.record(sent.elapsed());
                frames::check_ack(frame, id)?;
                reading.requests += 1;
                reading.bytes += frame.len() as u64 - 4;
            }
            Ok(reading)
        });
    }
    fetch::measure(work, Some(server.pid()))
}

/// Small messages there and back, one at a time or in bursts. With a time from burst to burst each
/// is counted from the moment it was due, as records of an open loop are.
pub fn echo(args: &EchoArgs) -> Result<LatencyReport> {
    ensure!(
        (frames::HEAD_LEN as u64..=4096).contains(&args.message_bytes),
        "--message-bytes is {}..=4096",
        frames::HEAD_LEN
    );
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let server = Server::start(&ServerCommand::Echo, None)?;
    let mut connection = Connection::open(server.address())?;
    let payload = vec![0; args.message_bytes as usize - frames::HEAD_LEN];
    let mut head = frames::head(payload.len());
    let mut sender = connection.sender()?;
    let mut latencies = Latencies::new();
    let every = args.every_ms.map(|ms| Duration::try_from_secs_f64(ms / 1e3)).transpose()?;
    wake_on_time()?;
    let deadline = Instant::now() + time;
    let mut due = Instant::now();
    while due < deadline {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for left in (0..args.burst).rev() {
            sender.send(&mut head, &payload, &[], left > 0)?;
        }
        for _ in 0..args.burst {
            connection.receive()?;
            latencies.record(due.elapsed());
        }
        due = every.map_or_else(Instant::now, |every| due + every);
    }
    Ok(LatencyReport { rate: None, latency: latencies.summary(), sent_late: None })
}
