//! FindCoordinator (key 10), versions 0–6: where a group's offsets are kept, or what is known of a
//! transactional id, which is where the partition of `__consumer_offsets` or `__transaction_state` is
//! that it belongs to. The topic is made when the first asks.

use std::time::Duration;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::RequestContext;
use crate::broker::Node;
use crate::config::BrokerConfig;
use crate::controller::NewTopic;
use crate::group::{partition_of, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTION_TOPIC};
use crate::metadata::is_kafka_uuid;
use crate::wire::{ErrorCode, StrBytes};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// A group, a topic's id and a partition, with colons between them (since version 6).
const SHARE: i8 = 2;
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let topic = match request.key_type {
        GROUP => Ok(offsets_topic(&cx.shard.config())),
        TRANSACTION => Ok(transaction_topic(&cx.shard.config())),
        SHARE if version >= 6 => Ok(share_topic(&cx.shard.config())),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let keys_name_partitions = || request.coordinator_keys.iter().all(|key| is_share_key(key));
    let made = match topic {
        // One that is none spoils the others too, as in Kafka.
        Ok(_) if request.key_type == SHARE && !keys_name_partitions() => {
            Err(ErrorCode::InvalidRequest)
        }
        Ok(topic) => make_topic(cx, topic).await,
        Err(code) => Err(code),
    };
    let find = |key: &str| match (&made, request.key_type) {
        (Err(code), _) => Err(*code),
        (Ok(_), TRANSACTION) if key.is_empty() => Err(ErrorCode::InvalidRequest),
        (Ok(topic), _) => node_of(cx, topic, key),
    };
    if version < 4 {
        let answer = FindCoordinatorResponse::default();
        return match find(&request.key) {
            Ok(node) => answer
                .with_node_id(BrokerId(node.id))
                .with_host(StrBytes::from_string(node.host))
                .with_port(i32::from(node.port)),
            Err(code) => answer
                .with_error_code(code.code())
                .with_error_message(why(code).filter(|_| version >= 1))
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        };
    }
    let answer = |key: StrBytes| {
        let found = find(&key);
        let answer = Coordinator::default().with_key(key);
        match found {
            Ok(node) => answer
                .with_node_id(BrokerId(node.id))
                .with_host(StrBytes::from_string(node.host))
                .with_port(i32::from(node.port)),
            Err(code) => answer
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(code.code())
                .with_error_message(why(code)),
        }
    };
    let coordinators = request.coordinator_keys.into_iter().map(answer).collect();
    FindCoordinatorResponse::default().with_coordinators(coordinators)
}

/// Whether a key is a group, a topic's id in Kafka's form and a partition.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().is_some_and(|part| part.parse::<i32>().is_ok());
    let topic = parts.next().is_some_and(is_kafka_uuid);
    partition && topic && parts.next().is_some_and(|group| !group.is_empty())
}

fn why(code: ErrorCode) -> Option<StrBytes> {
    let text = match code {
        ErrorCode::CoordinatorNotAvailable => "There is no coordinator for this key.",
        ErrorCode::InvalidRequest => "The key or its type is not valid.",
        _ => "The coordinators' topic cannot be made.",
    };
    Some(StrBytes::from_static_str(text))
}

fn offsets_topic(config: &BrokerConfig) -> NewTopic {
    let segment_bytes = config.offsets_segment_bytes.to_string();
    compacted(OFFSETS_TOPIC, config.offsets_partitions, "producer", segment_bytes)
}

fn transaction_topic(config: &BrokerConfig) -> NewTopic {
    let segment_bytes = config.transactions.segment_bytes.to_string();
    compacted(TRANSACTION_TOPIC, config.transactions.partitions, "uncompressed", segment_bytes)
}

fn share_topic(config: &BrokerConfig) -> NewTopic {
    let segment_bytes = config.share_limits.segment_bytes.to_string();
    compacted(SHARE_STATE_TOPIC, config.share_limits.partitions, "producer", segment_bytes)
}

/// Makes the topic of what share groups have done unless it is there.
///
/// # Errors
/// It cannot be made.
pub async fn make_share_topic(cx: &RequestContext) -> Result<(), ErrorCode> {
    make_topic(cx, share_topic(&cx.shard.config())).await.map(drop)
}

fn compacted(name: &str, partitions: i32, codec: &str, segment_bytes: String) -> NewTopic {
    let config = |name: &str, value: String| (name.to_string(), Some(value));
    NewTopic {
        name: name.to_string(),
        partitions,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: vec![
            config("cleanup.policy", "compact".to_string()),
            config("compression.type", codec.to_string()),
            config("segment.bytes", segment_bytes),
        ],
    }
}

/// Makes a topic unless it is there; its name.
async fn make_topic(cx: &RequestContext, topic: NewTopic) -> Result<String, ErrorCode> {
    let name = topic.name.clone();
    if cx.shard.image().by_name(&name).is_some() {
        return Ok(name);
    }
    let made = cx.shard.controller.create_topics(vec![topic], false, CREATE_TIMEOUT).await?;
    match made.into_iter().next() {
        Some(Err(error)) if error.code != ErrorCode::TopicAlreadyExists => Err(error.code),
        _ => Ok(name),
    }
}

/// The partition of the offsets' topic, which is made if it is not there, that a group belongs to.
///
/// # Errors
/// The topic cannot be made.
pub async fn offsets_partition_of(cx: &RequestContext, group: &str) -> Result<i32, ErrorCode> {
    make_topic(cx, offsets_topic(&cx.shard.config())).await?;
    let image = cx.shard.image();
    let topic = image.by_name(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(partition_of(group, topic.partitions.len()))
}

fn node_of(cx: &RequestContext, topic: &str, key: &str) -> Result<Node, ErrorCode> {
    let image = cx.shard.image();
    let topic = image.by_name(topic).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let index = partition_of(key, topic.partitions.len());
    let id = cx.shard.advertised.leader(topic.partitions[index as usize].shard);
    let mut nodes = cx.shard.advertised.nodes(cx.listener).into_iter();
    nodes.find(|node| node.id == id).ok_or(ErrorCode::CoordinatorNotAvailable)
}
