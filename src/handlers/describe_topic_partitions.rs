//! DescribeTopicPartitions (key 75), version 0 (KIP-966): topics in the order of their names, as many
//! partitions at a time as the client or the broker allows, with a cursor to go on from.

use std::collections::BTreeSet;
use std::ops::Bound;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use super::metadata::missing;
use super::{allowed, RequestContext};
use crate::group::is_internal;
use crate::metadata::{MetadataImage, TopicImage};
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref();
    let from = cursor.map_or("", |cursor| cursor.topic_name.as_str());
    let image = cx.shard.image();
    let all = request.topics.is_empty();
    let asked: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let outside = cursor.is_some() && !all && !asked.contains(from);
    if outside || cursor.is_some_and(|cursor| cursor.partition_index < 0) {
        let refused = asked.iter().map(|name| without(name, ErrorCode::InvalidRequest));
        return DescribeTopicPartitionsResponse::default().with_topics(refused.collect());
    }
    let names: Vec<&str> = match all {
        true => image
            .topics
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .map(|(name, _)| name.as_str())
            .collect(),
        false => asked.range(from..).copied().collect(),
    };
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let first = cursor.map_or(0, |cursor| cursor.partition_index as usize);
    let first_of = |name: &str| if name == from { first } else { 0 };
    page(cx, &image, &names, first_of, limit.clamp(1, cx.shard.config().max_request_partitions))
}

fn page(
    cx: &RequestContext,
    image: &MetadataImage,
    names: &[&str],
    first_of: impl Fn(&str) -> usize,
    mut left: usize,
) -> DescribeTopicPartitionsResponse {
    let mut topics = Vec::new();
    let mut next = None;
    for name in names {
        if left == 0 {
            next = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.by_name(name) else {
            topics.push(without(name, missing(name)));
            continue;
        };
        let first = first_of(name);
        let end = topic.partitions.len().min(first.saturating_add(left));
        topics.push(describe(cx, topic, first, end));
        if end < topic.partitions.len() {
            next = Some(cursor(name, end));
            break;
        }
        left -= end.saturating_sub(first);
    }
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next)
}

fn cursor(topic: &str, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(StrBytes::from_string(topic.to_string())))
        .with_partition_index(partition as i32)
}

fn without(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    let operations = match code {
        ErrorCode::InvalidRequest => allowed::NOT_ASKED,
        _ => allowed::TOPIC,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(TopicName(StrBytes::from_string(name.to_string()))))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(operations)
}

fn describe(
    cx: &RequestContext,
    topic: &TopicImage,
    first: usize,
    end: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = topic.partitions.iter().enumerate().take(end).skip(first);
    let partitions = partitions.map(|(index, partition)| {
        let leader = BrokerId(cx.shard.advertised.leader(partition.shard));
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(leader)
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(vec![leader])
            .with_isr_nodes(vec![leader])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(topic.name.as_str()))
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(allowed::TOPIC)
}
