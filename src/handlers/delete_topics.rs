//! DeleteTopics (key 20), versions 1–6: by name or, from 6 on, by id (KIP-516). Topics that the broker
//! keeps for itself are not deleted: groups and transactions would forget what they have done.

use std::time::Duration;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::repeated::{named_twice, repeated};
use super::RequestContext;
use crate::controller::{ApiError, TopicSelector};
use crate::group::is_internal;
use crate::metadata::MetadataImage;
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// The name and id of a topic that was deleted.
type Deleted = Result<(String, Uuid), ApiError>;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let image = cx.shard.image();
    let mut asked: Vec<TopicSelector> = Vec::new();
    let mut answers: Vec<(TopicSelector, Deleted)> = Vec::new();
    let mut unclear: Vec<DeletableTopicResult> = Vec::new();
    for topic in request.topics.into_iter().filter(|_| version >= 6) {
        match (topic.name, topic.topic_id) {
            (Some(name), id) if id.is_nil() => asked.push(TopicSelector::Name(name.to_string())),
            (None, id) if !id.is_nil() => asked.push(TopicSelector::Id(id)),
            (name, id) => {
                let both = name.is_some();
                let message = if both { "A name and an id." } else { "Neither a name nor an id." };
                unclear.push(
                    DeletableTopicResult::default()
                        .with_name(name)
                        .with_topic_id(id)
                        .with_error_code(ErrorCode::InvalidRequest.code())
                        .with_error_message(Some(StrBytes::from_static_str(message))),
                );
            }
        }
    }
    let names = request.topic_names.iter().filter(|_| version < 6);
    asked.extend(names.map(|name| TopicSelector::Name(name.to_string())));
    let twice = repeated(asked.iter());
    asked.retain(|topic| !twice.contains(topic));
    answers.extend(twice.into_iter().map(|topic| (topic, Err(named_twice()))));
    if !cx.shard.config().delete_topics {
        // Versions before it do not know the code.
        let code = match version {
            0..=2 => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        let disabled = ApiError::new(code, "Topics are not deleted: delete.topic.enable is false.");
        answers.extend(asked.drain(..).map(|topic| (topic, Err(disabled.clone()))));
    }
    let (refused, asked): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|topic| is_ours(&image, topic));
    answers.extend(refused.into_iter().map(|topic| {
        let message = "The topic is internal: it cannot be deleted.";
        (topic, Err(ApiError::new(ErrorCode::InvalidTopicException, message)))
    }));
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let results = match cx.shard.controller.delete_topics(asked.clone(), timeout).await {
        Ok(results) => results,
        Err(code) => asked.iter().map(|_| Err(ApiError::new(code, "not done in time"))).collect(),
    };
    answers.extend(asked.into_iter().zip(results));
    let answers = answers.into_iter().map(|(topic, result)| answer(version, topic, result));
    DeleteTopicsResponse::default().with_responses(unclear.into_iter().chain(answers).collect())
}

fn is_ours(image: &MetadataImage, topic: &TopicSelector) -> bool {
    match topic {
        TopicSelector::Name(name) => is_internal(name),
        TopicSelector::Id(id) => {
            image.by_id.get(id).is_some_and(|topic| is_internal(topic.name.as_str()))
        }
    }
}

fn answer(version: i16, topic: TopicSelector, result: Deleted) -> DeletableTopicResult {
    let mut answer = DeletableTopicResult::default().with_error_message(None);
    match topic {
        TopicSelector::Id(id) => answer.topic_id = id,
        TopicSelector::Name(name) => answer.name = Some(TopicName(StrBytes::from_string(name))),
    }
    match result {
        Ok((name, id)) => {
            answer.name = Some(TopicName(StrBytes::from_string(name)));
            if version >= 6 {
                answer.topic_id = id;
            }
        }
        Err(error) => {
            answer.error_code = error.code.code();
            if version >= 5 {
                answer.error_message = Some(StrBytes::from_string(error.message));
            }
        }
    }
    answer
}
