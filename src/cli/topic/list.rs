use serde_json::json;

use crate::cli::client::Connect;
use crate::cli::nodes::Cluster;
use crate::cli::print::{note, say, table};
use crate::cli::{wrong_usage, Failure};
use crate::metadata::kafka_uuid;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic list
  corelane topic list '^orders-' --json
  corelane topic list --internal")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Only topics in whose names this regular expression is found.
    pattern: Option<String>,
    /// Also the broker's own topics.
    #[arg(long)]
    internal: bool,
    /// Only the names, one a line.
    #[arg(long, conflicts_with = "json")]
    names: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let pattern = args.pattern.as_deref().map(regex::Regex::new).transpose();
    let pattern = pattern.map_err(wrong_usage)?;
    let mut topics = Cluster::connect(&args.connect)?.topics(None)?;
    topics.retain(|topic| {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        (args.internal || !topic.is_internal) && pattern.as_ref().is_none_or(|p| p.is_match(name))
    });
    let name = |topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic| {
        topic.name.as_ref().map_or(String::new(), |name| name.to_string())
    };
    let replicas = |topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic| {
        topic.partitions.iter().map(|partition| partition.replica_nodes.len()).max().unwrap_or(0)
    };
    if args.json {
        let rows = topics.iter().map(|topic| {
            json!({
                "topic": name(topic),
                "id": kafka_uuid(topic.topic_id),
                "partitions": topic.partitions.len(),
                "replicas": replicas(topic),
                "internal": topic.is_internal,
            })
        });
        say(serde_json::Value::Array(rows.collect()));
    } else if args.names {
        topics.iter().for_each(|topic| say(name(topic)));
    } else if topics.is_empty() {
        note("no topics; make one with `corelane topic create NAME`");
    } else {
        let rows = topics.iter().map(|topic| {
            vec![name(topic), topic.partitions.len().to_string(), replicas(topic).to_string()]
        });
        table(&["TOPIC", "PARTITIONS", "REPLICAS"], rows.collect());
    }
    Ok(())
}
