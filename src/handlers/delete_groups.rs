//! DeleteGroups (key 42), versions 0–2, and OffsetDelete (key 47), version 0 (KIP-229, KIP-496). A group
//! with members stays, and keeps the offsets of topics that they read. A group without a name, which may
//! have offsets, is deleted as others are.

use std::collections::BTreeSet;

use corelane_shards::runtime::ShardId;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};

use super::route::{ask_coordinator, locate};
use super::RequestContext;
use crate::group::{OFFSETS_TOPIC, SHARE_STATE_TOPIC};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, TopicRef};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group in request.groups_names {
        let mut deleted = delete(cx, &group, None).await.map(drop);
        if deleted.is_ok() {
            deleted = forget_shares(cx, &group).await;
        }
        results.push(
            DeletableGroupResult::default()
                .with_group_id(group)
                .with_error_code(deleted.err().map_or(0, |code| code.code())),
        );
    }
    DeleteGroupsResponse::default().with_results(results)
}

/// What a share group has done is forgotten, on whichever shards that is.
async fn forget_shares(cx: &RequestContext, group: &str) -> Result<(), ErrorCode> {
    let image = cx.shard.image();
    if image.by_name(SHARE_STATE_TOPIC).is_none() {
        return Ok(());
    }
    let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
    let owners: BTreeSet<ShardId> = partitions.map(|partition| partition.shard).collect();
    for owner in owners {
        let operation = Operation::ForgetShares(group.to_string());
        let routed = cx.shard.route(owner, operation).await;
        let outcome = routed.map_err(|_| ErrorCode::CoordinatorNotAvailable)?.outcome().await;
        match outcome {
            Some(Outcome::ForgetShares(forgotten)) => forgotten?,
            _ => return Err(ErrorCode::CoordinatorNotAvailable),
        }
    }
    Ok(())
}

pub async fn offsets(
    cx: &RequestContext,
    _version: i16,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let image = cx.shard.image();
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let located = locate(&image, &name, index);
            if located.is_ok() {
                places.push((topic.name.to_string(), index));
            }
            partitions.push(
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(located.err().map_or(0, |code| code.code())),
            );
        }
        topics.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    let answer = OffsetDeleteResponse::default();
    if request.group_id.is_empty() {
        return answer.with_error_code(ErrorCode::InvalidGroupId.code());
    }
    match delete(cx, &request.group_id, Some(places)).await {
        Ok(kept) => {
            for topic in topics.iter_mut().filter(|topic| kept.iter().any(|t| *topic.name.0 == **t))
            {
                let fine = topic.partitions.iter_mut().filter(|p| p.error_code == 0);
                fine.for_each(|p| p.error_code = ErrorCode::GroupSubscribedToTopic.code());
            }
            answer.with_topics(topics)
        }
        Err(code) => answer.with_error_code(code.code()),
    }
}

/// Topics whose offsets stay.
async fn delete(
    cx: &RequestContext,
    group: &str,
    only: Option<Vec<(String, i32)>>,
) -> Result<Vec<String>, ErrorCode> {
    if cx.shard.image().by_name(OFFSETS_TOPIC).is_none() {
        return Err(ErrorCode::GroupIdNotFound);
    }
    let call = |partition| {
        Operation::DeleteOffsets(OfGroup { partition, group: group.to_string(), what: only })
    };
    ask_coordinator(cx, group, call, |outcome| match outcome {
        Outcome::DeleteOffsets(it) => Some(it),
        _ => None,
    })
    .await?
}
