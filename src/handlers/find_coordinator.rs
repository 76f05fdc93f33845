//! FindCoordinator (key 10), versions 0–6: where a group's offsets are kept, which is where the
//! partition of `__consumer_offsets` is that it belongs to. The topic is made when the first asks.
//! Knowingly missing: transactions, which are answered COORDINATOR_NOT_AVAILABLE ("later").

use std::time::Duration;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::RequestContext;
use crate::broker::Node;
use crate::controller::NewTopic;
use crate::group::{partition_of, OFFSETS_TOPIC};
use crate::wire::{ErrorCode, StrBytes};

const GROUP: i8 = 0;
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let made = match request.key_type {
        GROUP => make_topic(cx).await,
        _ => Err(ErrorCode::CoordinatorNotAvailable),
    };
    let find = |key: &str| made.and_then(|()| node_of(cx, key));
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

fn why(code: ErrorCode) -> Option<StrBytes> {
    let text = match code {
        ErrorCode::CoordinatorNotAvailable => "There is no coordinator for this key.",
        _ => "The offsets topic cannot be made.",
    };
    Some(StrBytes::from_static_str(text))
}

async fn make_topic(cx: &RequestContext) -> Result<(), ErrorCode> {
    if cx.shard.image().by_name(OFFSETS_TOPIC).is_some() {
        return Ok(());
    }
    let config = |name: &str, value: &str| (name.to_string(), Some(value.to_string()));
    let topic = NewTopic {
        name: OFFSETS_TOPIC.to_string(),
        partitions: cx.shard.config.offsets_partitions,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: vec![
            config("cleanup.policy", "compact"),
            config("compression.type", "producer"),
            config("segment.bytes", "104857600"),
        ],
    };
    let made = cx.shard.controller.create_topics(vec![topic], false, CREATE_TIMEOUT).await?;
    match made.into_iter().next() {
        Some(Err(error)) if error.code != ErrorCode::TopicAlreadyExists => Err(error.code),
        _ => Ok(()),
    }
}

fn node_of(cx: &RequestContext, group: &str) -> Result<Node, ErrorCode> {
    let image = cx.shard.image();
    let topic = image.by_name(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let index = partition_of(group, topic.partitions.len());
    let id = cx.shard.advertised.leader(topic.partitions[index as usize].shard);
    let mut nodes = cx.shard.advertised.nodes(cx.listener).into_iter();
    nodes.find(|node| node.id == id).ok_or(ErrorCode::CoordinatorNotAvailable)
}
