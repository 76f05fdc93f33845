//! Finding and creating topics: what happens before the clock starts.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::connection::Connection;
use crate::wire::list_offsets::End;
use crate::wire::{
    batch, create_partitions, create_topics, list_offsets, metadata, produce, WireError,
};

/// A new topic settles within milliseconds, one of ten thousand partitions on a slow disk within a
/// minute; longer than this is a fault.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// How long a topic that should be there may stay unknown.
const FIND_LIMIT: Duration = Duration::from_secs(2);
/// Kafka refuses to make 10,000 partitions in one request, as more than its controller's log takes
/// at once.
const MOST_AT_ONCE: u32 = 5_000;
const SETTLE_PAUSE: Duration = Duration::from_millis(10);

/// A topic whose partitions all have leaders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// "host:port" of each partition's leader, by partition.
    pub leaders: Vec<String>,
}

impl Topic {
    /// Looks a topic up that is there, though a broker may have to start first.
    pub fn find(bootstrap: &str, name: &str) -> Result<Self> {
        Self::look_up(&mut Connection::open(bootstrap)?, name, FIND_LIMIT)
    }

    /// Looks a topic up, and waits up to `patience` for each partition to have a leader.
    fn look_up(connection: &mut Connection, name: &str, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            let (id, frame) = connection.call(metadata::request(name))?;
            let found = metadata::parse(frame, id)?;
            if found.error.is_error() && !found.error.is_settling() {
                bail!("topic {name}: {}", found.error);
            }
            let leaders: Option<Vec<String>> =
                found.leaders.values().map(|leader| found.brokers.get(leader).cloned()).collect();
            match leaders {
                Some(leaders) if !leaders.is_empty() && !found.error.is_error() => {
                    return Ok(Self { name: name.to_owned(), leaders });
                }
                _ if Instant::now() >= deadline && found.error.is_error() => {
                    bail!("topic {name}: {}", found.error)
                }
                _ if Instant::now() >= deadline => {
                    bail!("topic {name}: a partition has no leader")
                }
                _ => thread::sleep(SETTLE_PAUSE),
            }
        }
    }

    /// Creates the topic if it is not there, and checks that it has `partitions` partitions.
    pub fn ensure(
        bootstrap: &str,
        name: &str,
        partitions: u32,
        settings: &[(String, String)],
    ) -> Result<Self> {
        let mut connection = Connection::open(bootstrap)?;
        let first = partitions.min(MOST_AT_ONCE);
        let (id, frame) = connection.call(create_topics::request(name, first, settings))?;
        create_topics::parse(frame, id)?;
        let mut topic = Self::look_up(&mut connection, name, SETTLE_LIMIT)?;
        let mut wanted = first;
        while wanted < partitions && topic.leaders.len() == wanted as usize {
            wanted = partitions.min(wanted + MOST_AT_ONCE);
            let (id, frame) = connection.call(create_partitions::request(name, wanted))?;
            create_partitions::parse(frame, id)?;
            let deadline = Instant::now() + SETTLE_LIMIT;
            while topic.leaders.len() != wanted as usize && Instant::now() < deadline {
                thread::sleep(SETTLE_PAUSE);
                topic = Self::look_up(&mut connection, name, SETTLE_LIMIT)?;
            }
        }
        if topic.leaders.len() != partitions as usize {
            bail!(
                "topic {name} has {} partitions, not {partitions}; name another topic",
                topic.leaders.len()
            );
        }
        Ok(topic)
    }

    /// Writes one small record to each partition, so that a broker which still opens a new
    /// partition is not measured while it does.
    pub fn warm_up(&self) -> Result<()> {
        let batch = batch::encode(1, 1, now_ms()).bytes;
        self.for_each_partition(|connection, partition| {
            let mut head = produce::head(&self.name, partition, 1, batch.len());
            let id = connection.send(&mut head, &batch, produce::TAIL)?;
            Ok(produce::parse(connection.receive()?, id)?)
        })?;
        Ok(())
    }

    /// The offset at one end of each partition.
    pub fn offsets(&self, end: End) -> Result<Vec<i64>> {
        self.for_each_partition(|connection, partition| {
            let request = list_offsets::request(&self.name, partition, end);
            let (id, frame) = connection.call(request)?;
            Ok(list_offsets::parse(frame, id)?)
        })
    }

    /// Asks the leader of each partition in turn, again while it still settles.
    fn for_each_partition<T>(
        &self,
        mut ask: impl FnMut(&mut Connection, i32) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut open: Option<(&str, Connection)> = None;
        let mut answers = Vec::with_capacity(self.leaders.len());
        for (partition, leader) in self.leaders.iter().enumerate() {
            let mut connection = match open.take() {
                Some((address, connection)) if address == leader => connection,
                _ => Connection::open(leader)?,
            };
            let answer = while_settling(|| ask(&mut connection, partition as i32))
                .with_context(|| format!("topic {} partition {partition}", self.name))?;
            answers.push(answer);
            open = Some((leader, connection));
        }
        Ok(answers)
    }

    /// Deals the partitions of each leader out to `connections` connections to it; where a leader
    /// has fewer partitions than that, several connections share one.
    pub fn deal(&self, connections: usize) -> Vec<Share> {
        let mut shares = Vec::new();
        let mut addresses: Vec<&String> = self.leaders.iter().collect();
        addresses.sort();
        addresses.dedup();
        for address in addresses {
            let led: Vec<i32> = (0..self.leaders.len())
                .filter(|&partition| &self.leaders[partition] == address)
                .map(|partition| partition as i32)
                .collect();
            for connection in 0..connections {
                let partitions = if connection < led.len() {
                    led.iter().copied().skip(connection).step_by(connections).collect()
                } else {
                    vec![led[connection % led.len()]]
                };
                shares.push(Share { address: address.clone(), partitions });
            }
        }
        shares
    }
}

/// Tries again, for a while, what is refused because the broker has just started or the topic is
/// new.
fn while_settling<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        match attempt() {
            Err(error) if is_settling(&error) && Instant::now() < deadline => {
                thread::sleep(SETTLE_PAUSE);
            }
            result => return result,
        }
    }
}

fn is_settling(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(WireError::Refused { code, .. }) if code.is_settling()
    )
}

/// The partitions that one connection writes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Share {
    pub address: String,
    pub partitions: Vec<i32>,
}

/// Milliseconds since the epoch, for the timestamps of records.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;

    fn topic(leaders: &[&str]) -> Topic {
        Topic { name: "t".into(), leaders: leaders.iter().map(|&l| l.into()).collect() }
    }

    fn partitions(shares: &[Share]) -> Vec<Vec<i32>> {
        shares.iter().map(|share| share.partitions.clone()).collect()
    }

    #[test]
    fn only_what_may_settle_is_tried_again() {
        let refused =
            |code| WireError::Refused { subject: String::new(), code, detail: String::new() };
        let mut attempts = 0;
        let result = while_settling(|| {
            attempts += 1;
            match attempts {
                1 => Err(refused(ErrorCode::NOT_LEADER_OR_FOLLOWER).into()),
                _ => Err::<(), _>(refused(ErrorCode::TOPIC_ALREADY_EXISTS).into()),
            }
        });
        assert_eq!(attempts, 2);
        assert!(result.unwrap_err().to_string().contains("TOPIC_ALREADY_EXISTS"));
    }

    #[test]
    fn every_partition_is_dealt_to_exactly_one_connection() {
        let shares = topic(&["a"; 5]).deal(2);
        assert_eq!(partitions(&shares), [vec![0, 2, 4], vec![1, 3]]);
    }

    #[test]
    fn connections_beyond_the_partitions_share_them() {
        assert_eq!(partitions(&topic(&["a"; 2]).deal(3)), [vec![0], vec![1], vec![0]]);
    }

    #[test]
    fn a_connection_only_has_partitions_of_its_own_leader() {
        let shares = topic(&["b", "a", "b", "a"]).deal(1);
        assert_eq!(
            shares,
            [
                Share { address: "a".into(), partitions: vec![1, 3] },
                Share { address: "b".into(), partitions: vec![0, 2] },
            ]
        );
    }
}
