use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, ApiKey};
use kafka_protocol::protocol::StrBytes;
use serde_json::{json, Value};

use super::{dirs, Dir};
use crate::cli::client::Connect;
use crate::cli::nodes::{explained, topic_name, Cluster};
use crate::cli::print::{bytes, note, plural, say, table};
use crate::cli::Failure;

/// How often the progress of moves is asked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane log-dir move events --partition 3 --to /mnt/b/corelane
  corelane log-dir move events --to /mnt/b/corelane --no-wait

Directories are named as `corelane log-dir list` shows them. Moving a partition to where it is now
takes back a move that is under way.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// All of its partitions are moved, unless some are named.
    #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topic: String,
    /// Only this partition; may be given several times.
    #[arg(long = "partition", short = 'p', value_name = "N")]
    partitions: Vec<i32>,
    /// The log directory to move to.
    #[arg(long, value_name = "DIR")]
    to: String,
    /// Only on this broker.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Do not wait until the partitions are there.
    #[arg(long)]
    no_wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A replica that is to move.
struct Move {
    node: i32,
    partition: i32,
    from: String,
    bytes: i64,
    state: State,
}

enum State {
    Asked,
    Seen,
    Done,
    Refused(String),
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let cluster = Cluster::connect(&args.connect)?;
    let to = if args.to.len() > 1 { args.to.trim_end_matches('/') } else { &args.to };
    let mut moves = plan(args, &dirs(&cluster, args.broker)?, to)?;
    begin(args, &cluster, to, &mut moves)?;
    if !args.no_wait {
        wait(args, &cluster, to, &mut moves)?;
    }
    print(args, to, &moves);
    let refused = moves.iter().filter(|moved| matches!(moved.state, State::Refused(_))).count();
    match refused {
        0 => Ok(()),
        refused => Err(anyhow!("{} could not be moved", plural(refused, "partition")).into()),
    }
}

/// The replicas of the chosen partitions on brokers that have such a directory.
fn plan(args: &Args, dirs: &[Dir], to: &str) -> anyhow::Result<Vec<Move>> {
    let has_it = |node: i32| dirs.iter().any(|dir| dir.node == node && dir.path == to);
    if !dirs.iter().any(|dir| dir.path == to) {
        let mut known: Vec<&str> = dirs.iter().map(|dir| dir.path.as_str()).collect();
        known.dedup();
        bail!("there is no log directory {to}; there are: {}", known.join(", "));
    }
    let mut moves = Vec::new();
    for dir in dirs.iter().filter(|dir| has_it(dir.node)) {
        let of_topic = dir.held.iter().filter(|held| held.topic == args.topic && !held.is_future);
        let chosen = of_topic
            .filter(|held| args.partitions.is_empty() || args.partitions.contains(&held.partition));
        moves.extend(chosen.map(|held| Move {
            node: dir.node,
            partition: held.partition,
            from: dir.path.clone(),
            bytes: held.bytes,
            state: State::Asked,
        }));
    }
    let missing =
        args.partitions.iter().find(|index| !moves.iter().any(|moved| moved.partition == **index));
    if let Some(missing) = missing {
        bail!(
            "partition {}-{missing} is in no log directory of a broker that has {to}",
            args.topic
        );
    }
    if moves.is_empty() {
        bail!("the topic '{}' is in no log directory; see `corelane log-dir list`", args.topic);
    }
    moves.sort_by_key(|moved| (moved.partition, moved.node));
    Ok(moves)
}

fn begin(args: &Args, cluster: &Cluster, to: &str, moves: &mut [Move]) -> anyhow::Result<()> {
    let mut nodes: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for moved in moves.iter() {
        nodes.entry(moved.node).or_default().push(moved.partition);
    }
    for (node, partitions) in nodes {
        let topic = AlterReplicaLogDirTopic::default()
            .with_name(topic_name(&args.topic))
            .with_partitions(partitions);
        let dir = AlterReplicaLogDir::default()
            .with_path(StrBytes::from_string(to.to_string()))
            .with_topics(vec![topic]);
        let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
        let answer: AlterReplicaLogDirsResponse =
            cluster.node(node)?.ask(ApiKey::AlterReplicaLogDirs, 2, &request)?;
        for partition in answer.results.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            let is_it = |moved: &&mut Move| moved.node == node && moved.partition == index;
            let Some(moved) = moves.iter_mut().find(is_it) else { continue };
            if partition.error_code != 0 {
                moved.state = State::Refused(explained(partition.error_code, None).to_string());
            } else if moved.from == to {
                moved.state = State::Done;
            }
        }
    }
    Ok(())
}

fn wait(args: &Args, cluster: &Cluster, to: &str, moves: &mut [Move]) -> anyhow::Result<()> {
    let open = |moved: &&Move| matches!(moved.state, State::Asked | State::Seen);
    let total: i64 = moves.iter().filter(open).map(|moved| moved.bytes).sum();
    let bar = progress(args, u64::try_from(total).unwrap_or(0));
    while moves.iter().any(|moved| open(&moved)) {
        let dirs = dirs(cluster, args.broker)?;
        let mut copied = 0;
        for moved in moves.iter_mut() {
            let there = dirs.iter().filter(|dir| dir.node == moved.node && dir.path == to);
            let found = there
                .flat_map(|dir| &dir.held)
                .find(|held| held.topic == args.topic && held.partition == moved.partition);
            moved.state = match (found, std::mem::replace(&mut moved.state, State::Done)) {
                (_, state @ (State::Done | State::Refused(_))) => state,
                (Some(held), _) if held.is_future => {
                    copied += held.bytes;
                    State::Seen
                }
                (Some(_), _) => State::Done,
                (None, State::Asked) => State::Asked,
                (None, _) => State::Refused("the move was taken back".to_string()),
            };
            if matches!(moved.state, State::Done) && moved.from != to {
                copied += moved.bytes;
            }
        }
        bar.set_position(u64::try_from(copied).unwrap_or(0));
        if moves.iter().any(|moved| open(&moved)) {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(args: &Args, bytes: u64) -> ProgressBar {
    if args.json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "moving {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(args: &Args, to: &str, moves: &[Move]) {
    let state = |moved: &Move| match &moved.state {
        State::Done if moved.from == to => "was there".to_string(),
        State::Done => "moved".to_string(),
        State::Asked | State::Seen => "on its way".to_string(),
        State::Refused(why) => why.clone(),
    };
    if args.json {
        let rows = moves.iter().map(|moved| {
            json!({
                "topic": args.topic,
                "partition": moved.partition,
                "broker": moved.node,
                "from": moved.from,
                "to": to,
                "bytes": moved.bytes,
                "state": state(moved),
            })
        });
        return say(Value::Array(rows.collect()));
    }
    let rows = moves.iter().map(|moved| {
        vec![
            args.topic.clone(),
            moved.partition.to_string(),
            bytes(moved.bytes),
            moved.from.clone(),
            to.to_string(),
            state(moved),
        ]
    });
    table(&["TOPIC", "PARTITION", "SIZE", "FROM", "TO", "STATE"], rows.collect());
    if moves.iter().any(|moved| matches!(moved.state, State::Asked | State::Seen)) {
        note("`corelane log-dir list --topic` shows how far the moves are");
    }
}
