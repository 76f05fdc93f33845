use anyhow::anyhow;
use serde_json::{json, Value};

use super::{dirs, Dir, Held};
use crate::cli::client::Connect;
use crate::cli::nodes::Cluster;
use crate::cli::print::{bytes, note, say, table};
use crate::cli::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane log-dir list
  corelane log-dir list --topic events        where each partition is, and its size
  corelane log-dir list --partitions --json")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Only of this broker.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Each partition by itself.
    #[arg(long)]
    partitions: bool,
    /// Each partition of this topic; may be given several times.
    #[arg(long = "topic", short = 't', value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let cluster = Cluster::connect(&args.connect)?;
    let mut dirs = dirs(&cluster, args.broker)?;
    if let Some(id) = args.broker.filter(|_| dirs.is_empty()) {
        return Err(anyhow!("broker {id} is not known; see `corelane cluster info`").into());
    }
    let wanted = |held: &Held| args.topics.is_empty() || args.topics.contains(&held.topic);
    dirs.iter_mut().for_each(|dir| dir.held.retain(wanted));
    if args.json {
        say(Value::Array(dirs.iter().map(as_json).collect()));
    } else if args.partitions || !args.topics.is_empty() {
        print_partitions(&dirs);
    } else {
        print(&dirs);
    }
    Ok(())
}

fn print(dirs: &[Dir]) {
    let rows = dirs.iter().map(|dir| {
        let coming = dir.held.iter().filter(|held| held.is_future).count();
        vec![
            dir.node.to_string(),
            dir.path.clone(),
            (dir.held.len() - coming).to_string(),
            coming.to_string(),
            bytes(dir.held.iter().map(|held| held.bytes).sum()),
            bytes(dir.usable_bytes),
            bytes(dir.total_bytes),
            dir.error.clone().unwrap_or_else(|| "online".to_string()),
        ]
    });
    let head = ["BROKER", "DIRECTORY", "PARTITIONS", "COMING", "SIZE", "FREE", "DISK", "STATE"];
    table(&head, rows.collect());
}

fn print_partitions(dirs: &[Dir]) {
    let mut rows: Vec<(&Held, &Dir)> =
        dirs.iter().flat_map(|dir| dir.held.iter().map(move |held| (held, dir))).collect();
    rows.sort_by(|(a, _), (b, _)| {
        (&a.topic, a.partition, a.is_future).cmp(&(&b.topic, b.partition, b.is_future))
    });
    if rows.is_empty() {
        return note("no partitions there");
    }
    let rows = rows.into_iter().map(|(held, dir)| {
        let state = match held.is_future {
            true => format!("coming, {} offsets behind", held.lag),
            false => "here".to_string(),
        };
        vec![
            held.topic.clone(),
            held.partition.to_string(),
            bytes(held.bytes),
            dir.node.to_string(),
            dir.path.clone(),
            state,
        ]
    });
    table(&["TOPIC", "PARTITION", "SIZE", "BROKER", "DIRECTORY", "STATE"], rows.collect());
}

fn as_json(dir: &Dir) -> Value {
    let partitions = dir.held.iter().map(|held| {
        json!({
            "topic": held.topic,
            "partition": held.partition,
            "bytes": held.bytes,
            "future": held.is_future,
            "lag": held.lag,
        })
    });
    json!({
        "broker": dir.node,
        "directory": dir.path,
        "error": dir.error,
        "total_bytes": dir.total_bytes,
        "usable_bytes": dir.usable_bytes,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
