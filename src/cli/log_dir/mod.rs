//! `corelane log-dir`: what each log directory holds, and moving partitions between them.

mod list;
mod relocate;

use anyhow::Context;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::{ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::nodes::{check, Cluster};
use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List log directories: what they hold, how full their disks are, what is on its way to them.
    List(list::Args),
    /// Move partitions to another log directory of their broker, while they are used.
    Move(relocate::Args),
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(&args),
        Command::Move(args) => relocate::run(&args),
    }
}

/// A log directory of a node.
struct Dir {
    node: i32,
    path: String,
    /// Why it cannot be used.
    error: Option<String>,
    /// Of its disk; -1: not known.
    total_bytes: i64,
    usable_bytes: i64,
    held: Vec<Held>,
}

/// A partition in a log directory.
struct Held {
    topic: String,
    partition: i32,
    bytes: i64,
    /// It is a copy on its way, so many offsets behind.
    is_future: bool,
    lag: i64,
}

/// All log directories of all nodes, or of one.
fn dirs(cluster: &Cluster, only: Option<i32>) -> anyhow::Result<Vec<Dir>> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let mut dirs = Vec::new();
    for node in cluster.ids().into_iter().filter(|id| only.is_none_or(|only| only == *id)) {
        let answer: DescribeLogDirsResponse =
            cluster.node(node)?.ask(ApiKey::DescribeLogDirs, 4, &request)?;
        check(answer.error_code).with_context(|| format!("log directories of node {node}"))?;
        dirs.extend(answer.results.into_iter().map(|result| dir(node, result)));
    }
    dirs.sort_by(|a, b| (a.node, &a.path).cmp(&(b.node, &b.path)));
    Ok(dirs)
}

fn dir(node: i32, result: DescribeLogDirsResult) -> Dir {
    let mut held = Vec::new();
    for topic in result.topics {
        held.extend(topic.partitions.into_iter().map(|partition| Held {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            bytes: partition.partition_size,
            is_future: partition.is_future_key,
            lag: partition.offset_lag,
        }));
    }
    held.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Dir {
        node,
        path: result.log_dir.to_string(),
        error: check(result.error_code).err().map(|error| error.to_string()),
        total_bytes: result.total_bytes,
        usable_bytes: result.usable_bytes,
        held,
    }
}
