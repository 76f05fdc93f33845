//! A workload at work on one broker: topics, backlog, warm-up, then what is measured.

pub mod command;
mod consume;
mod outcome;
mod produce;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context, Result};

use crate::cluster::Topic;
use crate::process::{ProcessSample, ProcessUse};
use crate::produce::{self as closed, Acks, Load, ProduceArgs};
use crate::system_calls::SystemCalls;
use crate::wire::list_offsets::End;
use crate::workload::{From, Settings, Workload};
use consume::Finish;
pub use outcome::{Flow, Outcome};

const TOPIC: &str = "corelane-perf";
const WARM_UP_TOPIC: &str = "corelane-perf-warm-up";
/// The warm-up is for the broker's code and the connections: it needs no more partitions.
const MOST_WARM_UP_PARTITIONS: u32 = 100;
/// How long consumers may take to read what is left once the producers have ended.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(120);

/// The broker that is loaded.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: String,
    /// Process whose cost is measured.
    pub pid: Option<u32>,
    /// Whether its system calls are counted, which costs it a little.
    pub count_system_calls: bool,
    /// Settings of the topics.
    pub topic: Settings,
}

/// How much of the load is applied.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Most bytes of batches that are produced.
    pub bytes: u64,
    /// Batches a second for a workload that asks for a share of Kafka's.
    pub batches_per_second: Option<f64>,
}

/// Creates the workload's topic and fills its backlog.
pub fn prepare(workload: &Workload, target: &Target) -> Result<()> {
    let settings: Vec<_> = target.topic.clone().into_iter().collect();
    if let Some(backlog) = &workload.backlog {
        return closed::run(&ProduceArgs {
            bootstrap: target.address.clone(),
            topic: TOPIC.to_owned(),
            partitions: workload.partitions,
            topic_config: settings,
            acks: Acks::Leader,
            load: Load {
                record_size: 1024,
                batch_bytes: 256 << 10,
                connections: workload.partitions.min(8) as u16,
                in_flight: 5,
                seconds: 3600.0,
                bytes: backlog.bytes,
            },
            broker_pid: None,
            json: false,
        })
        .map(drop)
        .context("writing the backlog");
    }
    let topic = Topic::ensure(&target.address, TOPIC, workload.partitions, &settings)?;
    topic.warm_up()
}

/// Applies the load to a topic of its own and throws the result away. A drain reads nothing that
/// could be read again: its warm-up writes and reads a little.
pub fn warm_up(workload: &Workload, target: &Target, limits: &Limits) -> Result<()> {
    let partitions = workload.partitions.min(MOST_WARM_UP_PARTITIONS);
    let mut small = Workload { partitions, ..workload.clone() };
    if let Some(produce) = &mut small.produce {
        produce.partitions_per_request = produce.partitions_per_request.min(partitions);
    }
    let settings: Vec<_> = target.topic.clone().into_iter().collect();
    let fill = small.backlog.is_some();
    if fill {
        closed::run(&ProduceArgs {
            bootstrap: target.address.clone(),
            topic: WARM_UP_TOPIC.to_owned(),
            partitions,
            topic_config: settings,
            acks: Acks::Leader,
            load: Load {
                record_size: 1024,
                batch_bytes: 256 << 10,
                connections: partitions.min(8) as u16,
                in_flight: 5,
                seconds: limits.time.as_secs_f64().max(0.1),
                bytes: limits.bytes,
            },
            broker_pid: None,
            json: false,
        })?;
    } else {
        Topic::ensure(&target.address, WARM_UP_TOPIC, partitions, &settings)?.warm_up()?;
    }
    run(&small, WARM_UP_TOPIC, target, limits).map(drop).context("warming up")
}

/// Applies the load and measures it.
pub fn measure(workload: &Workload, target: &Target, limits: &Limits) -> Result<Outcome> {
    run(workload, TOPIC, target, limits)
}

fn run(workload: &Workload, topic: &str, target: &Target, limits: &Limits) -> Result<Outcome> {
    let topic = Topic::find(&target.address, topic)?;
    let ends = topic.offsets(End::Next)?;
    let finish = Finish::new(Instant::now());
    let mut readers = Vec::new();
    if let Some(consume) = &workload.consume {
        let from = match consume.from {
            From::Tail => ends.clone(),
            From::Backlog => {
                finish.at(ends.clone(), Instant::now() + limits.time);
                topic.offsets(End::First)?
            }
        };
        let stamped = workload.is_open_loop() && consume.from == From::Tail;
        readers = consume::Reader::all(consume, &topic, &from, stamped)?;
    }
    let mut producers = match &workload.produce {
        Some(load) => Some(produce::Producers::connect(load, &topic, limits, finish.began())?),
        None => None,
    };
    let calls = target.pid.filter(|_| target.count_system_calls).and_then(SystemCalls::count);
    let broker_before = target.pid.map(ProcessSample::read).transpose()?;
    let client_before = ProcessSample::of_self()?;
    let drained = AtomicBool::new(false);
    let (produced, consumed) = thread::scope(|scope| {
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|reader| {
                scope.spawn(|| {
                    let reading = reader.read(&finish);
                    // Producers are measured while all read: what comes after is another load.
                    drained.store(workload.drains(), Ordering::Relaxed);
                    reading
                })
            })
            .collect();
        let produced = producers.as_mut().map(|producers| producers.run(&drained));
        let tail = workload.consume.as_ref().is_some_and(|consume| consume.from == From::Tail);
        let produced = produced.transpose();
        if tail {
            // Where producing failed, readers end at once.
            let ends = produced.as_ref().ok().and_then(|_| topic.offsets(End::Next).ok());
            finish.at(ends.unwrap_or_default(), Instant::now() + CATCH_UP_LIMIT);
        }
        let readings = reading
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a reading thread panicked"))?)
            .collect::<Result<Vec<_>>>();
        Ok::<_, anyhow::Error>((produced?, readings?))
    })?;
    let client = ProcessUse::of_self_since(&client_before)?;
    let broker_after = target.pid.map(ProcessSample::read).transpose()?;
    let broker = broker_before.zip(broker_after).map(|(before, after)| before.until(&after));
    if let (Some(flow), Some(load)) = (&produced, &workload.produce) {
        produce::check_nothing_lost(&topic, &ends, load, flow)?;
    }
    let (consumed, end_to_end) = consume::sum(&consumed);
    Ok(Outcome {
        produced,
        consumed,
        end_to_end,
        broker,
        system_calls: calls.and_then(SystemCalls::end),
        client,
    })
}
