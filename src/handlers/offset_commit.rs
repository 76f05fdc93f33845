//! OffsetCommit (key 8), versions 2–9: what a group has read.

use std::future::Future;

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::route::{ask_coordinator, locate};
use super::RequestContext;
use crate::clock::now_ms;
use crate::partition::{CommitEntry, CommitGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, TopicRef};

/// Since this version a member of a consumer group says its epoch (KIP-848).
const EPOCHS_FROM: i16 = 9;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
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
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

async fn commit(
    cx: &RequestContext,
    version: i16,
    request: &OffsetCommitRequest,
    entries: Vec<CommitEntry>,
) -> Result<(), ErrorCode> {
    let group = request.group_id.to_string();
    let call = |partition| {
        Operation::CommitOffsets(CommitGroup {
            partition,
            group: group.clone(),
            member_id: request.member_id.to_string(),
            instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
            generation: request.generation_id_or_member_epoch,
            by_epoch: version >= EPOCHS_FROM,
            now_ms: now_ms(),
            transaction: None,
            entries,
        })
    };
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::CommitOffsets(it) => Some(it),
        _ => None,
    })
    .await?
}

/// What a consumer says of one partition.
pub struct Asked<'a> {
    pub topic: &'a StrBytes,
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: &'a str,
}

/// Kafka's code for each partition of a request, in its order; `None` where the coordinator decides.
pub struct Codes(Vec<Option<ErrorCode>>);

/// What is to be kept of what a request says; the rest is refused.
pub fn check<'a>(
    cx: &RequestContext,
    asked: impl Iterator<Item = Asked<'a>>,
) -> (Vec<CommitEntry>, Codes) {
    let (mut entries, mut codes) = (Vec::new(), Vec::new());
    for asked in asked {
        codes.push(match check_one(cx, &asked) {
            Ok(entry) => {
                entries.push(entry);
                None
            }
            Err(code) => Some(code),
        });
    }
    (entries, Codes(codes))
}

fn check_one(cx: &RequestContext, asked: &Asked<'_>) -> Result<CommitEntry, ErrorCode> {
    locate(&cx.shard.image(), &TopicRef::Name(asked.topic.clone()), asked.index)?;
    if asked.metadata.len() > cx.shard.config().offset_metadata_max_bytes {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(CommitEntry {
        topic: asked.topic.to_string(),
        partition: asked.index,
        offset: asked.offset,
        leader_epoch: asked.leader_epoch,
        metadata: asked.metadata.to_string(),
    })
}

impl Codes {
    /// Commits what was not refused, if there is something; all codes on the wire.
    pub async fn after<F: Future<Output = Result<(), ErrorCode>>>(
        self,
        entries: Vec<CommitEntry>,
        commit: impl FnOnce(Vec<CommitEntry>) -> F,
    ) -> std::vec::IntoIter<i16> {
        let committed = match entries.is_empty() {
            true => None,
            false => commit(entries).await.err(),
        };
        let code = |refused: Option<ErrorCode>| refused.or(committed).map_or(0, |code| code.code());
        self.0.into_iter().map(code).collect::<Vec<_>>().into_iter()
    }
}
