//! OffsetForLeaderEpoch (key 23), versions 2–4 (KIP-320).

use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{EpochQuery, Operation, Outcome};
use crate::wire::TopicRef;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    for topic in &request.topics {
        let name = TopicRef::Name(topic.topic.0.clone());
        for partition in &topic.partitions {
            let mut answer = EpochEndOffset::default().with_partition(partition.partition);
            match locate(&image, &name, partition.partition) {
                Ok((owner, key)) => groups.add(
                    owner,
                    flat.len(),
                    EpochQuery {
                        key,
                        current_leader_epoch: partition.current_leader_epoch,
                        leader_epoch: partition.leader_epoch,
                    },
                ),
                Err(code) => answer.error_code = code.code(),
            }
            flat.push(answer);
        }
    }
    for (owner, places, queries) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Epochs(queries)).await else { continue };
        if let Some(Outcome::Epochs(ends)) = routed.outcome().await {
            for (place, end) in places.into_iter().zip(ends) {
                flat[place].error_code = end.error_code;
                flat[place].leader_epoch = end.leader_epoch;
                flat[place].end_offset = end.end_offset;
            }
        }
    }
    let mut flat = flat.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic)
            .with_partitions(flat.by_ref().take(topic.partitions.len()).collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
