//! GetTelemetrySubscriptions (key 71), version 0, and PushTelemetry (key 72), version 0 (KIP-714): what
//! clients are to report of themselves. What they report is checked and counted in the log at debug level;
//! knowingly missing: a place to keep it.

use kafka_protocol::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
    PushTelemetryResponse,
};

use super::client_instances::{Push, Subscription, CODECS, MOST_BYTES};
use super::RequestContext;
use crate::clock::now_ms;
use crate::wire::{ErrorCode, StrBytes, Uuid};

pub async fn subscriptions(
    cx: &RequestContext,
    _version: i16,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let client = match request.client_instance_id.is_nil() {
        true => Uuid::new_v4(),
        false => request.client_instance_id,
    };
    let wanted = Subscription::default();
    if let Err(code) = cx.shard.client_instances.ask(client, &wanted, now_ms()) {
        return GetTelemetrySubscriptionsResponse::default().with_error_code(code.code());
    }
    let metrics = wanted.metrics.iter().map(|name| StrBytes::from_string(name.clone()));
    GetTelemetrySubscriptionsResponse::default()
        .with_client_instance_id(client)
        .with_subscription_id(wanted.id(client))
        .with_accepted_compression_types(CODECS.to_vec())
        .with_push_interval_ms(wanted.interval_ms)
        .with_telemetry_max_bytes(MOST_BYTES as i32)
        .with_delta_temporality(true)
        .with_requested_metrics(metrics.collect())
}

/// Kafka keeps this id, as it keeps the one of zeros.
const RESERVED: Uuid = Uuid::from_u128(1);

pub async fn push(
    cx: &RequestContext,
    _version: i16,
    request: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let client = request.client_instance_id;
    let push = Push {
        client,
        subscription: request.subscription_id,
        codec: request.compression_type,
        bytes: request.metrics.len(),
        terminating: request.terminating,
    };
    let taken = match client.is_nil() || client == RESERVED {
        true => Err(ErrorCode::InvalidRequest),
        false => cx.shard.client_instances.push(&push, &Subscription::default(), now_ms()),
    };
    if taken.is_ok() && push.bytes > 0 {
        tracing::debug!(%client, bytes = push.bytes, "a client's metrics");
    }
    PushTelemetryResponse::default().with_error_code(taken.map_or_else(|code| code.code(), |()| 0))
}
