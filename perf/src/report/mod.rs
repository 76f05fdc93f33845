//! `report`: every measure of a broker beside the ceiling of the same machine in the same run.
//!
//! A pair is one run against the broker and one against the ceiling, right after each other; all
//! measures are gone through once before the second pair of any begins. So a machine that slows
//! down or speeds up meanwhile does it to both sides of each ratio.

mod measure;
mod results;
mod table;

use std::path::PathBuf;

use anyhow::{ensure, Result};
use clap::{Args, ValueEnum};

use crate::produce::Acks;
use crate::size::parse_bytes;
use measure::{Bench, Fetch, Produce};
use results::Results;

/// Arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The broker's program (a release build)
    #[arg(long)]
    pub corelane: PathBuf,
    /// Directory on the disk to be measured; all that is written there is removed again
    #[arg(long)]
    pub dir: PathBuf,
    /// How often each measure is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pairs: u32,
    /// Longest run of one measure
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Most bytes written in one run
    #[arg(long, default_value = "4GiB", value_parser = parse_bytes)]
    pub bytes: u64,
    /// Take only these measures; may be given several times
    #[arg(long, value_enum)]
    pub only: Vec<Kind>,
    /// Argument handed on to `corelane serve`; may be given several times
    #[arg(long = "serve-arg", allow_hyphen_values = true)]
    pub serve_args: Vec<String>,
    /// Print JSON, every run of every measure in it
    #[arg(long)]
    pub json: bool,
}

/// The kinds of measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Produce,
    Fetch,
    Latency,
    Memory,
}

impl ReportArgs {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }
}

const PARTITIONS: [u32; 2] = [1, 8];
const ACKS: [Acks; 2] = [Acks::All, Acks::Leader];
const BATCH_BYTES: [u64; 3] = [64 << 10, 256 << 10, 1 << 20];

/// Takes all measures and prints them. A measure that fails is named at the end, and the others
/// are taken all the same.
pub fn run(args: &ReportArgs) -> Result<()> {
    ensure!(args.corelane.is_file(), "{} is not a file", args.corelane.display());
    ensure!(args.dir.is_dir(), "{} is not a directory", args.dir.display());
    let bench = Bench::new(args)?;
    let mut results = Results::new(args);
    for pair in 1..=args.pairs {
        eprintln!("pair {pair} of {}", args.pairs);
        take_all(args, &bench, &mut results);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", table::Markdown(&results));
    }
    ensure!(results.failures.is_empty(), "failed runs: {}", results.failures.len());
    Ok(())
}

fn take_all(args: &ReportArgs, bench: &Bench, results: &mut Results) {
    if args.wants(Kind::Produce) {
        for partitions in PARTITIONS {
            for acks in ACKS {
                for batch_bytes in BATCH_BYTES {
                    let measure = Produce { partitions, acks, batch_bytes };
                    results.add_throughput(measure.to_string(), bench.produce(measure));
                }
            }
        }
    }
    if args.wants(Kind::Fetch) {
        for partitions in PARTITIONS {
            for restarted in [false, true] {
                let measure = Fetch { partitions, restarted };
                results.add_throughput(measure.to_string(), bench.fetch(measure));
            }
        }
    }
    if args.wants(Kind::Latency) {
        results.add_latencies(bench.latencies());
    }
    if args.wants(Kind::Memory) {
        results.add_footprint(bench.footprint());
    }
}
