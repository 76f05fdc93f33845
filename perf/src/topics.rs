//! `topics`: topics created and deleted by the thousand, and Metadata of all of them.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use clap::Args;
use serde::Serialize;

use crate::connection::Connection;
use crate::stats::{Latencies, LatencySummary};
use crate::wire::{create_topics, delete_topics, metadata};

/// After this long topics that were created, or deleted, have to be seen so.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// Arguments of `topics`.
#[derive(Debug, Clone, Args)]
pub struct TopicsArgs {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    #[arg(long, default_value_t = 1_000)]
    pub topics: usize,
    /// Of each topic
    #[arg(long, default_value_t = 10)]
    pub partitions: u32,
    /// Topics in one request
    #[arg(long, default_value_t = 100)]
    pub batch: usize,
    /// Their names are this and a number
    #[arg(long, default_value = "many-")]
    pub prefix: String,
    /// Metadata requests for all topics, once they are there
    #[arg(long, default_value_t = 200)]
    pub metadata: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct TopicsReport {
    pub create: Phase,
    pub metadata: Option<LatencySummary>,
    /// Bytes of one answer to Metadata for all topics.
    pub metadata_bytes: usize,
    pub delete: Phase,
}

/// Requests one after the other, each answered before the next.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Until the last answer.
    pub answered_s: f64,
    /// Until Metadata shows all of it.
    pub seen_s: f64,
    pub requests: Option<LatencySummary>,
}

/// Runs the command.
pub fn run(args: &TopicsArgs) -> Result<TopicsReport> {
    ensure!(args.topics > 0 && args.batch > 0, "--topics and --batch are at least 1");
    let mut connection = Connection::open(&args.bootstrap)?;
    let names: Vec<String> = (0..args.topics).map(|n| format!("{}{n}", args.prefix)).collect();
    let before = partitions(&mut connection)?.0;
    let all = args.topics * args.partitions as usize;
    let create = phase(&mut connection, &names, args.batch, before + all, |connection, names| {
        let (id, frame) = connection.call(create_topics::of_all(names, args.partitions))?;
        Ok(create_topics::parse(frame, id)?)
    })?;
    let mut latencies = Latencies::new();
    let mut metadata_bytes = 0;
    for _ in 0..args.metadata {
        let begun = Instant::now();
        let (_, frame) = connection.call(metadata::request_all())?;
        metadata_bytes = frame.len();
        latencies.record(begun.elapsed());
    }
    let delete = phase(&mut connection, &names, args.batch, before, |connection, names| {
        let (id, frame) = connection.call(delete_topics::request(names))?;
        Ok(delete_topics::parse(frame, id)?)
    })?;
    Ok(TopicsReport { create, metadata: latencies.summary(), metadata_bytes, delete })
}

fn phase(
    connection: &mut Connection,
    names: &[String],
    batch: usize,
    expected: usize,
    ask: impl Fn(&mut Connection, &[String]) -> Result<()>,
) -> Result<Phase> {
    let mut latencies = Latencies::new();
    let begun = Instant::now();
    for names in names.chunks(batch) {
        let asked = Instant::now();
        ask(connection, names)?;
        latencies.record(asked.elapsed());
    }
    let answered = begun.elapsed();
    loop {
        let (found, leaderless) = partitions(connection)?;
        if found == expected && leaderless == 0 {
            break;
        }
        if begun.elapsed() > SETTLE_LIMIT + answered {
            bail!("{found} partitions are there, {leaderless} without leader, not {expected}");
        }
        thread::sleep(SETTLE_PAUSE);
    }
    Ok(Phase {
        answered_s: answered.as_secs_f64(),
        seen_s: begun.elapsed().as_secs_f64(),
        requests: latencies.summary(),
    })
}

/// Partitions of all topics, and how many of them have no leader.
fn partitions(connection: &mut Connection) -> Result<(usize, usize)> {
    let (id, frame) = connection.call(metadata::request_all())?;
    Ok(metadata::count(frame, id)?)
}

impl fmt::Display for TopicsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, phase) in [("created", &self.create), ("deleted", &self.delete)] {
            writeln!(
                f,
                "{what}   answered in {:.3} s, seen in {:.3} s",
                phase.answered_s, phase.seen_s
            )?;
            if let Some(requests) = &phase.requests {
                writeln!(f, "  a request  {requests}")?;
            }
        }
        if let Some(metadata) = &self.metadata {
            writeln!(f, "metadata  {} bytes  {metadata}", self.metadata_bytes)?;
        }
        Ok(())
    }
}
