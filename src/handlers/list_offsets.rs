//! ListOffsets (key 2), versions 1–10: by time, earliest, latest, and the largest timestamp
//! (KIP-734). Knowingly missing: tiered storage (its offsets are answered as none).

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{OffsetQuery, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, TopicRef};

/// Kafka's names for ends of a log, as negative times, and the versions that brought them.
const NAMED_SINCE: [(i64, i16); 5] = [(-1, 0), (-2, 0), (-3, 7), (-4, 8), (-5, 9)];

/// Isolation level of consumers that leave out what is not decided or was aborted.
pub const READ_COMMITTED: i8 = 1;
pub const ISOLATION_LEVELS: RangeInclusive<i8> = 0..=READ_COMMITTED;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    let twice = named_twice(&request);
    for topic in &request.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        for partition in &topic.partitions {
            let located = match partition.partition_index {
                _ if !ISOLATION_LEVELS.contains(&request.isolation_level) => {
                    Err(ErrorCode::UnknownServerError)
                }
                index if twice.contains(&(&topic.name.0, index)) => Err(ErrorCode::InvalidRequest),
                _ if !is_time(version, partition.timestamp) => Err(ErrorCode::UnsupportedVersion),
                index => locate(&image, &name, index),
            };
            let mut answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1)
                .with_offset(-1)
                .with_leader_epoch(-1);
            match located {
                Ok((owner, key)) => groups.add(
                    owner,
                    flat.len(),
                    OffsetQuery {
                        key,
                        leader_epoch: partition.current_leader_epoch,
                        read_committed: request.isolation_level == READ_COMMITTED,
                        timestamp: partition.timestamp,
                    },
                ),
                Err(code) => answer.error_code = code.code(),
            }
            flat.push(answer);
        }
    }
    for (owner, places, queries) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Offsets(queries)).await else { continue };
        if let Some(Outcome::Offsets(found)) = routed.outcome().await {
            for (place, found) in places.into_iter().zip(found) {
                flat[place].error_code = found.error_code;
                flat[place].timestamp = found.timestamp;
                flat[place].offset = found.offset;
                if version >= 4 {
                    flat[place].leader_epoch = found.leader_epoch;
                }
            }
        }
    }
    let mut flat = flat.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(flat.by_ref().take(topic.partitions.len()).collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Partitions that a request names more than once: each of them is refused.
fn named_twice(request: &ListOffsetsRequest) -> HashSet<(&StrBytes, i32)> {
    let mut seen = HashSet::new();
    let places = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (&topic.name.0, partition.partition_index))
    });
    places.filter(|place| !seen.insert(*place)).collect()
}

fn is_time(version: i16, timestamp: i64) -> bool {
    timestamp >= 0
        || NAMED_SINCE.iter().any(|(name, since)| timestamp == *name && version >= *since)
}
