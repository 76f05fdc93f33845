use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{ApiKey, CreatePartitionsRequest, CreatePartitionsResponse};
use serde_json::json;

use crate::cli::client::{Connect, ASK_TIMEOUT};
use crate::cli::nodes::{topic_name, Cluster};
use crate::cli::outcome::{report, Outcome};
use crate::cli::print::{note, plural};
use crate::cli::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic add-partitions events --to 16
  corelane topic add-partitions events orders --by 4 --dry-run

Partitions cannot be taken away again, and most keys will go to other partitions than before.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Their names.
    #[arg(required = true, value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    #[command(flatten)]
    count: Count,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Count {
    /// So many in all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    to: Option<i32>,
    /// So many more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    by: Option<i32>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let there = cluster.topics(Some(&args.topics))?;
    let wanted = |name: &str, have: usize| {
        let have = i32::try_from(have).unwrap_or(i32::MAX);
        let count = args.count.to.unwrap_or(have.saturating_add(args.count.by.unwrap_or(0)));
        (name.to_string(), have, count)
    };
    let wanted: Vec<(String, i32, i32)> = there
        .iter()
        .map(|topic| {
            wanted(topic.name.as_ref().map_or("", |name| name.as_str()), topic.partitions.len())
        })
        .collect();
    let topics = wanted.iter().map(|(name, _, count)| {
        CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(*count)
            .with_assignments(None)
    });
    let request = CreatePartitionsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(ASK_TIMEOUT.as_millis() as i32)
        .with_validate_only(args.dry_run);
    let answer: CreatePartitionsResponse =
        cluster.controller()?.ask(ApiKey::CreatePartitions, 2, &request)?;
    let outcomes = answer.results.iter().map(|topic| {
        let name = topic.name.as_str();
        let outcome = Outcome::new(name, topic.error_code, topic.error_message.as_deref());
        match wanted.iter().find(|(wanted, _, _)| wanted == name) {
            Some((_, have, count)) => outcome.with(
                format!(": {} before, {count} now", plural(*have as usize, "partition")),
                json!({"from": have, "to": count}),
            ),
            None => outcome,
        }
    });
    let outcomes: Vec<Outcome> = outcomes.collect();
    let has_done = !args.dry_run && outcomes.iter().any(|outcome| outcome.result.is_ok());
    report(
        if args.dry_run { "would be extended:" } else { "extended" },
        "topic",
        outcomes,
        args.json,
    )?;
    if has_done && !args.json {
        note("records with a key may go to other partitions from now on");
    }
    Ok(())
}
