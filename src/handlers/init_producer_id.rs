//! InitProducerId (key 22), versions 0–5: producer ids for idempotent producers, from a block that
//! the controller has handed to this shard. Knowingly missing: transactional ids.

use std::time::Duration;

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::RequestContext;
use crate::controller::PRODUCER_ID_BLOCK;
use crate::wire::ErrorCode;

const TIMEOUT: Duration = Duration::from_secs(30);

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |code: ErrorCode| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    match request.transactional_id {
        Some(id) if id.0.is_empty() => return refused(ErrorCode::InvalidRequest),
        Some(_) => return refused(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    let (mut next, mut end) = cx.shard.producer_ids.get();
    if next == end {
        match cx.shard.controller.allocate_producer_ids(TIMEOUT).await {
            // Another request may have brought a block meanwhile: this one is then left unused,
            // which costs nothing.
            Ok(first) => (next, end) = (first, first + PRODUCER_ID_BLOCK),
            Err(code) => return refused(code),
        }
    }
    cx.shard.producer_ids.set((next + 1, end));
    InitProducerIdResponse::default().with_producer_id(ProducerId(next)).with_producer_epoch(0)
}
