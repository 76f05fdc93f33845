//! `latency`: one small produce at a time, or at a fixed rate whatever the broker does.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Result};
use clap::Args;
use serde::Serialize;

use crate::cluster::{now_ms, Topic};
use crate::connection::{Connection, Sender};
use crate::produce::Acks;
use crate::size::{parse_bytes, parse_setting};
use crate::stats::{Latencies, LatencySummary};
use crate::wire::{batch, produce};
use crate::workload::schedule::{wake_on_time, Schedule};

/// Arguments of `latency`.
#[derive(Debug, Clone, Args)]
pub struct LatencyArgs {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Created with one partition if it is not there
    #[arg(long)]
    pub topic: String,
    /// Setting of the topic if it is created, as key=value; may be given several times
    #[arg(long = "topic-config", value_parser = parse_setting)]
    pub topic_config: Vec<(String, String)>,
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Bytes of the one record's value
    #[arg(long, default_value = "100", value_parser = parse_bytes)]
    pub record_size: u64,
    /// Requests a second, sent on schedule whether or not earlier ones are answered, each timed
    /// from its scheduled moment; default: the next is sent when the last is answered
    #[arg(long)]
    pub rate: Option<f64>,
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a latency run came to.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyReport {
    /// Requests a second that were scheduled; none for one at a time.
    pub rate: Option<f64>,
    pub latency: Option<LatencySummary>,
    /// How late requests left, behind their schedule: what of the latency is the client's own.
    pub sent_late: Option<LatencySummary>,
}

/// Runs the command.
pub fn run(args: &LatencyArgs) -> Result<LatencyReport> {
    ensure!(args.acks != Acks::None, "with acks 0 there is no answer to time");
    ensure!(args.record_size <= 1 << 20, "--record-size is at most 1 MiB");
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let topic = Topic::ensure(&args.bootstrap, &args.topic, 1, &args.topic_config)?;
    topic.warm_up()?;
    let batch = batch::encode(args.record_size as usize, 1, now_ms()).bytes;
    let head = produce::head(&topic.name, 0, args.acks.on_the_wire(), batch.len());
    let connection = Connection::open(&topic.leaders[0])?;
    match args.rate {
        None => one_at_a_time(connection, head, &batch, time),
        Some(rate) => on_schedule(connection, head, &batch, time, rate),
    }
}

fn one_at_a_time(
    mut connection: Connection,
    mut head: Vec<u8>,
    batch: &[u8],
    time: Duration,
) -> Result<LatencyReport> {
    let mut latencies = Latencies::new();
    let deadline = Instant::now() + time;
    let mut sent = Instant::now();
    while sent < deadline {
        let id = connection.send(&mut head, batch, produce::TAIL)?;
        produce::parse(connection.receive()?, id)?;
        let answered = Instant::now();
        latencies.record(answered - sent);
        sent = answered;
    }
    Ok(LatencyReport { rate: None, latency: latencies.summary(), sent_late: None })
}

/// A thread sends on schedule, this one receives. Answers come in the order of the requests, so
/// the number of an answer tells when its request was due: nothing needs to be handed over. A
/// stall of the broker is charged to every request that was due meanwhile (no coordinated
/// omission).
fn on_schedule(
    mut connection: Connection,
    head: Vec<u8>,
    batch: &[u8],
    time: Duration,
    rate: f64,
) -> Result<LatencyReport> {
    let schedule = Schedule::new(Instant::now() + Duration::from_millis(10), rate, 1, time)?;
    let sender = connection.sender()?;
    let mut latencies = Latencies::new();
    let late = thread::scope(|scope| {
        let sending = scope.spawn(move || send_on_schedule(sender, head, batch, schedule));
        for number in 0..schedule.count {
            produce::parse(connection.receive()?, number as i32)?;
            latencies.record(schedule.due(number).elapsed());
        }
        sending.join().map_err(|_| anyhow!("the sending thread panicked"))?
    })?;
    Ok(LatencyReport { rate: Some(rate), latency: latencies.summary(), sent_late: late.summary() })
}

fn send_on_schedule(
    mut sender: Sender,
    mut head: Vec<u8>,
    batch: &[u8],
    schedule: Schedule,
) -> Result<Latencies> {
    wake_on_time()?;
    let mut late = Latencies::new();
    for number in 0..schedule.count {
        let due = schedule.due(number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late.record(due.elapsed());
        sender.send(&mut head, batch, produce::TAIL, false)?;
    }
    Ok(late)
}

impl fmt::Display for LatencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(rate) => writeln!(f, "{rate} requests/s on schedule")?,
            None => writeln!(f, "one request at a time")?,
        }
        if let Some(latency) = &self.latency {
            writeln!(f, "latency    {latency}")?;
        }
        if let Some(late) = &self.sent_late {
            writeln!(f, "sent late  {late}")?;
        }
        Ok(())
    }
}
