//! CreateTopics (key 19), versions 2–7: defaults (KIP-464), validation only, manual assignments,
//! what was made in the answer (KIP-525), topic ids.

use std::time::Duration;

use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::repeated::{named_twice, repeated};
use super::{describe_configs, RequestContext};
use crate::controller::{ApiError, CreatedTopic, NewTopic};
use crate::wire::{StrBytes, Uuid};

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let twice = repeated(request.topics.iter().map(|topic| &topic.name));
    let asked: Vec<_> =
        request.topics.iter().filter(|topic| !twice.contains(&topic.name)).collect();
    let names: Vec<_> = asked.iter().map(|topic| topic.name.clone()).collect();
    let topics = asked.iter().map(|topic| NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|a| (a.partition_index, a.broker_ids.iter().map(|id| id.0).collect()))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|c| (c.name.to_string(), c.value.as_ref().map(|v| v.to_string())))
            .collect(),
    });
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let results =
        cx.shard.controller.create_topics(topics.collect(), request.validate_only, timeout).await;
    let results = match results {
        Ok(results) => results,
        Err(code) => names.iter().map(|_| Err(ApiError::new(code, "not done in time"))).collect(),
    };
    let refused = twice.into_iter().map(|name| (name, Err(named_twice())));
    let answers = names.into_iter().zip(results).chain(refused).map(|(name, result)| {
        let answer = CreatableTopicResult::default().with_name(name).with_error_message(None);
        match result {
            Ok(created) => describe(cx, answer, created, version),
            Err(error) => answer
                .with_error_code(error.code.code())
                .with_error_message(Some(StrBytes::from_string(error.message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_topic_id(Uuid::nil()),
        }
    });
    CreateTopicsResponse::default().with_topics(answers.collect())
}

fn describe(
    cx: &RequestContext,
    answer: CreatableTopicResult,
    created: CreatedTopic,
    version: i16,
) -> CreatableTopicResult {
    if version < 5 {
        return answer;
    }
    let configs = describe_configs::of_topic(cx, &created.config).into_iter().map(|one| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(one.name))
            .with_value(one.value.map(StrBytes::from_string))
            .with_config_source(one.source as i8)
    });
    let answer = answer
        .with_num_partitions(created.partitions as i32)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()));
    if version >= 7 {
        answer.with_topic_id(created.id)
    } else {
        answer
    }
}
