use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use serde_json::json;

use crate::cli::client::Connect;
use crate::cli::config::{described, Kind, Resource, Setting};
use crate::cli::nodes::Cluster;
use crate::cli::offsets::{bounds, leaders, Place};
use crate::cli::print::{counted, plural, say, table};
use crate::cli::Failure;
use crate::metadata::kafka_uuid;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic describe events
  corelane topic describe events orders --json      one object a line")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Their names.
    #[arg(required = true, value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// One JSON object a line and topic.
    #[arg(long)]
    json: bool,
}

type Bounds = BTreeMap<Place, (i64, i64)>;

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let topics = cluster.topics(Some(&args.topics))?;
    let leaders = leaders(&topics);
    let led: Vec<Place> = leaders
        .iter()
        .filter(|(_, leader)| **leader >= 0)
        .map(|(place, _)| place.clone())
        .collect();
    let bounds = bounds(&cluster, &leaders, &led, false)?;
    for (index, topic) in topics.iter().enumerate() {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        let resource = Resource { kind: Kind::Topic, name: name.to_string() };
        let settings = described(&mut cluster, &resource, None, false)?;
        let own: Vec<Setting> = settings.into_iter().filter(Setting::is_own_of_topic).collect();
        if args.json {
            print_json(name, topic, &own, &bounds);
            continue;
        }
        if index > 0 {
            say("");
        }
        print(name, topic, &own, &bounds);
    }
    Ok(())
}

fn ids(nodes: &[kafka_protocol::messages::BrokerId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn of(bounds: &Bounds, name: &str, partition: &MetadataResponsePartition) -> Option<(i64, i64)> {
    bounds.get(&(name.to_string(), partition.partition_index)).copied()
}

fn print(name: &str, topic: &MetadataResponseTopic, own: &[Setting], bounds: &Bounds) {
    let held = topic.partitions.iter().filter_map(|partition| of(bounds, name, partition));
    let records: i64 = held.map(|(start, end)| end - start).sum();
    say(format_args!(
        "{name}: {}, {} offsets, id {}",
        plural(topic.partitions.len(), "partition"),
        counted(records),
        kafka_uuid(topic.topic_id)
    ));
    for setting in own {
        say(format_args!("  {}={}", setting.key, setting.shown()));
    }
    let joined = |nodes: &[kafka_protocol::messages::BrokerId]| {
        ids(nodes).iter().map(i32::to_string).collect::<Vec<_>>().join(",")
    };
    let rows = topic.partitions.iter().map(|partition| {
        let held = of(bounds, name, partition);
        let shown = |number: Option<i64>| number.map_or("-".to_string(), |n| n.to_string());
        vec![
            partition.partition_index.to_string(),
            match partition.leader_id.0 {
                -1 => "-".to_string(),
                leader => leader.to_string(),
            },
            joined(&partition.replica_nodes),
            joined(&partition.isr_nodes),
            shown(held.map(|(start, _)| start)),
            shown(held.map(|(_, end)| end)),
            shown(held.map(|(start, end)| end - start)),
        ]
    });
    table(&["PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END", "OFFSETS"], rows.collect());
}

fn print_json(name: &str, topic: &MetadataResponseTopic, own: &[Setting], bounds: &Bounds) {
    let partitions = topic.partitions.iter().map(|partition| {
        let held = of(bounds, name, partition);
        json!({
            "partition": partition.partition_index,
            "leader": partition.leader_id.0,
            "leader_epoch": partition.leader_epoch,
            "replicas": ids(&partition.replica_nodes),
            "isr": ids(&partition.isr_nodes),
            "offline": ids(&partition.offline_replicas),
            "start": held.map(|(start, _)| start),
            "end": held.map(|(_, end)| end),
        })
    });
    let configs: BTreeMap<&str, Option<&str>> =
        own.iter().map(|setting| (setting.key.as_str(), setting.value.as_deref())).collect();
    say(json!({
        "topic": name,
        "id": kafka_uuid(topic.topic_id),
        "internal": topic.is_internal,
        "configs": configs,
        "partitions": partitions.collect::<Vec<_>>(),
    }));
}
