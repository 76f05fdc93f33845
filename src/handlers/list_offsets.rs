//! ListOffsets (key 2), versions 1–10: by time, earliest, latest, and the largest timestamp
//! (KIP-734). Knowingly missing: tiered storage (its offsets are answered as none).

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{OffsetQuery, Operation, Outcome};
use crate::wire::TopicRef;

/// Isolation level of consumers that leave out what is not decided or was aborted.
pub const READ_COMMITTED: i8 = 1;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    for topic in &request.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        for partition in &topic.partitions {
            let mut answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1)
                .with_offset(-1)
                .with_leader_epoch(-1);
            match locate(&image, &name, partition.partition_index) {
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
