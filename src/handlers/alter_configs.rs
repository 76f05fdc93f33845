//! IncrementalAlterConfigs (key 44), versions 0–1 (KIP-339), and AlterConfigs (key 33), versions 0–2:
//! settings of topics, durable and in force on all shards when they are answered. Knowingly missing:
//! settings of brokers, groups and client metrics, which are refused by name.

use std::time::Duration;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    alter_configs_response, incremental_alter_configs_response, AlterConfigsRequest,
    AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::RequestContext;
use crate::controller::{ApiError, ConfigChange, ConfigOp, TopicChange};
use crate::wire::{ErrorCode, StrBytes};

const TIMEOUT: Duration = Duration::from_secs(30);
const RESOURCE_TOPIC: i8 = 2;

pub async fn incremental(
    cx: &RequestContext,
    _version: i16,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let asked = request.resources.iter().map(|resource| {
        let change = |config: &AlterableConfig| {
            Ok(ConfigChange {
                name: config.name.to_string(),
                op: operation(config.config_operation)?,
                value: config.value.as_ref().map(ToString::to_string),
            })
        };
        let changes = resource.configs.iter().map(change).collect();
        change_of(resource.resource_type, &resource.resource_name, false, changes)
    });
    let results = alter(cx, asked.collect(), request.validate_only).await;
    let answer = |(resource, result): (AlterConfigsResource, Result<(), ApiError>)| {
        let (code, message) = told(result);
        incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    };
    let responses = request.resources.into_iter().zip(results).map(answer).collect();
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let asked = request.resources.iter().map(|resource| {
        let changes = resource.configs.iter().map(|config| {
            Ok(ConfigChange {
                name: config.name.to_string(),
                op: ConfigOp::Set,
                value: config.value.as_ref().map(ToString::to_string),
            })
        });
        change_of(resource.resource_type, &resource.resource_name, true, changes.collect())
    });
    let results = alter(cx, asked.collect(), request.validate_only).await;
    let responses = request.resources.into_iter().zip(results).map(|(resource, result)| {
        let (code, message) = told(result);
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn told(result: Result<(), ApiError>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err(error) => (error.code.code(), Some(StrBytes::from_string(error.message))),
    }
}

fn operation(number: i8) -> Result<ConfigOp, ApiError> {
    match number {
        0 => Ok(ConfigOp::Set),
        1 => Ok(ConfigOp::Delete),
        2 => Ok(ConfigOp::Append),
        3 => Ok(ConfigOp::Subtract),
        other => {
            let message = format!("There is no operation {other} on settings.");
            Err(ApiError::new(ErrorCode::InvalidRequest, message))
        }
    }
}

fn change_of(
    resource_type: i8,
    name: &StrBytes,
    replace_all: bool,
    changes: Result<Vec<ConfigChange>, ApiError>,
) -> Result<TopicChange, ApiError> {
    if resource_type != RESOURCE_TOPIC {
        let message = format!(
            "Settings of resource type {resource_type} cannot be changed here while the broker runs."
        );
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(TopicChange { topic: name.to_string(), replace_all, changes: changes? })
}

/// Hands on what can be decided about; one result for each that was asked for.
async fn alter(
    cx: &RequestContext,
    asked: Vec<Result<TopicChange, ApiError>>,
    validate_only: bool,
) -> Vec<Result<(), ApiError>> {
    let mut results: Vec<Result<(), ApiError>> =
        asked.iter().map(|one| one.as_ref().map(drop).map_err(Clone::clone)).collect();
    let (places, changes): (Vec<usize>, Vec<TopicChange>) =
        asked.into_iter().enumerate().filter_map(|(at, one)| Some((at, one.ok()?))).unzip();
    match cx.shard.controller.alter_topics(changes, validate_only, TIMEOUT).await {
        Ok(decided) => places.into_iter().zip(decided).for_each(|(at, one)| results[at] = one),
        Err(code) => places.into_iter().for_each(|at| {
            results[at] = Err(ApiError::new(code, "The controller did not answer."))
        }),
    }
    results
}
