//! OffsetFetch (key 9), versions 1–9: what groups have committed, for one group or, since version 8,
//! for many in one request. Offsets that open transactions may commit anew are not told to those who
//! want stable ones (KIP-447).

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::{Committed, FetchGroupOffsets, FetchedOffsets, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

/// Topics and partitions, or everything.
type Asked = Option<Vec<(String, Vec<i32>)>>;
/// Partitions, and what was found of each: nothing, or why it is not told.
type Places = Vec<(i32, Found)>;
type Found = Result<Option<Committed>, ErrorCode>;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if version < 8 {
        let asked: Asked = request.topics.map(|topics| {
            topics.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect()
        });
        return one_group(cx, version, &request.group_id, asked, stable).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let asked: Asked = group.topics.map(|topics| {
            topics.into_iter().map(|t| (t.name.to_string(), t.partition_indexes)).collect()
        });
        let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
        let member = (group.member_id.map(|id| id.to_string()), group.member_epoch);
        groups.push(match fetch(cx, &group.group_id, member, asked.clone(), stable).await {
            Err(code) => answer.with_error_code(code.code()),
            Ok(found) => {
                let topics = by_topic(asked, found).into_iter().map(|(topic, partitions)| {
                    let partitions =
                        partitions.into_iter().map(|(i, found)| new_partition(i, found));
                    OffsetFetchResponseTopics::default()
                        .with_name(topic)
                        .with_partitions(partitions.collect())
                });
                answer.with_topics(topics.collect())
            }
        });
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn one_group(
    cx: &RequestContext,
    version: i16,
    group: &GroupId,
    asked: Asked,
    stable: bool,
) -> OffsetFetchResponse {
    let answer = OffsetFetchResponse::default();
    let found = match fetch(cx, group, (None, -1), asked.clone(), stable).await {
        Ok(found) => by_topic(asked, found),
        Err(code) if version >= 2 => return answer.with_error_code(code.code()),
        Err(code) => {
            let mut topics = by_topic(asked, FetchedOffsets::default());
            let partitions = topics.iter_mut().flat_map(|(_, partitions)| partitions);
            partitions.for_each(|(_, found)| *found = Err(code));
            topics
        }
    };
    let topics = found.into_iter().map(|(topic, partitions)| {
        let partition = |(index, found): (i32, Found)| {
            let (offset, leader_epoch, metadata, code) = shown(found);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
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

fn new_partition(index: i32, found: Found) -> OffsetFetchResponsePartitions {
    let (offset, leader_epoch, metadata, code) = shown(found);
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(leader_epoch)
        .with_metadata(Some(metadata))
        .with_error_code(code)
}

/// Offset, leader epoch, metadata and error code as an answer has them.
fn shown(found: Found) -> (i64, i32, StrBytes, i16) {
    match found {
        Ok(Some(committed)) => {
            let metadata = StrBytes::from_string(committed.metadata);
            (committed.offset, committed.leader_epoch, metadata, 0)
        }
        Ok(None) => (-1, -1, StrBytes::default(), 0),
        Err(code) => (-1, -1, StrBytes::default(), code.code()),
    }
}

/// What was found in the order in which it was asked for, with nothing where there is nothing; all
/// that was found where everything was asked for.
fn by_topic(asked: Asked, found: FetchedOffsets) -> Vec<(TopicName, Places)> {
    let unstable = found.unstable.into_iter();
    let unstable = unstable.map(|place| (place, Err(ErrorCode::UnstableOffsetCommit)));
    let offsets = found.offsets.into_iter();
    let offsets = offsets.map(|found| ((found.topic, found.partition), Ok(Some(found.committed))));
    let found: BTreeMap<(String, i32), Found> = offsets.chain(unstable).collect();
    let mut topics: Vec<(String, Places)> = Vec::new();
    match asked {
        Some(asked) => topics.extend(asked.into_iter().map(|(topic, partitions)| {
            let place = |partition| {
                let found = found.get(&(topic.clone(), partition));
                (partition, found.cloned().unwrap_or(Ok(None)))
            };
            let places = partitions.into_iter().map(place).collect();
            (topic, places)
        })),
        None => {
            for ((topic, partition), found) in found {
                match topics.last_mut() {
                    Some((last, places)) if *last == topic => places.push((partition, found)),
                    _ => topics.push((topic, vec![(partition, found)])),
                }
            }
        }
    }
    let named = |(topic, places)| (TopicName(StrBytes::from_string(topic)), places);
    topics.into_iter().map(named).collect()
}

async fn fetch(
    cx: &RequestContext,
    group: &GroupId,
    (member_id, member_epoch): (Option<String>, i32),
    topics: Asked,
    require_stable: bool,
) -> Result<FetchedOffsets, ErrorCode> {
    let call = |partition| {
        let group = group.to_string();
        Operation::FetchOffsets(FetchGroupOffsets {
            partition,
            group,
            member_id,
            member_epoch,
            topics,
            require_stable,
        })
    };
    ask_coordinator(cx, group, call, |outcome| match outcome {
        Outcome::FetchOffsets(it) => Some(it),
        _ => None,
    })
    .await?
}
