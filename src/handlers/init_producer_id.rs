//! InitProducerId (key 22), versions 0–5: producer ids for idempotent producers, from a block that
//! the controller has handed to this shard; for transactional ids the producer that they stand for,
//! with a new epoch, from their coordinator (KIP-98, KIP-360).

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::route::ask_transaction_coordinator;
use super::RequestContext;
use crate::partition::{
    OfTransaction, Operation, Outcome, ProducerIdentity, TransactionAnswer, TransactionCall,
};
use crate::wire::ErrorCode;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    match init(cx, &request).await {
        Ok(producer) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(fenced_before(4, version, code).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

/// Older clients know being fenced by another name.
pub fn fenced_before(since: i16, version: i16, code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::ProducerFenced if version < since => ErrorCode::InvalidProducerEpoch,
        code => code,
    }
}

async fn init(cx: &RequestContext, request: &InitProducerIdRequest) -> TransactionAnswer {
    let (id, epoch) = (request.producer_id.0, request.producer_epoch);
    if (id == -1) != (epoch == -1) {
        return Err(ErrorCode::InvalidRequest);
    }
    let Some(name) = &request.transactional_id else {
        let id = cx.shard.new_producer_id().await?;
        return Ok(ProducerIdentity { id, epoch: 0 });
    };
    if name.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let timeout_ms = request.transaction_timeout_ms;
    if timeout_ms <= 0 || timeout_ms > cx.shard.config().transactions.max_timeout_ms {
        return Err(ErrorCode::InvalidTransactionTimeout);
    }
    let current = (id != -1).then_some(ProducerIdentity { id, epoch });
    call(cx, name, TransactionCall::Init { timeout_ms, current }).await
}

/// Asks a transactional id's coordinator.
pub async fn call(cx: &RequestContext, id: &str, what: TransactionCall) -> TransactionAnswer {
    let call =
        |partition| Operation::Transaction(OfTransaction { partition, id: id.to_string(), what });
    ask_transaction_coordinator(&cx.shard, id, call, |outcome| match outcome {
        Outcome::Transaction(it) => Some(it),
        _ => None,
    })
    .await?
}
