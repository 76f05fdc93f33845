//! DeleteRecords (key 21), versions 0–2 (KIP-107): moves log start offsets up, durably.

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::group::is_internal;
use crate::metadata::MetadataImage;
use crate::partition::{Operation, Outcome, PartitionKey, Trim};
use crate::wire::{ErrorCode, TopicRef};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    for topic in &request.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        for partition in &topic.partitions {
            let mut answer = DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index)
                .with_low_watermark(-1);
            let located = locate(&image, &name, partition.partition_index)
                .and_then(|(owner, key)| may_delete(&image, &key).map(|()| (owner, key)));
            match located {
                Ok((owner, key)) => {
                    groups.add(owner, flat.len(), Trim { key, offset: partition.offset });
                }
                Err(code) => answer.error_code = code.code(),
            }
            flat.push(answer);
        }
    }
    for (owner, places, trims) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Trim(trims)).await else { continue };
        if let Some(Outcome::Trim(starts)) = routed.outcome().await {
            for (place, start) in places.into_iter().zip(starts) {
                match start {
                    Ok(offset) => flat[place].low_watermark = offset,
                    Err(code) => flat[place].error_code = code.code(),
                }
            }
        }
    }
    let mut flat = flat.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        DeleteRecordsTopicResult::default()
            .with_name(topic.name)
            .with_partitions(flat.by_ref().take(topic.partitions.len()).collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

/// Only a topic whose old records are deleted anyway may lose some on demand, and none that the broker
/// keeps for itself, as in Kafka.
fn may_delete(image: &MetadataImage, key: &PartitionKey) -> Result<(), ErrorCode> {
    match image.by_id.get(&key.topic) {
        Some(topic) if is_internal(topic.name.as_str()) => Err(ErrorCode::InvalidTopicException),
        Some(topic) if topic.config.log.delete => Ok(()),
        _ => Err(ErrorCode::PolicyViolation),
    }
}
