//! TxnOffsetCommit (key 28), versions 0–5: what a group has read, committed with a transaction
//! (KIP-98, KIP-447). From version 5 on the broker adds the group to the transaction by itself
//! (KIP-890).

use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::offset_commit::{check, Asked};
use super::route::ask_coordinator;
use super::RequestContext;
use crate::clock::now_ms;
use crate::partition::{CommitEntry, CommitGroup, InTransaction, Operation, Outcome};
use crate::wire::ErrorCode;

/// Versions from which on the client says for which member it commits, knows what
/// TRANSACTION_ABORTABLE means, and leaves it to the broker to add the group.
const MEMBER_FROM: i16 = 3;
const ABORTABLE_FROM: i16 = 4;
const ADDS_FROM: i16 = 5;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let asked = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| Asked {
            topic: &topic.name,
            index: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
        })
    });
    let (entries, codes) = check(cx, asked);
    let mut codes = codes.after(entries, |entries| commit(cx, version, &request, entries)).await;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut codes).map(|(partition, code)| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

async fn commit(
    cx: &RequestContext,
    version: i16,
    request: &TxnOffsetCommitRequest,
    entries: Vec<CommitEntry>,
) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let group = request.group_id.to_string();
    let transaction = InTransaction {
        id: request.transactional_id.to_string(),
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        adds_partitions: version >= ADDS_FROM,
        knows_abortable: version >= ABORTABLE_FROM,
        refused: None,
    };
    let call = |partition| {
        Operation::CommitOffsets(CommitGroup {
            partition,
            group: group.clone(),
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
            generation: if version >= MEMBER_FROM { request.generation_id } else { -1 },
            by_epoch: false,
            now_ms: now_ms(),
            transaction: Some(transaction),
            entries,
        })
    };
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::CommitOffsets(it) => Some(it),
        _ => None,
    })
    .await?
}
