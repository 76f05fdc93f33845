use anyhow::Context;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::ResponseError;
use serde_json::json;

use crate::cli::client::{Connect, ASK_TIMEOUT};
use crate::cli::nodes::{topic_name, Cluster};
use crate::cli::outcome::{report, Outcome};
use crate::cli::print::plural;
use crate::cli::{wrong_usage, Failure};
use crate::metadata::kafka_uuid;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic create events --partitions 8
  corelane topic create clicks views --config retention.ms=86400000 --config compression.type=zstd
  corelane topic create users --config cleanup.policy=compact --dry-run")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Their names: letters, digits, dots, hyphens and underscores.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Number of partitions; default: the broker's.
    #[arg(long, short = 'p', value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Number of replicas of each partition; default: the broker's.
    #[arg(long, short = 'r', value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topics; may be given several times.
    #[arg(long = "config", short = 'c', value_name = "KEY=VALUE")]
    configs: Vec<String>,
    /// Topics that are there already are left as they are.
    #[arg(long)]
    if_not_exists: bool,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let pair = |pair: &String| {
        let (key, value) = pair
            .split_once('=')
            .with_context(|| format!("--config {pair}: KEY=VALUE is wanted"))?;
        let text = |text: &str| StrBytes::from_string(text.to_string());
        Ok(CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))))
    };
    let configs = args.configs.iter().map(pair).collect::<anyhow::Result<Vec<_>>>();
    let configs = configs.map_err(wrong_usage)?;
    let topics = args.topics.iter().map(|name| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(args.partitions.unwrap_or(-1))
            .with_replication_factor(args.replication_factor.unwrap_or(-1))
            .with_configs(configs.clone())
    });
    let request = CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(ASK_TIMEOUT.as_millis() as i32)
        .with_validate_only(args.dry_run);
    let cluster = Cluster::connect(&args.connect)?;
    let answer: CreateTopicsResponse =
        cluster.controller()?.ask(ApiKey::CreateTopics, 7, &request)?;
    let mut outcomes = Vec::with_capacity(answer.topics.len());
    for topic in answer.topics {
        let exists = topic.error_code == ResponseError::TopicAlreadyExists.code();
        if exists && args.if_not_exists {
            continue;
        }
        let count = usize::try_from(topic.num_partitions).unwrap_or_default();
        let mut fields = json!({"partitions": topic.num_partitions});
        if !args.dry_run {
            fields["id"] = json!(kafka_uuid(topic.topic_id));
        }
        let outcome =
            Outcome::new(topic.name.as_str(), topic.error_code, topic.error_message.as_deref());
        let more = format!(" with {}", plural(count, "partition"));
        outcomes.push(if outcome.result.is_ok() { outcome.with(more, fields) } else { outcome });
    }
    outcomes.sort_by_key(|outcome| args.topics.iter().position(|name| *name == outcome.name));
    report(if args.dry_run { "would be created:" } else { "created" }, "topic", outcomes, args.json)
}
