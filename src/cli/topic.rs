use anyhow::{anyhow, Context};
use clap::Subcommand;
use comfy_table::{presets, Table};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use serde_json::json;

use super::client::{Connect, Quiet, ASK_TIMEOUT};
use super::Failure;
use crate::group::is_internal;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create topics.
    #[command(after_help = "Example:\n  corelane topic create events --partitions 8 \
                            --config segment.bytes=268435456")]
    Create {
        #[command(flatten)]
        connect: Connect,
        #[arg(required = true)]
        topics: Vec<String>,
        /// Number of partitions; default: the broker's.
        #[arg(long)]
        partitions: Option<i32>,
        /// A setting of the topic; may be given several times.
        #[arg(long = "config", value_name = "KEY=VALUE")]
        configs: Vec<String>,
    },
    /// List topics.
    List {
        #[command(flatten)]
        connect: Connect,
        /// Also the broker's own topics.
        #[arg(long)]
        internal: bool,
        #[arg(long)]
        json: bool,
    },
    /// Show a topic's partitions and their offsets.
    Describe {
        #[command(flatten)]
        connect: Connect,
        topic: String,
        #[arg(long)]
        json: bool,
    },
    /// Delete topics and all they hold.
    Delete {
        #[command(flatten)]
        connect: Connect,
        #[arg(required = true)]
        topics: Vec<String>,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create { connect, topics, partitions, configs } => {
            create(&connect, &topics, partitions, &configs)
        }
        Command::List { connect, internal, json } => list(&connect, internal, json),
        Command::Describe { connect, topic, json } => describe(&connect, &topic, json),
        Command::Delete { connect, topics } => delete(&connect, &topics),
    }
}

pub(super) fn wait<T>(future: impl std::future::Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

pub(super) fn admin(connect: &Connect) -> anyhow::Result<AdminClient<Quiet>> {
    // A first question, so that a broker that is not there is told as such.
    let consumer = connect.consumer()?;
    consumer.fetch_metadata(None, ASK_TIMEOUT).map_err(|error| connect.explain(error))?;
    Ok(connect.config().create_with_context(Quiet)?)
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ASK_TIMEOUT)).request_timeout(Some(ASK_TIMEOUT))
}

/// Prints what became of each of several topics or groups; fails where one was refused.
pub(super) fn report(
    done: &str,
    kind: &str,
    results: Vec<Result<String, (String, RDKafkaErrorCode)>>,
) -> Result<(), Failure> {
    let mut failed = 0;
    for result in results {
        match result {
            Ok(name) => println!("{done} {name}"),
            Err((name, code)) => {
                failed += 1;
                eprintln!("corelane: error: {name}: {code}");
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(anyhow!("{failed} {kind}(s) were left as they were").into()),
    }
}

fn create(
    connect: &Connect,
    topics: &[String],
    partitions: Option<i32>,
    configs: &[String],
) -> Result<(), Failure> {
    let configs = configs
        .iter()
        .map(|pair| {
            pair.split_once('=').with_context(|| format!("--config {pair}: KEY=VALUE is wanted"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let admin = admin(connect)?;
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|name| {
            let topic = NewTopic::new(name, partitions.unwrap_or(-1), TopicReplication::Fixed(-1));
            configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let results = wait(admin.create_topics(&new, &options()))?;
    report("created", "topic", results.map_err(|error| connect.explain(error))?)
}

fn delete(connect: &Connect, topics: &[String]) -> Result<(), Failure> {
    let admin = admin(connect)?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let results = wait(admin.delete_topics(&names, &options()))?;
    report("deleted", "topic", results.map_err(|error| connect.explain(error))?)
}

fn list(connect: &Connect, internal: bool, as_json: bool) -> Result<(), Failure> {
    let consumer = connect.consumer()?;
    let metadata =
        consumer.fetch_metadata(None, ASK_TIMEOUT).map_err(|error| connect.explain(error))?;
    let shown = metadata.topics().iter().filter(|topic| internal || !is_internal(topic.name()));
    let mut topics: Vec<(&str, usize)> =
        shown.map(|topic| (topic.name(), topic.partitions().len())).collect();
    topics.sort_unstable();
    if as_json {
        let rows = topics.iter().map(|(name, count)| json!({"topic": name, "partitions": count}));
        println!("{}", serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    let mut table = plain_table(&["TOPIC", "PARTITIONS"]);
    for (name, count) in topics {
        table.add_row([name.to_string(), count.to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn describe(connect: &Connect, topic: &str, as_json: bool) -> Result<(), Failure> {
    let consumer = connect.consumer()?;
    connect.partitions(&consumer, topic)?;
    let metadata = consumer
        .fetch_metadata(Some(topic), ASK_TIMEOUT)
        .map_err(|error| connect.explain(error))?;
    let mut rows = Vec::new();
    for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
        let (start, end) = consumer.fetch_watermarks(topic, partition.id(), ASK_TIMEOUT)?;
        rows.push((partition.id(), partition.leader(), start, end));
    }
    if as_json {
        let rows = rows.iter().map(|(id, leader, start, end)| {
            json!({"partition": id, "leader": leader, "start": start, "end": end})
        });
        println!("{}", json!({"topic": topic, "partitions": rows.collect::<Vec<_>>()}));
        return Ok(());
    }
    let mut table = plain_table(&["PARTITION", "LEADER", "START", "END", "RECORDS"]);
    for (id, leader, start, end) in rows {
        table.add_row(
            [id.into(), i64::from(leader), start, end, end - start].map(|n: i64| n.to_string()),
        );
    }
    println!("{table}");
    Ok(())
}

pub(super) fn plain_table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    table
}
