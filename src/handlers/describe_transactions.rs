//! DescribeTransactions (key 65), version 0: what is known of transactional ids (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
};

use super::route::ask_transaction_coordinator;
use super::RequestContext;
use crate::partition::{OfTransaction, Operation, Outcome, TransactionView};
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let found = describe(cx, &id).await;
        let state = TransactionState::default().with_transactional_id(id);
        states.push(match found {
            Ok(view) => fill(state, view),
            Err(code) => state.with_error_code(code.code()),
        });
    }
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

async fn describe(cx: &RequestContext, id: &str) -> Result<TransactionView, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let call = |partition| {
        Operation::DescribeTransaction(OfTransaction { partition, id: id.to_string(), what: () })
    };
    ask_transaction_coordinator(&cx.shard, id, call, |outcome| match outcome {
        Outcome::DescribeTransaction(it) => Some(it),
        _ => None,
    })
    .await?
}

fn fill(state: TransactionState, view: TransactionView) -> TransactionState {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in view.partitions {
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| {
        let name = TopicName(StrBytes::from_string(name));
        TopicData::default().with_topic(name).with_partitions(partitions)
    };
    state
        .with_transaction_state(StrBytes::from_static_str(view.state))
        .with_transaction_timeout_ms(view.timeout_ms)
        .with_transaction_start_time_ms(view.start_ms)
        .with_producer_id(ProducerId(view.producer.id))
        .with_producer_epoch(view.producer.epoch)
        .with_topics(topics.into_iter().map(topic).collect())
}
