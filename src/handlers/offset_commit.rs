//! OffsetCommit (key 8), versions 2–9: what a group has read.

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
    let (mut flat, mut entries, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &request.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let mut answer = OffsetCommitResponsePartition::default().with_partition_index(index);
            let asked = Asked {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_deref().unwrap_or_default(),
            };
            match check(cx, &topic.name, index, asked) {
                Ok(entry) => {
                    places.push(flat.len());
                    entries.push(entry);
                }
                Err(code) => answer.error_code = code.code(),
            }
            flat.push(answer);
        }
    }
    if !entries.is_empty() {
        let committed = commit(cx, version, &request, entries).await;
        let code = committed.err().map_or(0, |code| code.code());
        places.into_iter().for_each(|place| flat[place].error_code = code);
    }
    let mut flat = flat.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(flat.by_ref().take(topic.partitions.len()).collect())
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
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: &'a str,
}

/// What is to be kept of it.
///
/// # Errors
/// The partition does not exist, or the metadata is too long.
pub fn check(
    cx: &RequestContext,
    topic: &StrBytes,
    index: i32,
    asked: Asked<'_>,
) -> Result<CommitEntry, ErrorCode> {
    locate(&cx.shard.image(), &TopicRef::Name(topic.clone()), index)?;
    if asked.metadata.len() > cx.shard.config.offset_metadata_max_bytes {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(CommitEntry {
        topic: topic.to_string(),
        partition: index,
        offset: asked.offset,
        leader_epoch: asked.leader_epoch,
        metadata: asked.metadata.to_string(),
    })
}
