//! AddOffsetsToTxn (key 25), versions 0–4: a producer will commit a group's offsets in its transaction,
//! which makes the group's partition of `__consumer_offsets` a part of it.

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::find_coordinator::offsets_partition_of;
use super::init_producer_id::{call, fenced_before};
use super::RequestContext;
use crate::group::OFFSETS_TOPIC;
use crate::partition::{AddToTransaction, TransactionCall};
use crate::wire::ErrorCode;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let code = add(cx, &request).await.err().map(|code| fenced_before(2, version, code));
    AddOffsetsToTxnResponse::default().with_error_code(code.map_or(0, |code| code.code()))
}

async fn add(cx: &RequestContext, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let partition = offsets_partition_of(cx, &request.group_id).await?;
    let add = AddToTransaction {
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        verify_only: false,
        partitions: vec![(OFFSETS_TOPIC.to_string(), partition)],
    };
    let add = TransactionCall::Add { add, version: 0 };
    call(cx, &request.transactional_id, add).await.map(drop)
}
