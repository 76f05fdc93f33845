//! AlterShareGroupOffsets (key 91), version 0 (KIP-932): a share group in which nobody is begins elsewhere
//! in partitions, durably. −1 is where a group begins that has done nothing yet; what is outside of the
//! log counts as its nearer end. Topics that are not there are told without a look at the group. A refused
//! group is told of the whole and of each partition: clients of Kafka 4.1 look at partitions alone. (Apache
//! Kafka 4.1.1 itself loses topics that are there, answers nothing of them and sets nothing.)

use kafka_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic as Asked;
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition as Partition,
    AlterShareGroupOffsetsResponseTopic as Topic,
};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, GroupId,
};

use super::consumer_group_describe::describe;
use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::consumer_group::Refused;
use crate::partition::share::SetShares;
use crate::partition::{Operation, Outcome, PartitionKey};
use crate::wire::{ErrorCode, StrBytes, TopicRef, Uuid, NO_SUCH_PARTITION};

/// A group begins where one does that has done nothing yet.
const ANEW: i64 = -1;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    let image = cx.shard.image();
    let is_there = |topic: &Asked| image.by_name(&topic.topic_name).is_some();
    let (there, unknown): (Vec<Asked>, Vec<Asked>) = request.topics.into_iter().partition(is_there);
    let answer = AlterShareGroupOffsetsResponse::default();
    let no_topic = Refused::new(ErrorCode::UnknownTopicOrPartition, NO_SUCH_PARTITION);
    let mut topics: Vec<Topic> =
        unknown.into_iter().map(|topic| refuse(topic, &no_topic)).collect();
    if let Err(refused) = settable(cx, &request.group_id, there.is_empty()).await {
        topics.extend(there.into_iter().map(|topic| refuse(topic, &refused)));
        return answer
            .with_error_code(refused.code.code())
            .with_error_message(Some(StrBytes::from_string(refused.message)))
            .with_responses(topics);
    }
    topics.extend(alter(cx, &request.group_id, there).await);
    answer.with_responses(topics)
}

async fn alter(cx: &RequestContext, group: &str, asked: Vec<Asked>) -> Vec<Topic> {
    let image = cx.shard.image();
    let mut entries = Vec::new();
    for topic in &asked {
        let id = image.by_name(&topic.topic_name).map_or(Uuid::nil(), |found| found.id);
        entries.extend(topic.partitions.iter().map(|partition| {
            let key = PartitionKey { topic: id, index: partition.partition_index };
            (key, (partition.start_offset != ANEW).then_some(partition.start_offset))
        }));
    }
    let mut done = entries.iter().zip(set(cx, group, entries.clone()).await);
    let topics = asked.into_iter().map(|topic| {
        let mut id = Uuid::nil();
        let partitions = done.by_ref().take(topic.partitions.len()).map(|((key, _), done)| {
            id = key.topic;
            let partition = Partition::default().with_partition_index(key.index);
            match done {
                Ok(()) => partition.with_error_message(None),
                Err(code) => partition
                    .with_error_code(code.code())
                    .with_error_message(why(code).map(StrBytes::from_static_str)),
            }
        });
        let partitions = partitions.collect();
        Topic::default()
            .with_topic_name(topic.topic_name)
            .with_topic_id(id)
            .with_partitions(partitions)
    });
    topics.collect()
}

fn refuse(topic: Asked, refused: &Refused) -> Topic {
    let partitions = topic.partitions.iter().map(|partition| {
        Partition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(refused.code.code())
            .with_error_message(Some(StrBytes::from_string(refused.message.clone())))
    });
    Topic::default().with_partitions(partitions.collect()).with_topic_name(topic.topic_name)
}

/// Whether where a share group is can be set: it is there, and nobody is in it. The group is not looked
/// at where there is nothing to set.
///
/// # Errors
/// Kafka's code and message.
pub async fn settable(cx: &RequestContext, group: &GroupId, nothing: bool) -> Result<(), Refused> {
    let refuse = |code, message: &str| Err(Refused::new(code, message));
    if !cx.shard.config().share_limits.enabled {
        return refuse(ErrorCode::UnsupportedVersion, "The version of API is not supported.");
    }
    if group.is_empty() {
        return refuse(ErrorCode::InvalidGroupId, "The group id is invalid.");
    }
    if nothing {
        return Ok(());
    }
    match describe(cx, group, Operation::DescribeShareGroup).await {
        Ok(view) if view.members.is_empty() => Ok(()),
        Ok(_) => refuse(ErrorCode::NonEmptyGroup, "The group is not empty."),
        Err(code @ ErrorCode::GroupIdNotFound) => {
            refuse(code, &format!("Group {} not found.", group.0))
        }
        Err(code) => refuse(code, why(code).unwrap_or_default()),
    }
}

/// A group begins there in each partition, or, without an offset, as if it had done nothing; the
/// outcomes are in the order of `entries`.
pub async fn set(
    cx: &RequestContext,
    group: &str,
    entries: Vec<(PartitionKey, Option<i64>)>,
) -> Vec<Result<(), ErrorCode>> {
    let image = cx.shard.image();
    let mut outcomes = vec![Err(ErrorCode::CoordinatorNotAvailable); entries.len()];
    let mut by_owner = Groups::new();
    for (place, (key, start)) in entries.into_iter().enumerate() {
        match locate(&image, &TopicRef::Id(key.topic), key.index) {
            Ok((owner, key)) => by_owner.add(owner, place, (key, start)),
            Err(_) => outcomes[place] = Err(ErrorCode::UnknownTopicOrPartition),
        }
    }
    let mut routed = Vec::with_capacity(by_owner.len());
    for (owner, places, entries) in by_owner.into_parts() {
        let order = Operation::SetShares(SetShares { group: group.to_string(), entries });
        if let Ok(asked) = cx.shard.route(owner, order).await {
            routed.push((places, asked));
        }
    }
    for (places, asked) in routed {
        let Some(Outcome::SetShares(done)) = asked.outcome().await else { continue };
        for (place, done) in places.into_iter().zip(done) {
            outcomes[place] = done.map_err(|code| match code {
                ErrorCode::KafkaStorageError => code,
                // What is said of partitions and of states is "ask again" here.
                _ => ErrorCode::CoordinatorNotAvailable,
            });
        }
    }
    outcomes
}

/// Kafka's words for what may be wrong with one partition.
fn why(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UnknownTopicOrPartition => Some(NO_SUCH_PARTITION),
        ErrorCode::CoordinatorNotAvailable => Some("The coordinator is not available."),
        ErrorCode::CoordinatorLoadInProgress => {
            Some("The coordinator is loading and hence can't process requests.")
        }
        ErrorCode::NotCoordinator => Some("This is not the correct coordinator."),
        ErrorCode::KafkaStorageError => {
            Some("Disk error when trying to access log file on the disk.")
        }
        _ => None,
    }
}
