//! Reading as a member of a group, which goes on where it was. What was read is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset};

use super::printer::Printer;
use super::shown::Shown;
use super::Args;
use crate::cli::client::Member;
use crate::cli::nodes::Cluster;
use crate::cli::offsets::{bounds, leaders, Place};

/// How far a member is in what it was given.
#[derive(Default)]
struct Progress {
    /// Where each partition ended when it was begun.
    ends: BTreeMap<Place, i64>,
    /// librdkafka tells that a partition is at its end without its topic: how often, by number, and
    /// whether nothing has come since.
    told: BTreeMap<i32, (usize, bool)>,
    /// What was printed last, and is not stored yet to be committed.
    read: BTreeMap<Place, i64>,
}

pub fn run(args: &Args, group: &str, printer: &mut Printer) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let plain: Vec<String> =
        args.topics.iter().filter(|topic| !topic.starts_with('^')).cloned().collect();
    let topics = match plain.len() == args.topics.len() {
        true => cluster.topics(Some(&plain))?,
        false => cluster.topics(None)?,
    };
    let mut progress = Progress::default();
    if args.exit_at_end {
        let leaders = leaders(&topics);
        let places: Vec<Place> = leaders.keys().cloned().collect();
        let bounds = bounds(&cluster, &leaders, &places, args.isolation == "committed")?;
        progress.ends = bounds.into_iter().map(|(place, (_, end))| (place, end)).collect();
    }
    let reset = if args.from_beginning || args.exit_at_end { "earliest" } else { "latest" };
    let consumer = args.connect.member_of(group, reset, &args.isolation)?;
    let topics: Vec<&str> = args.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    while !printer.is_done() {
        match consumer.poll(Duration::from_millis(100)) {
            None => printer.flush()?,
            Some(Ok(message)) => {
                printer.print(&Shown::of_message(&message))?;
                progress.note(message.topic(), message.partition(), message.offset());
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                printer.flush()?;
                let told = progress.told.entry(partition).or_default();
                *told = (told.0 + 1, true);
            }
            Some(Err(error)) => explain_or_wait(error)?,
        }
        if printer.flush_if_due()? {
            progress.store(&consumer);
        }
        if args.exit_at_end && progress.is_at_end(&consumer)? {
            break;
        }
    }
    printer.flush()?;
    progress.store(&consumer);
    Ok(())
}

impl Progress {
    fn note(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(told) = self.told.get_mut(&partition) {
            told.1 = false;
        }
        match self.read.iter_mut().find(|(place, _)| place.1 == partition && place.0 == topic) {
            Some((_, last)) => *last = offset,
            None => drop(self.read.insert((topic.to_string(), partition), offset)),
        }
    }

    /// Has what was printed committed.
    fn store(&mut self, consumer: &BaseConsumer<Member>) {
        for ((topic, partition), offset) in std::mem::take(&mut self.read) {
            // A partition may be another's by now, who reads this again.
            if let Err(error) = consumer.store_offset(&topic, partition, offset) {
                tracing::debug!("partition {topic}-{partition}: {error}");
            }
        }
    }

    /// Whether the member has its share and has read what was there of it.
    fn is_at_end(&self, consumer: &BaseConsumer<Member>) -> anyhow::Result<bool> {
        if !consumer.context().is_in.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let share = consumer.assignment()?;
        let given: BTreeSet<Place> = share
            .elements()
            .iter()
            .map(|element| (element.topic().to_string(), element.partition()))
            .collect();
        let open = |place: &&Place| {
            let of_number = given.iter().filter(|other| other.1 == place.1).count();
            let told = self.told.get(&place.1);
            !told.is_some_and(|(times, quiet)| *quiet && *times >= of_number)
        };
        let mut open = given.iter().filter(open).peekable();
        if open.peek().is_none() {
            return Ok(true);
        }
        let positions = consumer.position()?;
        Ok(open.all(|(topic, partition)| {
            let position = positions.find_partition(topic, *partition).map(|found| found.offset());
            let end = self.ends.get(&(topic.clone(), *partition));
            matches!((position, end), (Some(Offset::Offset(at)), Some(end)) if at >= *end)
        }))
    }
}

/// A broker that is away may come back; a topic that is gone does not.
fn explain_or_wait(error: KafkaError) -> anyhow::Result<()> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator,
        ) => {
            tracing::debug!("{error}");
            Ok(())
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            Err(anyhow!("the topic is not there any more"))
        }
        _ => Err(error.into()),
    }
}
