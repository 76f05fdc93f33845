//! ApiVersions (key 18), versions 0–4: the dispatch table and the features, told to the client
//! (KIP-511, KIP-584); those about clients' metrics while somebody wants some (KIP-714). A version that is not served is answered by the connection, before anything
//! is decoded.

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::RequestContext;
use crate::wire::{apis, features, ApiKey, ErrorCode};

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    // From version 3 on a client must say who it is, in characters fit for a metric's name.
    let named = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let valid = version < 3
        || (named(&request.client_software_name) && named(&request.client_software_version));
    if !valid {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    if version >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        cx.shard.client_instances.connected(cx.connection, name, version);
    }
    let image = cx.shard.image();
    let mut table = apis::api_versions_response();
    if image.client_metrics.is_empty() {
        // Clients that see these ask at once what to report, and librdkafka says so on its console.
        let of_metrics = [ApiKey::GetTelemetrySubscriptions, ApiKey::PushTelemetry];
        table.api_keys.retain(|api| !of_metrics.iter().any(|key| *key as i16 == api.api_key));
    }
    features::tell(table, version, image.epoch, &image.features)
}
