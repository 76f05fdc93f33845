use std::collections::BTreeMap;

use anyhow::{anyhow, Context};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse};
use serde_json::json;

use crate::cli::client::{Connect, ASK_TIMEOUT};
use crate::cli::confirm::Yes;
use crate::cli::moment::moment;
use crate::cli::nodes::{explained, topic_name, Cluster};
use crate::cli::offsets::{at_times, bounds, by_leader, leaders, Place};
use crate::cli::print::{note, plural, say, table};
use crate::cli::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic trim events --before 7d --dry-run          what is older than a week
  corelane topic trim events --before '2026-11-21 10:30'
  corelane topic trim events --partition 3 --to-offset 1200
  corelane topic trim events --to-end --yes                 all records; the topic stays

Only whole prefixes can go: with --before, everything up to the first record that is as new.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Its name.
    #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topic: String,
    /// Only this partition; may be given several times.
    #[arg(long = "partition", short = 'p', value_name = "N")]
    partitions: Vec<i32>,
    #[command(flatten)]
    to: To,
    /// Only say what would be deleted.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Everything below this offset.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// Everything before this time (2026-11-21, '2026-11-21 10:30', RFC 3339, milliseconds since
    /// 1970), or older than this (90s, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<i64>,
    /// Everything there is now.
    #[arg(long)]
    to_end: bool,
}

/// A partition's first offset, and what it is to become.
struct Cut {
    place: Place,
    start: i64,
    to: i64,
    result: Option<anyhow::Error>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let topics = cluster.topics(Some(std::slice::from_ref(&args.topic)))?;
    let leaders = leaders(&topics);
    let mut cuts = plan(args, &cluster, &leaders)?;
    let all: i64 = cuts.iter().map(|cut| cut.to - cut.start).sum();
    if !args.dry_run && all > 0 {
        args.yes.confirm(&format!(
            "Delete up to {} in {} of {}",
            plural(usize::try_from(all).unwrap_or(usize::MAX), "record"),
            plural(cuts.iter().filter(|cut| cut.to > cut.start).count(), "partition"),
            args.topic
        ))?;
        delete(&cluster, &leaders, &mut cuts)?;
    }
    print(args, &cuts);
    if all == 0 && !args.json {
        note("nothing to delete");
    }
    match cuts.iter().filter(|cut| cut.result.is_some()).count() {
        0 => Ok(()),
        failed => Err(anyhow!("{} could not be trimmed", plural(failed, "partition")).into()),
    }
}

fn plan(
    args: &Args,
    cluster: &Cluster,
    leaders: &BTreeMap<Place, i32>,
) -> anyhow::Result<Vec<Cut>> {
    let chosen = |place: &&Place| args.partitions.is_empty() || args.partitions.contains(&place.1);
    let mut places: Vec<Place> = leaders.keys().filter(chosen).cloned().collect();
    let missing = args.partitions.iter().find(|index| !places.iter().any(|(_, i)| i == *index));
    if let Some(missing) = missing {
        return Err(anyhow!("'{}' has no partition {missing}", args.topic));
    }
    places.dedup();
    let bounds = bounds(cluster, leaders, &places, false)?;
    let at = match args.to.before {
        Some(time) => {
            let asked: Vec<_> = places.iter().map(|place| (place.clone(), time)).collect();
            at_times(cluster, leaders, &asked, false)?
        }
        None => BTreeMap::new(),
    };
    let cut = |place: Place| {
        let (start, end) = *bounds.get(&place).context("a partition is not answered")?;
        let to = match (args.to.to_offset, at.get(&place)) {
            (Some(offset), _) => offset,
            // All records are older.
            (None, Some(-1) | None) => end,
            (None, Some(offset)) => *offset,
        };
        Ok(Cut { place, start, to: to.clamp(start, end), result: None })
    };
    places.into_iter().map(cut).collect()
}

fn delete(
    cluster: &Cluster,
    leaders: &BTreeMap<Place, i32>,
    cuts: &mut [Cut],
) -> anyhow::Result<()> {
    let asked = cuts.iter().filter(|cut| cut.to > cut.start);
    let asked: Vec<(Place, i64)> = asked.map(|cut| (cut.place.clone(), cut.to)).collect();
    for (node, topics) in by_leader(leaders, &asked)? {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset)
            });
            DeleteRecordsTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = DeleteRecordsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(ASK_TIMEOUT.as_millis() as i32);
        let answer: DeleteRecordsResponse =
            cluster.node(node)?.ask(ApiKey::DeleteRecords, 2, &request)?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let is_it = |cut: &&mut Cut| cut.place.1 == partition.partition_index;
            let Some(cut) = cuts.iter_mut().find(is_it) else { continue };
            match partition.error_code {
                0 => cut.to = partition.low_watermark,
                code => (cut.to, cut.result) = (cut.start, Some(refused(code))),
            }
        }
    }
    Ok(())
}

fn refused(code: i16) -> anyhow::Error {
    const INVALID_TOPIC: i16 = 17;
    const POLICY_VIOLATION: i16 = 44;
    match code {
        INVALID_TOPIC => anyhow!("the topic is the broker's own: it trims it by itself"),
        POLICY_VIOLATION => anyhow!(
            "only topics whose cleanup.policy has delete can be trimmed (`corelane topic alter TOPIC \
             --set cleanup.policy+=delete`)"
        ),
        code => explained(code, None),
    }
}

fn print(args: &Args, cuts: &[Cut]) {
    if args.json {
        let rows = cuts.iter().map(|cut| {
            let error = cut.result.as_ref().map(|error| format!("{error:#}"));
            let Cut { place, start, to, .. } = cut;
            json!({"partition": place.1, "from": start, "to": to, "error": error})
        });
        let (topic, dry_run) = (&args.topic, args.dry_run);
        let rows = rows.collect::<Vec<_>>();
        return say(json!({"topic": topic, "dry_run": dry_run, "partitions": rows}));
    }
    let rows = cuts.iter().map(|cut| {
        let deleted = match cut.result {
            Some(_) => "refused".to_string(),
            None => (cut.to - cut.start).to_string(),
        };
        vec![cut.place.1.to_string(), cut.start.to_string(), cut.to.to_string(), deleted]
    });
    let deleted = if args.dry_run { "WOULD BE DELETED" } else { "DELETED" };
    table(&["PARTITION", "START", "NEW START", deleted], rows.collect());
    let mut reasons: Vec<String> = cuts
        .iter()
        .filter_map(|cut| cut.result.as_ref())
        .map(|error| format!("{error:#}"))
        .collect();
    reasons.dedup();
    reasons.iter().for_each(|reason| note(format_args!("corelane: error: {reason}")));
}
