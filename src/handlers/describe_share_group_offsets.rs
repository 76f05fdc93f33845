//! DescribeShareGroupOffsets (key 90), version 0 (KIP-932): where share groups are in partitions: everything
//! below is finished. What a group has not begun with is −1 where it is named, and left out where all is
//! asked for. Knowingly different: nothing counts leaders of share partitions, their epoch is 0.

use std::collections::{BTreeMap, BTreeSet};

use corelane_shards::runtime::ShardId;
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup as Asked, DescribeShareGroupOffsetsRequestTopic as Named,
};
use kafka_protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup as Group,
    DescribeShareGroupOffsetsResponsePartition as Partition,
    DescribeShareGroupOffsetsResponseTopic as Topic,
};
use kafka_protocol::messages::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, TopicName,
};

use super::route::ask_each;
use super::RequestContext;
use crate::group::SHARE_STATE_TOPIC;
use crate::partition::{Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// Where a group is that has not begun.
const NOT_BEGUN: i64 = -1;

/// By topic and number of the partition.
pub type Starts = BTreeMap<Uuid, BTreeMap<i32, i64>>;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for asked in request.groups {
        let group = Group::default().with_group_id(asked.group_id.clone()).with_error_message(None);
        groups.push(match starts(cx, &asked.group_id).await {
            Ok(starts) => group.with_topics(topics(cx, asked, &starts)),
            Err(code) => group.with_error_code(code.code()),
        });
    }
    DescribeShareGroupOffsetsResponse::default().with_groups(groups)
}

/// What is known of a group, on whichever shards that is.
///
/// # Errors
/// Kafka's code: not all of it is known.
pub async fn starts(cx: &RequestContext, group: &str) -> Result<Starts, ErrorCode> {
    let image = cx.shard.image();
    let Some(states) = image.by_name(SHARE_STATE_TOPIC) else { return Ok(Starts::new()) };
    let owners: BTreeSet<ShardId> = states.partitions.iter().map(|one| one.shard).collect();
    let listed = ask_each(
        cx,
        owners,
        || Operation::ListShares(group.to_string()),
        |outcome| match outcome {
            Outcome::ListShares(listed) => Some(listed),
            _ => None,
        },
    );
    let (found, wrong) = listed.await;
    if let Some(code) = wrong {
        return Err(code);
    }
    let mut starts = Starts::new();
    for (key, start) in found {
        starts.entry(key.topic).or_default().insert(key.index, start);
    }
    Ok(starts)
}

fn topics(cx: &RequestContext, asked: Asked, starts: &Starts) -> Vec<Topic> {
    let image = cx.shard.image();
    let partition = |index: i32, start: Option<i64>| {
        Partition::default()
            .with_partition_index(index)
            .with_start_offset(start.unwrap_or(NOT_BEGUN))
            .with_error_message(None)
    };
    let Some(named) = asked.topics else {
        let all = starts.iter().filter_map(|(id, partitions)| {
            let name = StrBytes::from_string(image.by_id.get(id)?.name.to_string());
            let partitions =
                partitions.iter().map(|(index, start)| partition(*index, Some(*start)));
            Some(
                Topic::default()
                    .with_topic_name(TopicName(name))
                    .with_topic_id(*id)
                    .with_partitions(partitions.collect()),
            )
        });
        return all.collect();
    };
    let describe = |topic: Named| {
        let id = image.by_name(&topic.topic_name).map_or(Uuid::nil(), |found| found.id);
        let of_topic = starts.get(&id);
        let start = |index: &i32| of_topic.and_then(|of| of.get(index)).copied();
        let partitions = topic.partitions.iter().map(|index| partition(*index, start(index)));
        Topic::default()
            .with_partitions(partitions.collect())
            .with_topic_name(topic.topic_name)
            .with_topic_id(id)
    };
    named.into_iter().map(describe).collect()
}
