//! GetTelemetrySubscriptions (key 71), version 0, and PushTelemetry (key 72), version 0 (KIP-714): clients
//! are told what to report of themselves, by the subscriptions that mean them. What they report is checked
//! and written to the log of the target `corelane::client_metrics` at debug level, a line for each point;
//! where nobody reads that it is not decoded. Both are advertised while there are subscriptions (Kafka: where
//! a plug-in receives metrics).

use bytes::Bytes;
use corelane_shards::runtime::spawn_blocking;
use kafka_protocol::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, PushTelemetryRequest,
    PushTelemetryResponse,
};

use super::client_instances::{subscription_id, Push, CODECS};
use super::otlp::{self, OtlpError};
use super::RequestContext;
use crate::clock::now_ms;
use crate::config::client_metrics::{Client, Wanted};
use crate::metadata::kafka_uuid;
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// Who reads what clients report filters for it.
const TARGET: &str = "corelane::client_metrics";
/// Lines of one push; the others are counted.
const MOST_LINES: usize = 2_000;

pub async fn subscriptions(
    cx: &RequestContext,
    _version: i16,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let client = match request.client_instance_id.is_nil() {
        true => Uuid::new_v4(),
        false => request.client_instance_id,
    };
    let wanted = wanted_of(cx, client);
    if let Err(code) = cx.shard.client_instances.ask(client, cx.connection, &wanted, now_ms()) {
        return GetTelemetrySubscriptionsResponse::default().with_error_code(code.code());
    }
    let metrics = wanted.metrics.iter().map(|name| StrBytes::from_string(name.clone()));
    GetTelemetrySubscriptionsResponse::default()
        .with_client_instance_id(client)
        .with_subscription_id(subscription_id(&wanted, client))
        .with_accepted_compression_types(CODECS.to_vec())
        .with_push_interval_ms(wanted.interval_ms)
        .with_telemetry_max_bytes(cx.shard.config().telemetry_max_bytes)
        .with_delta_temporality(true)
        .with_requested_metrics(metrics.collect())
}

fn wanted_of(cx: &RequestContext, instance: Uuid) -> Wanted {
    let (software_name, software_version) = cx.shard.client_instances.software(cx.connection);
    cx.shard.image().client_metrics.wanted_of(&Client {
        id: cx.client_id.as_ref().map(ToString::to_string),
        instance: kafka_uuid(instance),
        software_name,
        software_version,
        address: cx.peer.ip().to_canonical().to_string(),
        port: cx.peer.port().to_string(),
    })
}

/// Kafka keeps this id, as it keeps the one of zeros.
const RESERVED: Uuid = Uuid::from_u128(1);

pub async fn push(
    cx: &RequestContext,
    _version: i16,
    request: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let taken = take(cx, request).await;
    PushTelemetryResponse::default().with_error_code(taken.map_or_else(|code| code.code(), |()| 0))
}

async fn take(cx: &RequestContext, request: PushTelemetryRequest) -> Result<(), ErrorCode> {
    let client = request.client_instance_id;
    if client.is_nil() || client == RESERVED {
        return Err(ErrorCode::InvalidRequest);
    }
    let most_bytes = cx.shard.config().telemetry_max_bytes.max(0) as usize;
    let push = Push {
        client,
        subscription: request.subscription_id,
        codec: request.compression_type,
        too_large: request.metrics.len() > most_bytes,
        terminating: request.terminating,
    };
    let wanted = wanted_of(cx, client);
    cx.shard.client_instances.push(&push, cx.connection, &wanted, now_ms())?;
    let is_read = tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
    if !is_read || request.metrics.is_empty() {
        return Ok(());
    }
    let client_id = cx.client_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let (codec, metrics) = (push.codec, request.metrics);
    spawn_blocking(move || write(client, &client_id, codec, &metrics, most_bytes)).await
}

/// Writes a push's points to the log.
///
/// # Errors
/// It cannot be read: a client that is told INVALID_RECORD pushes no more.
fn write(
    client: Uuid,
    client_id: &str,
    codec: i8,
    metrics: &Bytes,
    most_bytes: usize,
) -> Result<(), ErrorCode> {
    let client = kafka_uuid(client);
    let codec = otlp::codec(codec).ok_or(ErrorCode::UnsupportedCompressionType)?;
    let points = otlp::points(codec, metrics, most_bytes).map_err(|error| {
        tracing::debug!(target: TARGET, client, client_id, "a push cannot be read: {error}");
        match error {
            OtlpError::TooLarge { .. } => ErrorCode::TelemetryTooLarge,
            OtlpError::Compression(_) | OtlpError::Format(_) => ErrorCode::InvalidRecord,
        }
    })?;
    for point in points.iter().take(MOST_LINES) {
        tracing::debug!(
            target: TARGET,
            client,
            client_id,
            metric = point.metric,
            kind = point.kind,
            value = point.value,
            attributes = point.attributes,
            "a client's metric"
        );
    }
    if points.len() > MOST_LINES {
        let left_out = points.len() - MOST_LINES;
        tracing::debug!(target: TARGET, client, client_id, left_out, "there are more points");
    }
    Ok(())
}
