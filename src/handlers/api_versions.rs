//! ApiVersions (key 18), versions 0–4: the dispatch table and the features, told to the client
//! (KIP-511, KIP-584). A version that is not served is answered by the connection, before anything
//! is decoded.

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::RequestContext;
use crate::wire::{apis, features, ErrorCode};

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
    let image = cx.shard.image();
    features::tell(apis::api_versions_response(), version, image.epoch, &image.features)
}
