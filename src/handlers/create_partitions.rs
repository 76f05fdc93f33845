//! CreatePartitions (key 37), versions 0–3 (KIP-195). The broker's own topics keep their partitions: where
//! a group's offsets or a transaction are is the hash of its name over their number.

use std::time::Duration;

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::repeated::{named_twice, repeated};
use super::RequestContext;
use crate::controller::{ApiError, MorePartitions};
use crate::group::is_internal;
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let twice = repeated(request.topics.iter().map(|topic| &topic.name));
    let once = request.topics.iter().filter(|topic| !twice.contains(&topic.name));
    let (ours, asked): (Vec<_>, Vec<_>) = once.partition(|topic| is_internal(&topic.name));
    let names: Vec<_> = asked.iter().map(|topic| topic.name.clone()).collect();
    let topics = asked.iter().map(|topic| {
        let assignments = topic.assignments.as_ref().map(|all| {
            all.iter().map(|one| one.broker_ids.iter().map(|id| id.0).collect()).collect()
        });
        MorePartitions { topic: topic.name.to_string(), count: topic.count, assignments }
    });
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let controller = &cx.shard.controller;
    let results =
        controller.create_partitions(topics.collect(), request.validate_only, timeout).await;
    let results = match results {
        Ok(results) => results,
        Err(code) => names.iter().map(|_| Err(ApiError::new(code, "not done in time"))).collect(),
    };
    let kept = ours.into_iter().map(|topic| (topic.name.clone(), Err(internal())));
    let refused = twice.into_iter().map(|name| (name, Err(named_twice()))).chain(kept);
    let answers = names.into_iter().zip(results).chain(refused).map(|(name, result)| {
        let answer = CreatePartitionsTopicResult::default().with_name(name);
        match result {
            Ok(()) => answer.with_error_message(None),
            Err(error) => answer
                .with_error_code(error.code.code())
                .with_error_message(Some(StrBytes::from_string(error.message))),
        }
    });
    CreatePartitionsResponse::default().with_results(answers.collect())
}

fn internal() -> ApiError {
    let message =
        "The topic is internal: with other partitions, what groups and transactions have \
        done would not be found.";
    ApiError::new(ErrorCode::InvalidTopicException, message)
}
