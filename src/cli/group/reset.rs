use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{anyhow, bail};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::describe::committed;
use crate::cli::client::{Connect, Quiet, ASK_TIMEOUT};
use crate::cli::duration::duration;
use crate::cli::moment::moment;
use crate::cli::print::{note, say, table};
use crate::cli::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Its name: it has no members now.
    #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::groups))]
    group: String,
    /// Only this topic, all of its partitions; may be given several times. Default: everything that
    /// the group has committed.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    to: To,
    /// Only say what would be set.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// The oldest records.
    #[arg(long)]
    to_earliest: bool,
    /// Only what comes from now on.
    #[arg(long)]
    to_latest: bool,
    /// This offset, or the nearest there is.
    #[arg(long, value_name = "N")]
    to_offset: Option<i64>,
    /// The first record at or after a time: 2026-11-21, '2026-11-21 10:30', RFC 3339, or milliseconds
    /// since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to_time: Option<i64>,
    /// The first record since a time ago, as 90s, 15m, 2h or 7d.
    #[arg(long, value_name = "AGO", value_parser = duration)]
    by_duration: Option<Duration>,
    /// So many records further, or, with a minus, back.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift: Option<i64>,
}

/// A partition, where the group is, and where it will be.
struct Change {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let consumer = args.connect.consumer_of(&args.group)?;
    let changes = plan(args, &consumer)?;
    if !args.dry_run {
        let mut offsets = TopicPartitionList::new();
        for change in &changes {
            let offset = Offset::Offset(change.to);
            offsets.add_partition_offset(&change.topic, change.partition, offset)?;
        }
        consumer.commit(&offsets, CommitMode::Sync).map_err(|error| explain(args, error))?;
    }
    print(args, &changes);
    Ok(())
}

fn explain(args: &Args, error: KafkaError) -> anyhow::Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration) => anyhow!(
            "somebody is in the group '{}': stop its consumers, and wait until their sessions end",
            args.group
        ),
        _ => args.connect.explain(error),
    }
}

fn plan(args: &Args, consumer: &BaseConsumer<Quiet>) -> anyhow::Result<Vec<Change>> {
    consumer.fetch_metadata(None, ASK_TIMEOUT).map_err(|error| args.connect.explain(error))?;
    let committed = committed(consumer)?;
    let mut places: Vec<(String, i32)> = Vec::new();
    for topic in &args.topics {
        let partitions = args.connect.partitions(consumer, topic)?;
        places.extend(partitions.into_iter().map(|partition| (topic.clone(), partition)));
    }
    if args.topics.is_empty() {
        places.extend(committed.keys().cloned());
    }
    if places.is_empty() {
        bail!("the group '{}' has committed nothing: name a --topic", args.group);
    }
    let mut changes = Vec::with_capacity(places.len());
    for (topic, partition) in places {
        let from = committed.get(&(topic.clone(), partition)).copied();
        let (start, end) = consumer.fetch_watermarks(&topic, partition, ASK_TIMEOUT)?;
        let to = match &args.to {
            To { to_earliest: true, .. } => start,
            To { to_latest: true, .. } => end,
            To { to_offset: Some(offset), .. } => *offset,
            To { shift: Some(by), .. } => from.unwrap_or(start).saturating_add(*by),
            To { to_time: Some(time), .. } => at_time(consumer, &topic, partition, *time, end)?,
            To { by_duration: Some(ago), .. } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                let time = now.saturating_sub(*ago).as_millis() as i64;
                at_time(consumer, &topic, partition, time, end)?
            }
            _ => bail!("say where to, see --help"),
        };
        changes.push(Change { topic, partition, from, to: to.clamp(start, end) });
    }
    Ok(changes)
}

fn at_time(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    time_ms: i64,
    end: i64,
) -> anyhow::Result<i64> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(time_ms))?;
    let found = consumer.offsets_for_times(asked, ASK_TIMEOUT)?;
    Ok(match found.elements().first().map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => end,
    })
}

fn print(args: &Args, changes: &[Change]) {
    if args.json {
        let rows = changes.iter().map(|change| {
            let Change { topic, partition, from, to } = change;
            json!({"topic": topic, "partition": partition, "from": from, "to": to})
        });
        say(json!({"dry_run": args.dry_run, "offsets": rows.collect::<Vec<_>>()}));
        return;
    }
    let rows = changes.iter().map(|change| {
        vec![
            change.topic.clone(),
            change.partition.to_string(),
            change.from.map_or("-".to_string(), |from| from.to_string()),
            change.to.to_string(),
        ]
    });
    table(&["TOPIC", "PARTITION", "FROM", "TO"], rows.collect());
    if args.dry_run {
        note("nothing was set");
    }
}
