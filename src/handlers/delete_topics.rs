//! DeleteTopics (key 20), versions 1–6: by name or, from 6 on, by id (KIP-516).

use std::time::Duration;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::RequestContext;
use crate::controller::{ApiError, TopicSelector};
use crate::wire::StrBytes;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_either = request.topics.into_iter().map(|topic| match topic.name {
        Some(name) => TopicSelector::Name(name.to_string()),
        None => TopicSelector::Id(topic.topic_id),
    });
    let by_name = request.topic_names.iter().map(|name| TopicSelector::Name(name.to_string()));
    let topics: Vec<TopicSelector> =
        if version >= 6 { by_either.collect() } else { by_name.collect() };
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let results = match cx.shard.controller.delete_topics(topics.clone(), timeout).await {
        Ok(results) => results,
        Err(code) => topics.iter().map(|_| Err(ApiError::new(code, "not done in time"))).collect(),
    };
    let answers = topics.into_iter().zip(results).map(|(topic, result)| {
        let mut answer = DeletableTopicResult::default().with_error_message(None);
        if let TopicSelector::Id(id) = topic {
            answer.topic_id = id;
        }
        if let TopicSelector::Name(name) = topic {
            answer.name = Some(TopicName(StrBytes::from_string(name)));
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
    });
    DeleteTopicsResponse::default().with_responses(answers.collect())
}
