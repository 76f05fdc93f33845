//! AddPartitionsToTxn (key 24), versions 0–5: a producer names the partitions that it will write to in
//! its transaction. From version 4 on it is for brokers: many transactions, and questions whether a
//! partition is in one (KIP-890). The partitions of a transaction are added all or none.

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::init_producer_id::{call, fenced_before};
use super::route::locate;
use super::RequestContext;
use crate::group::is_internal;
use crate::partition::{AddToTransaction, TransactionCall};
use crate::transaction::EPOCH_PER_TRANSACTION;
use crate::wire::{ErrorCode, TopicRef};

/// From this version on, who asks speaks for clients of transaction version 2.
const FOR_BROKERS: i16 = 4;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let answer = AddPartitionsToTxnResponse::default();
    if version < FOR_BROKERS {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = one(cx, version, &transaction).await;
        return answer.with_results_by_topic_v3_and_below(results);
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let topics = one(cx, version, &transaction).await;
        results.push(
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id)
                .with_topic_results(topics),
        );
    }
    answer.with_results_by_transaction(results)
}

async fn one(
    cx: &RequestContext,
    version: i16,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let refused = refused_partitions(cx, version, &transaction.topics);
    let code = match refused.iter().any(Option::is_some) {
        true => Err(ErrorCode::OperationNotAttempted),
        false => add(cx, version, transaction, partitions(&transaction.topics)).await,
    };
    let mut results = Vec::with_capacity(transaction.topics.len());
    let mut refused = refused.into_iter();
    for topic in &transaction.topics {
        let mut of_topic = Vec::with_capacity(topic.partitions.len());
        for &index in &topic.partitions {
            let place = (topic.name.to_string(), index);
            let code = match (refused.next().flatten(), code) {
                (Some(refused), _) => Err(refused),
                // Of several that were asked for, one is missing: which?
                (_, Err(ErrorCode::TransactionAbortable)) => {
                    add(cx, version, transaction, vec![place]).await
                }
                (_, code) => code,
            };
            of_topic.push(
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(index)
                    .with_partition_error_code(code.err().map_or(0, |code| code.code())),
            );
        }
        results.push(
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(of_topic),
        );
    }
    results
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> Vec<(String, i32)> {
    let of = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.to_string();
        topic.partitions.iter().map(move |index| (name.clone(), *index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

/// Of each partition why a transaction cannot have it: it is not there, or it is the broker's own and
/// who asks is a client.
fn refused_partitions(
    cx: &RequestContext,
    version: i16,
    topics: &[AddPartitionsToTxnTopic],
) -> Vec<Option<ErrorCode>> {
    let image = cx.shard.image();
    let mut refused = Vec::new();
    for topic in topics {
        let name = TopicRef::Name(topic.name.0.clone());
        let of_broker = version < FOR_BROKERS && is_internal(&topic.name);
        refused.extend(topic.partitions.iter().map(|index| match locate(&image, &name, *index) {
            _ if of_broker => Some(ErrorCode::TopicAuthorizationFailed),
            Ok(_) => None,
            Err(_) => Some(ErrorCode::UnknownTopicOrPartition),
        }));
    }
    refused
}

async fn add(
    cx: &RequestContext,
    version: i16,
    transaction: &AddPartitionsToTxnTransaction,
    partitions: Vec<(String, i32)>,
) -> Result<(), ErrorCode> {
    if transaction.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let add = AddToTransaction {
        producer_id: transaction.producer_id.0,
        producer_epoch: transaction.producer_epoch,
        verify_only: transaction.verify_only,
        partitions,
    };
    let client = if version < FOR_BROKERS { 0 } else { EPOCH_PER_TRANSACTION };
    let call =
        call(cx, &transaction.transactional_id, TransactionCall::Add { add, version: client });
    call.await.map(drop).map_err(|code| fenced_before(2, version, code))
}
