use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ApiKey, DescribeClusterRequest, DescribeClusterResponse};
use serde_json::json;

use crate::cli::client::Connect;
use crate::cli::nodes::{explained, Cluster};
use crate::cli::print::{counted, plural, say, table};
use crate::cli::Failure;

/// How many partitions there are, and how many of them need care.
struct Partitions {
    all: usize,
    offline: usize,
    under_replicated: usize,
    /// By the node that leads them.
    led: BTreeMap<i32, usize>,
}

impl Partitions {
    fn of(topics: &[MetadataResponseTopic]) -> Partitions {
        let mut counts =
            Partitions { all: 0, offline: 0, under_replicated: 0, led: BTreeMap::new() };
        for partition in topics.iter().flat_map(|topic| &topic.partitions) {
            counts.all += 1;
            match partition.leader_id.0 {
                -1 => counts.offline += 1,
                leader => *counts.led.entry(leader).or_default() += 1,
            }
            if partition.isr_nodes.len() < partition.replica_nodes.len() {
                counts.under_replicated += 1;
            }
        }
        counts
    }
}

pub fn run(connect: &Connect, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let topics = cluster.topics(None)?;
    let counts = Partitions::of(&topics);
    let request = DescribeClusterRequest::default();
    let mut found: DescribeClusterResponse =
        cluster.first().ask(ApiKey::DescribeCluster, 0, &request)?;
    if found.error_code != 0 {
        return Err(explained(found.error_code, found.error_message.as_deref()).into());
    }
    found.brokers.sort_by_key(|broker| broker.broker_id.0);
    let led = |id: i32| counts.led.get(&id).copied().unwrap_or(0);
    if as_json {
        let brokers = found.brokers.iter().map(|broker| {
            json!({
                "id": broker.broker_id.0,
                "host": broker.host.as_str(),
                "port": broker.port,
                "rack": broker.rack.as_ref().map(|rack| rack.as_str()),
                "leads": led(broker.broker_id.0),
            })
        });
        say(json!({
            "cluster_id": found.cluster_id.as_str(),
            "controller": found.controller_id.0,
            "brokers": brokers.collect::<Vec<_>>(),
            "topics": topics.iter().filter(|topic| !topic.is_internal).count(),
            "internal_topics": topics.iter().filter(|topic| topic.is_internal).count(),
            "partitions": counts.all,
            "offline_partitions": counts.offline,
            "under_replicated_partitions": counts.under_replicated,
        }));
        return Ok(());
    }
    print(&found, &topics, &counts);
    Ok(())
}

fn print(found: &DescribeClusterResponse, topics: &[MetadataResponseTopic], counts: &Partitions) {
    let internal = topics.iter().filter(|topic| topic.is_internal).count();
    say(format_args!("cluster {}", found.cluster_id.as_str()));
    say(format_args!(
        "{} (and {internal} internal), {}: {}, {}",
        plural(topics.len() - internal, "topic"),
        plural(counts.all, "partition"),
        match counts.offline {
            0 => "all online".to_string(),
            offline => format!("{} OFFLINE", counted(offline as i64)),
        },
        match counts.under_replicated {
            0 => "all replicas in sync".to_string(),
            under => format!("{} under-replicated", counted(under as i64)),
        },
    ));
    let rows = found.brokers.iter().map(|broker| {
        let id = broker.broker_id.0;
        vec![
            id.to_string(),
            format!("{}:{}", broker.host.as_str(), broker.port),
            broker.rack.as_ref().map_or("-", |rack| rack.as_str()).to_string(),
            counts.led.get(&id).copied().unwrap_or(0).to_string(),
            if id == found.controller_id.0 { "controller" } else { "" }.to_string(),
        ]
    });
    table(&["BROKER", "ADDRESS", "RACK", "LEADS", "ROLE"], rows.collect());
}
