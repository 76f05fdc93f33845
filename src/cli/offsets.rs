//! Offsets of many partitions, each asked of its leader.

use std::collections::BTreeMap;

use anyhow::{anyhow, Context};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ApiKey, BrokerId, ListOffsetsRequest, ListOffsetsResponse};

use super::nodes::{check, topic_name, Cluster};

/// A topic and the number of one of its partitions.
pub type Place = (String, i32);

/// What ListOffsets takes instead of a time: the first record, and what comes behind the last.
pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

/// What is asked of partitions: by the node that leads them, and by topic.
pub type Asked<T> = BTreeMap<i32, BTreeMap<String, Vec<(i32, T)>>>;

/// The leader of each partition of `topics`.
pub fn leaders(topics: &[MetadataResponseTopic]) -> BTreeMap<Place, i32> {
    let mut leaders = BTreeMap::new();
    for topic in topics {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        for partition in &topic.partitions {
            leaders.insert((name.to_string(), partition.partition_index), partition.leader_id.0);
        }
    }
    leaders
}

/// Groups partitions, with what is asked of each, by the nodes that lead them.
///
/// # Errors
/// A partition does not exist or has no leader now.
pub fn by_leader<T: Clone>(
    leaders: &BTreeMap<Place, i32>,
    asked: &[(Place, T)],
) -> anyhow::Result<Asked<T>> {
    let mut nodes: Asked<T> = BTreeMap::new();
    for (place, what) in asked {
        let (topic, index) = place;
        let leader = leaders.get(place);
        let leader = leader.ok_or_else(|| anyhow!("'{topic}' has no partition {index}"))?;
        if *leader < 0 {
            return Err(anyhow!("partition {topic}-{index} has no leader now; try again later"));
        }
        let topics = nodes.entry(*leader).or_default();
        topics.entry(topic.clone()).or_default().push((*index, what.clone()));
    }
    Ok(nodes)
}

/// The offset at a time, or at [`EARLIEST`] or [`LATEST`], of each partition; -1 where nothing is at
/// or after that time. `committed`: the end is what a reader of committed records sees.
///
/// # Errors
/// A partition does not exist, or its leader does not answer.
pub fn at_times(
    cluster: &Cluster,
    leaders: &BTreeMap<Place, i32>,
    asked: &[(Place, i64)],
    committed: bool,
) -> anyhow::Result<BTreeMap<Place, i64>> {
    let mut found = BTreeMap::new();
    for (node, topics) in by_leader(leaders, asked)? {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(index, time)| {
                ListOffsetsPartition::default().with_partition_index(index).with_timestamp(time)
            });
            ListOffsetsTopic::default()
                .with_name(topic_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(i8::from(committed))
            .with_topics(topics.collect());
        let answer: ListOffsetsResponse =
            cluster.node(node)?.ask(ApiKey::ListOffsets, 5, &request)?;
        for topic in answer.topics {
            for partition in topic.partitions {
                let place = (topic.name.to_string(), partition.partition_index);
                check(partition.error_code)
                    .with_context(|| format!("partition {}-{}", place.0, place.1))?;
                found.insert(place, partition.offset);
            }
        }
    }
    Ok(found)
}

/// The first offset, and the one behind the last, of each partition.
///
/// # Errors
/// As [`at_times`].
pub fn bounds(
    cluster: &Cluster,
    leaders: &BTreeMap<Place, i32>,
    places: &[Place],
    committed: bool,
) -> anyhow::Result<BTreeMap<Place, (i64, i64)>> {
    let at = |time: i64| -> anyhow::Result<BTreeMap<Place, i64>> {
        let asked: Vec<(Place, i64)> = places.iter().map(|place| (place.clone(), time)).collect();
        at_times(cluster, leaders, &asked, committed)
    };
    let (starts, ends) = (at(EARLIEST)?, at(LATEST)?);
    let both = places
        .iter()
        .filter_map(|place| Some((place.clone(), (*starts.get(place)?, *ends.get(place)?))));
    Ok(both.collect())
}
