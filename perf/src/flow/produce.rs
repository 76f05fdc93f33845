//! Producers: as fast as answers come, or on schedule whatever the broker does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Context, Result};

use super::outcome::Flow;
use super::Limits;
use crate::cluster::{now_ms, Share, Topic};
use crate::connection::{Connection, Sender};
use crate::load::{drive, Answers, Request, Tally, Work};
use crate::stats::Latencies;
use crate::wire::content::StampedBatch;
use crate::wire::list_offsets::End;
use crate::wire::{metadata, produce};
use crate::workload::schedule::{wake_on_time, Schedule};
use crate::workload::Produce;

/// How long after the end of its time a schedule that lags may still be caught up with.
const LAG_LIMIT: Duration = Duration::from_secs(1);
/// From connecting to the first request that is due.
const LEAD: Duration = Duration::from_millis(10);

/// Producers that are connected and have their batches encoded.
pub enum Producers {
    Closed {
        work: Vec<Work>,
        answers: Answers,
        batch: Batch,
        time: Duration,
        requests: u64,
    },
    Open {
        producers: Vec<OnSchedule>,
        rate: f64,
        burst: u32,
        time: Duration,
        requests: u64,
        base: Instant,
    },
}

/// What one request carries.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    bytes: u64,
    records: u64,
}

impl Producers {
    /// Connects; stamps count from `base`.
    pub fn connect(load: &Produce, topic: &Topic, limits: &Limits, base: Instant) -> Result<Self> {
        let shares = topic.deal(usize::from(load.connections));
        match &load.rate {
            None => closed(load, topic, &shares, limits),
            Some(rate) => {
                let batches = rate.batches_per_second.or(limits.batches_per_second);
                let batches =
                    batches.context("a share of Kafka's rate, and what that is is unknown")?;
                let acks = load.acks.on_the_wire();
                let batch = load.content().encode_stamped(now_ms());
                let requests = limits.bytes / batch.bytes_len() as u64;
                let producers = shares.iter().map(|share| {
                    let head = |&partition: &i32| {
                        produce::head(&topic.name, partition, acks, batch.bytes_len())
                    };
                    let heads = share.partitions.iter().map(head).collect();
                    let connection = Connection::open(&share.address)?;
                    Ok(OnSchedule { connection, heads, batch: batch.clone() })
                });
                let producers = producers.collect::<Result<Vec<_>>>()?;
                Ok(Self::Open {
                    producers,
                    rate: batches,
                    burst: rate.burst,
                    time: limits.time,
                    requests,
                    base,
                })
            }
        }
    }

    /// Sends until the time or the bytes are used up, or with a schedule until `enough`, and waits for
    /// all answers.
    pub fn run(&mut self, enough: &AtomicBool) -> Result<Flow> {
        match self {
            Self::Closed { work, answers, batch, time, requests } => {
                let (Tally { requests, latencies }, elapsed) =
                    drive(work, *answers, *time, *requests)?;
                Ok(Flow {
                    seconds: elapsed.as_secs_f64(),
                    requests,
                    records: requests * batch.records,
                    bytes: requests * batch.bytes,
                    latency: latencies.profile(),
                    sent_late: None,
                    unsent: 0,
                })
            }
            Self::Open { producers, rate, burst, time, requests, base } => {
                let schedule = (*rate, *burst, *time);
                on_schedule(producers, schedule, *requests, *base, enough)
            }
        }
    }
}

fn closed(load: &Produce, topic: &Topic, shares: &[Share], limits: &Limits) -> Result<Producers> {
    let encoded = load.content().encode(now_ms())?;
    let acks = load.acks.on_the_wire();
    let many = load.partitions_per_request as usize;
    let per_request = if many == 1 {
        1
    } else {
        shares.iter().map(|share| share.partitions.len()).min().unwrap_or(1).min(many)
    };
    let bytes: Arc<[u8]> = encoded.bytes.into();
    let mut work = Vec::new();
    for share in shares {
        let requests =
            share.partitions.chunks_exact(per_request).map(|partitions| match partitions {
                [partition] => Request {
                    head: produce::head(&topic.name, *partition, acks, bytes.len()),
                    batch: Arc::clone(&bytes),
                    tail: produce::TAIL,
                },
                several => Request {
                    head: produce::to_many(&topic.name, several, acks, &bytes),
                    batch: Arc::from(&[][..]),
                    tail: &[],
                },
            });
        let connection = Connection::open(&share.address)?;
        work.push(Work { connection, requests: requests.collect() });
    }
    let check = if per_request == 1 { produce::parse } else { produce::parse_many };
    let batch = Batch {
        bytes: (bytes.len() * per_request) as u64,
        records: u64::from(encoded.records) * per_request as u64,
    };
    Ok(Producers::Closed {
        work,
        answers: Answers::Each { in_flight: usize::from(load.in_flight), check },
        batch,
        time: limits.time,
        requests: (limits.bytes / batch.bytes).max(1),
    })
}

/// One connection that sends when requests are due.
pub struct OnSchedule {
    connection: Connection,
    heads: Vec<Vec<u8>>,
    batch: StampedBatch,
}

/// What one connection came to.
struct Sent {
    requests: u64,
    latencies: Latencies,
    late: Latencies,
    unsent: u64,
}

fn on_schedule(
    producers: &mut [OnSchedule],
    (rate, burst, time): (f64, u32, Duration),
    requests: u64,
    base: Instant,
    enough: &AtomicBool,
) -> Result<Flow> {
    let connections = producers.len();
    let batch = producers.first().context("no connection")?.batch.clone();
    let began = Instant::now();
    let whole = Schedule::new(began + LEAD, rate, burst, time)?;
    let stop = began + LEAD + time + LAG_LIMIT;
    let sent = thread::scope(|scope| {
        let threads: Vec<_> = producers
            .iter_mut()
            .enumerate()
            .map(|(number, producer)| {
                let schedule = whole.share(number, connections);
                let schedule = schedule.at_most((requests / connections as u64).max(1));
                scope.spawn(move || producer.run(schedule, stop, base, enough))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a load thread panicked"))?)
            .collect::<Result<Vec<Sent>>>()
    })?;
    let elapsed = began.elapsed();
    let (mut latencies, mut late) = (Latencies::new(), Latencies::new());
    for sent in &sent {
        latencies.add(&sent.latencies);
        late.add(&sent.late);
    }
    let requests = sent.iter().map(|sent| sent.requests).sum::<u64>();
    Ok(Flow {
        seconds: elapsed.as_secs_f64(),
        requests,
        records: requests * u64::from(batch.records()),
        bytes: requests * batch.bytes_len() as u64,
        latency: latencies.profile(),
        sent_late: late.profile(),
        unsent: sent.iter().map(|sent| sent.unsent).sum(),
    })
}

/// The number of the last request is not known yet.
const UNKNOWN: u64 = u64::MAX;

impl OnSchedule {
    /// A thread sends, this one receives. Answers come in the order of the requests, so the number
    /// of an answer tells when its request was due. A last request of another kind marks the end.
    fn run(
        &mut self,
        schedule: Schedule,
        stop: Instant,
        base: Instant,
        enough: &AtomicBool,
    ) -> Result<Sent> {
        let sender = self.connection.sender()?;
        let total = AtomicU64::new(UNKNOWN);
        let Self { connection, heads, batch } = self;
        let mut latencies = Latencies::new();
        let late = thread::scope(|scope| {
            let total = &total;
            let sending = scope.spawn(move || {
                let mut sending = Sending { sender, heads, batch, base, late: Latencies::new() };
                sending.run(schedule, stop, enough, total)?;
                Ok::<_, anyhow::Error>(sending.late)
            });
            for number in 0.. {
                let frame = connection.receive()?;
                if total.load(Ordering::Acquire) == number {
                    break;
                }
                produce::parse(frame, number as i32)?;
                latencies.record(schedule.due(number).elapsed());
            }
            sending.join().map_err(|_| anyhow!("the sending thread panicked"))?
        })?;
        let requests = total.load(Ordering::Acquire);
        let ended = Instant::now();
        let due = match enough.load(Ordering::Relaxed) {
            true => requests,
            false => schedule.count,
        };
        for number in requests..due {
            latencies.record(ended.saturating_duration_since(schedule.due(number)));
        }
        Ok(Sent { requests, latencies, late, unsent: due - requests })
    }
}

struct Sending<'a> {
    sender: Sender,
    heads: &'a mut [Vec<u8>],
    batch: &'a mut StampedBatch,
    base: Instant,
    late: Latencies,
}

impl Sending<'_> {
    fn run(
        &mut self,
        schedule: Schedule,
        stop: Instant,
        enough: &AtomicBool,
        total: &AtomicU64,
    ) -> Result<()> {
        wake_on_time()?;
        let mut sent = 0;
        while sent < schedule.count {
            let due = schedule.due(sent);
            let mut now = Instant::now();
            if now >= stop || enough.load(Ordering::Relaxed) {
                break;
            }
            if due > now {
                thread::sleep(due - now);
                now = Instant::now();
            }
            self.late.record(due.elapsed());
            let stamp = due.saturating_duration_since(self.base).as_nanos() as u64;
            let next = (sent % self.heads.len() as u64) as usize;
            let more = sent + 1 < schedule.count && schedule.due(sent + 1) <= now;
            let batch = self.batch.stamped(stamp);
            self.sender.send(&mut self.heads[next], batch, produce::TAIL, more)?;
            sent += 1;
        }
        // Before the mark is sent: its answer must find the number.
        total.store(sent, Ordering::Release);
        Ok(self.sender.send(&mut metadata::request(""), &[], &[], false)?)
    }
}

/// Each acknowledged record must be there, or the figure is none.
pub fn check_nothing_lost(
    topic: &Topic,
    before: &[i64],
    load: &Produce,
    flow: &Flow,
) -> Result<()> {
    let after = topic.offsets(End::Next)?;
    let grown: i64 = after.iter().zip(before).map(|(after, before)| after - before).sum();
    ensure!(
        grown >= 0 && grown as u64 >= flow.records,
        "{} records were acknowledged with acks={} and the topic grew by {grown}",
        flow.records,
        load.acks
    );
    Ok(())
}
