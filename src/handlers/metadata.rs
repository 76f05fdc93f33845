//! Metadata (key 3), versions 0–13: brokers and topics, by name or id (KIP-516), with automatic
//! creation where the configuration and the client allow it. Operations a client may perform are all, as on
//! a Kafka without an authorizer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, MetadataRequest, MetadataResponse, TopicName as WireName,
};

use super::{allowed, RequestContext};
use crate::controller::NewTopic;
use crate::group::is_internal;
use crate::metadata::{MetadataImage, TopicImage, TopicName};
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// Requests have ids since version 10 and may use them since this one.
const IDS_SINCE: i16 = 12;
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: MetadataRequest,
) -> MetadataResponse {
    if let Some(topics) = request.topics.as_ref().filter(|_| version < IDS_SINCE) {
        // An older client's topic is one with a name (which is checked before version 10 already).
        if version >= 10 && topics.iter().any(|t| t.name.is_none() || !t.topic_id.is_nil()) {
            return refuse(topics, ErrorCode::InvalidRequest);
        }
    }
    let all = match &request.topics {
        None => true,
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let may_create =
        cx.shard.config().auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
    let operations = allowed::if_asked(request.include_topic_authorized_operations, allowed::TOPIC);
    let mut topics = match request.topics {
        _ if all => {
            let image = cx.shard.image();
            image.topics.values().map(|topic| describe(cx, version, topic)).collect()
        }
        Some(asked) => answer_asked(cx, version, asked, may_create).await,
        None => Vec::new(),
    };
    for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
        topic.topic_authorized_operations = operations;
    }
    let brokers = cx.shard.advertised.nodes(cx.listener).into_iter().map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host))
            .with_port(i32::from(node.port))
    });
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(cluster_id(cx).filter(|_| version >= 2))
        .with_controller_id(BrokerId(cx.shard.advertised.controller()))
        .with_topics(topics)
        .with_cluster_authorized_operations(allowed::if_asked(
            request.include_cluster_authorized_operations,
            allowed::CLUSTER,
        ))
}

/// The answer to a request that is refused as a whole.
fn refuse(topics: &[MetadataRequestTopic], code: ErrorCode) -> MetadataResponse {
    let named = |topic: &MetadataRequestTopic| {
        let name = topic.name.clone().unwrap_or_default();
        unknown(Some(name), topic.topic_id, code)
    };
    MetadataResponse::default()
        .with_controller_id(BrokerId(-1))
        .with_topics(topics.iter().map(named).collect())
}

fn cluster_id(cx: &RequestContext) -> Option<StrBytes> {
    Some(StrBytes::from_string(cx.shard.advertised.cluster_id.clone()))
}

async fn answer_asked(
    cx: &RequestContext,
    version: i16,
    mut asked: Vec<MetadataRequestTopic>,
    may_create: bool,
) -> Vec<MetadataResponseTopic> {
    // Each topic is described once, however often it is asked for, as in Kafka.
    let mut seen = HashSet::with_capacity(asked.len());
    asked.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
    let mut image = cx.shard.image();
    let created = match may_create {
        true => create_missing(cx, &asked, &image).await,
        false => HashMap::new(),
    };
    if !created.is_empty() {
        image = cx.shard.image();
    }
    let answer = |topic: MetadataRequestTopic| {
        let by_id = topic.name.is_none() || !topic.topic_id.is_nil();
        let found = match &topic.name {
            Some(name) if !by_id => image.by_name(name),
            _ => image.by_id.get(&topic.topic_id),
        };
        match found {
            Some(found) => describe(cx, version, found),
            None if by_id => unknown(None, topic.topic_id, ErrorCode::UnknownTopicId),
            None => {
                let refused = topic.name.as_deref().and_then(|name| created.get(name));
                let code = match refused {
                    Some(code) => *code,
                    None => missing(topic.name.as_ref().map_or("", |name| name.as_str())),
                };
                unknown(topic.name, Uuid::nil(), code)
            }
        }
    };
    asked.into_iter().map(answer).collect()
}

pub(super) fn missing(name: &str) -> ErrorCode {
    match TopicName::parse(name) {
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

/// Creates what is asked for by name and is not there; says of each name what to answer.
async fn create_missing(
    cx: &RequestContext,
    asked: &[MetadataRequestTopic],
    image: &MetadataImage,
) -> HashMap<StrBytes, ErrorCode> {
    let names: Vec<StrBytes> = asked
        .iter()
        .filter(|topic| topic.topic_id.is_nil())
        .filter_map(|topic| topic.name.as_ref().map(|name| name.0.clone()))
        .filter(|name| image.by_name(name).is_none())
        .collect();
    if names.is_empty() {
        return HashMap::new();
    }
    let topics = names.iter().map(|name| NewTopic {
        name: name.to_string(),
        partitions: -1,
        replication_factor: -1,
        ..NewTopic::default()
    });
    let controller = &cx.shard.controller;
    let results = controller.create_topics(topics.collect(), false, CREATE_TIMEOUT).await;
    let codes = match results {
        Ok(results) => results.into_iter().map(|r| r.err().map(|e| e.code)).collect(),
        Err(code) => vec![Some(code); names.len()],
    };
    let code = |code: Option<ErrorCode>| match code {
        // Somebody else was faster, or it will be there in a moment.
        None | Some(ErrorCode::TopicAlreadyExists) => ErrorCode::LeaderNotAvailable,
        Some(code) => code,
    };
    names.into_iter().zip(codes.into_iter().map(code)).collect()
}

fn unknown(name: Option<WireName>, id: Uuid, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_error_code(code.code()).with_name(name).with_topic_id(id)
}

fn describe(cx: &RequestContext, version: i16, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
    let partition = |(index, partition): (usize, &crate::metadata::PartitionImage)| {
        let leader = BrokerId(cx.shard.advertised.leader(partition.shard));
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(leader)
            .with_leader_epoch(if version >= 7 { partition.leader_epoch } else { -1 })
            .with_replica_nodes(vec![leader])
            .with_isr_nodes(vec![leader])
    };
    let name = StrBytes::from_string(topic.name.to_string());
    MetadataResponseTopic::default()
        .with_name(Some(WireName(name)))
        .with_topic_id(if version >= 10 { topic.id } else { Uuid::nil() })
        .with_is_internal(version >= 1 && is_internal(topic.name.as_str()))
        .with_partitions(topic.partitions.iter().enumerate().map(partition).collect())
}
