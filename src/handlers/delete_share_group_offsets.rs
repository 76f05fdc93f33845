//! DeleteShareGroupOffsets (key 92), version 0 (KIP-932): a share group in which nobody is forgets, durably,
//! what it has done of topics.

use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic as Topic;
use kafka_protocol::messages::{
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, TopicName,
};

use super::alter_share_group_offsets::{set, settable};
use super::describe_share_group_offsets::{starts, Starts};
use super::RequestContext;
use crate::partition::consumer_group::Refused;
use crate::partition::PartitionKey;
use crate::wire::{ErrorCode, StrBytes, Uuid, NO_SUCH_PARTITION};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let answer = DeleteShareGroupOffsetsResponse::default().with_error_message(None);
    // As in Kafka the group is not looked at then, whatever its name.
    if request.topics.is_empty() {
        return answer;
    }
    let known = match settable(cx, &request.group_id, false).await {
        Ok(()) => starts(cx, &request.group_id).await.map_err(Refused::from),
        Err(refused) => Err(refused),
    };
    let known = match known {
        Ok(known) => known,
        Err(refused) => {
            return answer
                .with_error_code(refused.code.code())
                .with_error_message(Some(StrBytes::from_string(refused.message)))
        }
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let (id, deleted) = delete(cx, &request.group_id, &topic.topic_name, &known).await;
        let answer = Topic::default().with_topic_name(topic.topic_name).with_topic_id(id);
        topics.push(match deleted {
            Ok(()) => answer.with_error_message(None),
            Err(refused) => answer
                .with_error_code(refused.code.code())
                .with_error_message(Some(StrBytes::from_string(refused.message))),
        });
    }
    answer.with_responses(topics)
}

/// The topic's id, where something was known of it, and what came of it.
async fn delete(
    cx: &RequestContext,
    group: &str,
    topic: &TopicName,
    known: &Starts,
) -> (Uuid, Result<(), Refused>) {
    let unknown = |message: &str| {
        (Uuid::nil(), Err(Refused::new(ErrorCode::UnknownTopicOrPartition, message)))
    };
    let Some(id) = cx.shard.image().by_name(topic).map(|found| found.id) else {
        return unknown(NO_SUCH_PARTITION);
    };
    let Some(partitions) = known.get(&id) else {
        return unknown("There is no offset information to delete.");
    };
    let entry = |index: &i32| (PartitionKey { topic: id, index: *index }, None);
    let done = set(cx, group, partitions.keys().map(entry).collect()).await;
    let failed = done.into_iter().find_map(Result::err);
    (id, failed.map_or(Ok(()), |code| Err(code.into())))
}
