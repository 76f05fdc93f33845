//! OffsetFetch (key 9), versions 1–9: what groups have committed, for one group or, since version 8,
//! for many in one request.

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::{FetchGroupOffsets, GroupOffset, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

/// Topics and partitions, or everything.
type Asked = Option<Vec<(String, Vec<i32>)>>;
/// Partitions, and what was found of each.
type Places = Vec<(i32, Option<GroupOffset>)>;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if version < 8 {
        let asked: Asked = request.topics.map(|topics| {
            let topic =
                |t: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
                    (t.name.to_string(), t.partition_indexes)
                };
            topics.into_iter().map(topic).collect()
        });
        return one_group(cx, version, &request.group_id, asked).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let asked: Asked = group.topics.map(|topics| {
            topics.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect()
        });
        let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
        groups.push(match fetch(cx, &group.group_id, asked.clone()).await {
            Err(code) => answer.with_error_code(code.code()),
            Ok(found) => answer.with_topics(
                by_topic(asked, found)
                    .map(|(topic, partitions)| {
                        OffsetFetchResponseTopics::default().with_name(topic).with_partitions(
                            partitions
                                .into_iter()
                                .map(|(i, found)| new_partition(i, found))
                                .collect(),
                        )
                    })
                    .collect(),
            ),
        });
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn one_group(
    cx: &RequestContext,
    version: i16,
    group: &GroupId,
    asked: Asked,
) -> OffsetFetchResponse {
    let answer = OffsetFetchResponse::default();
    let (found, code) = match fetch(cx, group, asked.clone()).await {
        Ok(found) => (found, 0),
        Err(code) if version >= 2 => return answer.with_error_code(code.code()),
        Err(code) => (Vec::new(), code.code()),
    };
    let topics = by_topic(asked, found).map(|(topic, partitions)| {
        let partition = |(index, found): (i32, Option<GroupOffset>)| {
            let partition = OffsetFetchResponsePartition::default().with_partition_index(index);
            let code = if found.is_none() { code } else { 0 };
            let (offset, leader_epoch, metadata) = shown(found);
            partition
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(metadata))
                .with_error_code(code)
        };
        OffsetFetchResponseTopic::default()
            .with_name(topic)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    answer.with_topics(topics.collect())
}

fn new_partition(index: i32, found: Option<GroupOffset>) -> OffsetFetchResponsePartitions {
    let (offset, leader_epoch, metadata) = shown(found);
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(leader_epoch)
        .with_metadata(Some(metadata))
}

/// Offset, leader epoch and metadata as an answer has them.
fn shown(found: Option<GroupOffset>) -> (i64, i32, StrBytes) {
    match found {
        Some(GroupOffset { committed, .. }) => {
            let metadata = StrBytes::from_string(committed.metadata);
            (committed.offset, committed.leader_epoch, metadata)
        }
        None => (-1, -1, StrBytes::default()),
    }
}

/// What was found in the order in which it was asked for, with nothing where there is nothing; all
/// that was found where everything was asked for.
fn by_topic(asked: Asked, found: Vec<GroupOffset>) -> impl Iterator<Item = (TopicName, Places)> {
    let mut topics: Vec<(String, Places)> = asked
        .unwrap_or_default()
        .into_iter()
        .map(|(topic, partitions)| (topic, partitions.into_iter().map(|p| (p, None)).collect()))
        .collect();
    for offset in found {
        let at = topics.iter().position(|(topic, _)| *topic == offset.topic);
        let at = at.unwrap_or_else(|| {
            topics.push((offset.topic.clone(), Vec::new()));
            topics.len() - 1
        });
        let partitions = &mut topics[at].1;
        match partitions.iter_mut().find(|(index, _)| *index == offset.partition) {
            Some((_, place)) => *place = Some(offset),
            None => partitions.push((offset.partition, Some(offset))),
        }
    }
    topics
        .into_iter()
        .map(|(topic, partitions)| (TopicName(StrBytes::from_string(topic)), partitions))
}

async fn fetch(
    cx: &RequestContext,
    group: &GroupId,
    topics: Asked,
) -> Result<Vec<GroupOffset>, ErrorCode> {
    let call = |partition| {
        Operation::FetchOffsets(FetchGroupOffsets { partition, group: group.to_string(), topics })
    };
    ask_coordinator(cx, group, call, |outcome| match outcome {
        Outcome::FetchOffsets(it) => Some(it),
        _ => None,
    })
    .await?
}
