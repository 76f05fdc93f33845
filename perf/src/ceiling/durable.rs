//! The bare durable write: one direct write at a time, each waited for.

use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde::Serialize;

use super::{create_file, AlignedBuffer, Blocks, Durability, BLOCK_BYTES};
use crate::size::{human_bytes, parse_bytes};
use crate::stats::{per_second, Latencies, LatencySummary};

/// How far written blocks are prepared; a longer run begins again at the front.
const WRITTEN_FILE_BYTES: u64 = 128 << 20;
/// A file of fallocated blocks ends the run when it is full: no block is written twice.
const FALLOCATED_FILE_BYTES: u64 = 2 << 30;

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
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What the writes took.
#[derive(Debug, Clone, Serialize)]
pub struct DurableReport {
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
    let file_bytes = match args.blocks {
        Blocks::Written => WRITTEN_FILE_BYTES,
        Blocks::Fallocated => FALLOCATED_FILE_BYTES,
    };
    let path = dir.path().join("durable-write");
    let file = create_file(&path, file_bytes, args.durability, args.blocks)?;
    let mut buffer = AlignedBuffer::new(write_bytes as usize);
    buffer.as_mut_slice().fill(0xa5);
    let mut latencies = Latencies::new();
    let began = Instant::now();
    let mut at = 0;
    let mut writes = 0;
    while began.elapsed() < time {
        if at + write_bytes > file_bytes {
            if args.blocks == Blocks::Fallocated {
                break;
            }
            at = 0;
        }
        let start = Instant::now();
        file.write_all_at(buffer.as_slice(), at)?;
        if args.durability == Durability::Fdatasync {
            file.sync_data()?;
        }
        latencies.record(start.elapsed());
        at += write_bytes;
        writes += 1;
    }
    Ok(DurableReport {
        write_bytes,
        durability: args.durability,
        blocks: args.blocks,
        writes_per_second: per_second(writes, began.elapsed()),
        latency: latencies.summary(),
    })
}

impl fmt::Display for DurableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.0} writes/s of {} ({:?}, {:?} blocks)",
            self.writes_per_second,
            human_bytes(self.write_bytes),
            self.durability,
            self.blocks,
        )?;
        match &self.latency {
            Some(latency) => writeln!(f, "latency  {latency}"),
            None => Ok(()),
        }
    }
}
