//! EndTxn (key 26), versions 0–5: a transaction is committed or aborted. It is answered when that is
//! decided durably; the markers follow. From version 5 on the producer goes on with the epoch (and,
//! once these are used up, the id) that it is told (KIP-890).

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use super::init_producer_id::{call, fenced_before};
use super::RequestContext;
use crate::partition::{ProducerIdentity, TransactionAnswer, TransactionCall};
use crate::transaction::EPOCH_PER_TRANSACTION;
use crate::wire::ErrorCode;

/// From this version on a client is of transaction version 2.
const BUMPS_EPOCH: i16 = 5;

pub async fn handle(cx: &RequestContext, version: i16, request: EndTxnRequest) -> EndTxnResponse {
    let answer = EndTxnResponse::default();
    match end(cx, version, &request).await {
        Ok(_) if version < BUMPS_EPOCH => answer,
        Ok(ProducerIdentity { id, epoch }) => {
            answer.with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(code) => answer.with_error_code(fenced_before(2, version, code).code()),
    }
}

async fn end(cx: &RequestContext, version: i16, request: &EndTxnRequest) -> TransactionAnswer {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let producer = ProducerIdentity { id: request.producer_id.0, epoch: request.producer_epoch };
    let version = if version < BUMPS_EPOCH { 0 } else { EPOCH_PER_TRANSACTION };
    let end = TransactionCall::End { producer, commit: request.committed, version };
    call(cx, &request.transactional_id, end).await
}
