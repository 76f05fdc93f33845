//! IncrementalAlterConfigs (key 44), versions 0–1 (KIP-339), and AlterConfigs (key 33), versions 0–2:
//! settings of topics, of brokers (one or all), of groups and of subscriptions to clients' metrics,
//! durable and in force on all shards when they are answered. Knowingly missing: levels of loggers.

use std::time::Duration;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    alter_configs_response, incremental_alter_configs_response, AlterConfigsRequest,
    AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::RequestContext;
use crate::controller::{ApiError, ConfigChange, ConfigOp, ConfigsChange, Target};
use crate::metadata::Resource;
use crate::wire::{ErrorCode, StrBytes};

const TIMEOUT: Duration = Duration::from_secs(30);
/// What is told to who asks for loggers.
pub(super) const NO_LOGGERS: &str =
    "Levels of loggers do not change while the broker runs: start it with RUST_LOG=debug or the like.";

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
        change_of(cx, resource.resource_type, &resource.resource_name, false, changes)
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
        change_of(cx, resource.resource_type, &resource.resource_name, true, changes.collect())
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
    cx: &RequestContext,
    resource_type: i8,
    name: &StrBytes,
    replace_all: bool,
    changes: Result<Vec<ConfigChange>, ApiError>,
) -> Result<ConfigsChange, ApiError> {
    let wrong = |message: String| ApiError::new(ErrorCode::InvalidRequest, message);
    let target = match resource_type {
        Resource::TOPIC => Target::Topic(name.to_string()),
        Resource::BROKER_LOGGER => return Err(wrong(NO_LOGGERS.to_string())),
        kind => Target::Other(match Resource::parse(kind, name).map_err(wrong)? {
            // Each shard that clients are told of is this broker.
            Resource::Broker(id) if cx.is_us(id) => Resource::Broker(cx.shard.config().node_id),
            other => other,
        }),
    };
    Ok(ConfigsChange { target, replace_all, changes: changes? })
}

/// Hands on what can be decided about; one result for each that was asked for.
async fn alter(
    cx: &RequestContext,
    asked: Vec<Result<ConfigsChange, ApiError>>,
    validate_only: bool,
) -> Vec<Result<(), ApiError>> {
    let mut results: Vec<Result<(), ApiError>> =
        asked.iter().map(|one| one.as_ref().map(drop).map_err(Clone::clone)).collect();
    let (places, changes): (Vec<usize>, Vec<ConfigsChange>) =
        asked.into_iter().enumerate().filter_map(|(at, one)| Some((at, one.ok()?))).unzip();
    match cx.shard.controller.alter_configs(changes, validate_only, TIMEOUT).await {
        Ok(decided) => places.into_iter().zip(decided).for_each(|(at, one)| results[at] = one),
        Err(code) => places.into_iter().for_each(|at| {
            results[at] = Err(ApiError::new(code, "The controller did not answer."))
        }),
    }
    results
}
