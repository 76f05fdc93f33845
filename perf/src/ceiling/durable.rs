//! The bare durable write: direct writes, each waited for, one at a time or one for each of many files.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Context, Result};
use clap::Args;
use serde::Serialize;

use super::{create_file, AlignedBuffer, Blocks, Durability, BLOCK_BYTES};
use crate::size::{human_bytes, parse_bytes};
use crate::stats::{per_second, Latencies, LatencySummary};

/// How far written blocks are prepared; a longer run begins again at the front.
const WRITTEN_FILE_BYTES: u64 = 128 << 20;
/// A file of fallocated blocks ends the run when it is full: no block is written twice.
const FALLOCATED_FILE_BYTES: u64 = 2 << 30;

/// With many writers each has so few written blocks, again and again: no metadata is in the way.
const BLOCKS_OF_EACH: u64 = 16;
/// Enough to write, for a thousand threads.
const STACK_BYTES: usize = 64 << 10;

/// Arguments of `ceiling durable-write`.
#[derive(Debug, Clone, Args)]
pub struct DurableArgs {
    /// Directory on the disk to be measured
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Bytes of each write, a multiple of 4 KiB
    #[arg(long, default_value = "4KiB", value_parser = parse_bytes)]
    pub write_bytes: u64,
    #[arg(long, value_enum, default_value_t = Durability::Dsync)]
    pub durability: Durability,
    #[arg(long, value_enum, default_value_t = Blocks::Written)]
    pub blocks: Blocks,
    /// Files with a thread each, and a write in flight on each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub writers: u32,
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What the writes took.
#[derive(Debug, Clone, Serialize)]
pub struct DurableReport {
    pub writers: u32,
    pub write_bytes: u64,
    pub durability: Durability,
    pub blocks: Blocks,
    pub writes_per_second: f64,
    pub latency: Option<LatencySummary>,
}

/// Runs the command.
pub fn run(args: &DurableArgs) -> Result<DurableReport> {
    let write_bytes = args.write_bytes;
    ensure!(
        write_bytes > 0
            && write_bytes.is_multiple_of(BLOCK_BYTES as u64)
            && write_bytes <= 64 << 20,
        "--write-bytes is a multiple of {BLOCK_BYTES}, at most 64 MiB"
    );
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let dir = tempfile::tempdir_in(&args.dir)
        .with_context(|| format!("cannot write in {}", args.dir.display()))?;
    let mut files = Vec::new();
    for number in 0..args.writers {
        let path = dir.path().join(format!("durable-write-{number}"));
        let file_bytes = match args.blocks {
            _ if args.writers > 1 => write_bytes * BLOCKS_OF_EACH,
            Blocks::Written => WRITTEN_FILE_BYTES,
            Blocks::Fallocated => FALLOCATED_FILE_BYTES,
        };
        let file = create_file(&path, file_bytes, args.durability, args.blocks)?;
        files.push(Writer { file, file_bytes, args });
    }
    let began = Instant::now();
    let deadline = began + time;
    let latencies = Mutex::new(Latencies::new());
    let all: Result<Vec<u64>> = match &files[..] {
        [one] => one.write(deadline, &latencies).map(|writes| vec![writes]),
        many => thread::scope(|scope| {
            let start = |writer| {
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                let latencies = &latencies;
                thread.spawn_scoped(scope, move || Writer::write(writer, deadline, latencies))
            };
            let threads = many.iter().map(start).collect::<std::io::Result<Vec<_>>>()?;
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|ended| ended.map_err(|_| anyhow!("a writing thread panicked"))?).collect()
        }),
    };
    let writes = all?.iter().sum();
    let elapsed = began.elapsed();
    let latencies = latencies.into_inner().map_err(|_| anyhow!("a writing thread panicked"))?;
    Ok(DurableReport {
        writers: args.writers,
        write_bytes,
        durability: args.durability,
        blocks: args.blocks,
        writes_per_second: per_second(writes, elapsed),
        latency: latencies.summary(),
    })
}

struct Writer<'a> {
    file: File,
    file_bytes: u64,
    args: &'a DurableArgs,
}

impl Writer<'_> {
    /// Writes one block after the other until then; how many.
    fn write(&self, deadline: Instant, latencies: &Mutex<Latencies>) -> Result<u64> {
        let write_bytes = self.args.write_bytes;
        let mut buffer = AlignedBuffer::new(write_bytes as usize);
        buffer.as_mut_slice().fill(0xa5);
        let (mut at, mut writes) = (0, 0);
        let mut start = Instant::now();
        while start < deadline {
            if at + write_bytes > self.file_bytes {
                if self.args.blocks == Blocks::Fallocated && self.args.writers == 1 {
                    break;
                }
                at = 0;
            }
            self.file.write_all_at(buffer.as_slice(), at)?;
            if self.args.durability == Durability::Fdatasync {
                self.file.sync_data()?;
            }
            let ended = Instant::now();
            let mut latencies =
                latencies.lock().map_err(|_| anyhow!("a writing thread panicked"))?;
            latencies.record(ended - start);
            drop(latencies);
            at += write_bytes;
            writes += 1;
            start = Instant::now();
        }
        Ok(writes)
    }
}

impl fmt::Display for DurableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.0} writes/s of {} by {} ({:?}, {:?} blocks)",
            self.writes_per_second,
            human_bytes(self.write_bytes),
            self.writers,
            self.durability,
            self.blocks,
        )?;
        match &self.latency {
            Some(latency) => writeln!(f, "latency  {latency}"),
            None => Ok(()),
        }
    }
}
