//! Consumers: groups that each read the whole topic, with a connection for each partition.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};

use super::outcome::Flow;
use crate::cluster::Topic;
use crate::connection::Connection;
use crate::stats::{Latencies, Profile};
use crate::wire::content::first_stamp;
use crate::wire::{batch, fetch};
use crate::workload::Consume;

/// A broker that has records and hands none out for so long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// When readers end; made by the thread that starts them.
#[derive(Debug)]
pub struct Finish {
    began: Instant,
    /// The offset at which each partition ends, and the moment at which reading ends in any case.
    end: OnceLock<(Vec<i64>, Instant)>,
}

impl Finish {
    pub fn new(began: Instant) -> Self {
        Self { began, end: OnceLock::new() }
    }

    /// The moment that stamps count from.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Says where reading ends: at offset `ends[partition]`, at once where there is none; or at the
    /// deadline. What was said first holds.
    pub fn at(&self, ends: Vec<i64>, deadline: Instant) {
        self.end.get_or_init(|| (ends, deadline));
    }

    /// The end of a partition and the deadline, once they are known.
    fn of(&self, partition: i32) -> Option<(i64, Instant)> {
        let (ends, deadline) = self.end.get()?;
        Some((ends.get(partition as usize).copied().unwrap_or(i64::MIN), *deadline))
    }
}

/// Reads one partition for one group.
pub struct Reader {
    connection: Connection,
    topic: String,
    partition: i32,
    offset: i64,
    max_bytes: u32,
    stamped: bool,
}

/// What one reader read.
#[derive(Debug)]
pub struct Reading {
    requests: u64,
    bytes: u64,
    records: u64,
    began: Instant,
    /// When the last records came.
    last: Instant,
    requests_took: Latencies,
    end_to_end: Latencies,
}

impl Reader {
    /// The readers of all groups, connected.
    pub fn all(consume: &Consume, topic: &Topic, from: &[i64], stamped: bool) -> Result<Vec<Self>> {
        let mut readers = Vec::new();
        for _ in 0..consume.groups {
            for (partition, leader) in topic.leaders.iter().enumerate() {
                readers.push(Self {
                    connection: Connection::open(leader)?,
                    topic: topic.name.clone(),
                    partition: partition as i32,
                    offset: from[partition],
                    max_bytes: consume.fetch_bytes as u32,
                    stamped,
                });
            }
        }
        Ok(readers)
    }

    /// Reads until `finish`.
    pub fn read(&mut self, finish: &Finish) -> Result<Reading> {
        let now = Instant::now();
        let mut reading = Reading {
            requests: 0,
            bytes: 0,
            records: 0,
            began: now,
            last: now,
            requests_took: Latencies::new(),
            end_to_end: Latencies::new(),
        };
        let mut silent_since = now;
        loop {
            if let Some((end, deadline)) = finish.of(self.partition) {
                if self.offset >= end {
                    return Ok(reading);
                }
                if Instant::now() >= deadline {
                    return Ok(reading);
                }
                // A run that ends like this is no shorter run, but a failed one.
                ensure!(
                    silent_since.elapsed() < SILENCE_LIMIT,
                    "partition {} gives nothing at offset {}, though its end is {end}",
                    self.partition,
                    self.offset
                );
            }
            if self.step(finish, &mut reading)? {
                silent_since = Instant::now();
            }
        }
    }

    /// One request; whether records came.
    fn step(&mut self, finish: &Finish, reading: &mut Reading) -> Result<bool> {
        let request = fetch::request(&self.topic, self.partition, self.offset, self.max_bytes);
        let sent = Instant::now();
        let (id, frame) = self.connection.call(request)?;
        let now = Instant::now();
        reading.requests += 1;
        let fetched = fetch::parse(frame, id)?;
        if fetched.error.is_error() {
            bail!(
                "fetch from offset {} of partition {}: {}",
                self.offset,
                self.partition,
                fetched.error
            );
        }
        let (stamped, took) = (self.stamped, now.saturating_duration_since(finish.began));
        let end_to_end = &mut reading.end_to_end;
        let walk = batch::walk_each(fetched.records, false, |batch, records| {
            if let Some(due) = first_stamp(batch).filter(|_| stamped) {
                end_to_end.record_n(took.saturating_sub(Duration::from_nanos(due)), records);
            }
        })?;
        let Some(next) = walk.next_offset else { return Ok(false) };
        self.offset = next;
        reading.requests_took.record(now - sent);
        reading.bytes += walk.bytes as u64;
        reading.records += walk.records;
        reading.last = now;
        Ok(true)
    }
}

/// The sum of all readers; how long they took is until the last records came.
pub fn sum(readings: &[Reading]) -> (Option<Flow>, Option<Profile>) {
    let began = readings.iter().map(|reading| reading.began).min();
    let last = readings.iter().map(|reading| reading.last).max();
    let (Some(began), Some(last)) = (began, last) else { return (None, None) };
    let (mut requests_took, mut end_to_end) = (Latencies::new(), Latencies::new());
    for reading in readings {
        requests_took.add(&reading.requests_took);
        end_to_end.add(&reading.end_to_end);
    }
    let flow = Flow {
        seconds: (last - began).as_secs_f64(),
        requests: readings.iter().map(|reading| reading.requests).sum(),
        records: readings.iter().map(|reading| reading.records).sum(),
        bytes: readings.iter().map(|reading| reading.bytes).sum(),
        latency: requests_took.profile(),
        sent_late: None,
        unsent: 0,
    };
    (Some(flow), end_to_end.profile())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_without_an_end_are_at_it_at_once() {
        let finish = Finish::new(Instant::now());
        assert_eq!(finish.of(0), None);
        let deadline = Instant::now();
        finish.at(vec![5], deadline);
        finish.at(vec![9], deadline);
        assert_eq!(finish.of(0), Some((5, deadline)));
        assert_eq!(finish.of(1), Some((i64::MIN, deadline)));
    }

    #[test]
    fn time_of_all_readers_is_from_the_first_to_the_last_records() {
        let began = Instant::now();
        let reading = |from: u64, to: u64| Reading {
            requests: 1,
            bytes: 100,
            records: 2,
            began: began + Duration::from_secs(from),
            last: began + Duration::from_secs(to),
            requests_took: Latencies::new(),
            end_to_end: Latencies::new(),
        };
        let (flow, end_to_end) = sum(&[reading(0, 3), reading(1, 2)]);
        let flow = flow.unwrap();
        assert_eq!((flow.seconds, flow.bytes, flow.records), (3.0, 200, 4));
        assert_eq!(end_to_end, None);
        assert_eq!(sum(&[]).0, None);
    }
}
