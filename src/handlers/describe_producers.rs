//! DescribeProducers (key 61), version 0 (KIP-664): what partitions remember of their producers.

use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use corelane_shards::log::ProducerView;

use super::route::{locate, Groups};
use super::RequestContext;
use crate::metadata::TopicName;
use crate::partition::{Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, TopicRef};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    for topic in &request.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        let named = TopicName::parse(&topic.name);
        for &index in &topic.partition_indexes {
            let mut answer = PartitionResponse::default().with_partition_index(index);
            let located = match &named {
                Ok(_) => locate(&image, &name, index),
                Err(_) => Err(ErrorCode::InvalidTopicException),
            };
            match located {
                Ok((owner, key)) => {
                    answer.error_code = ErrorCode::NotLeaderOrFollower.code();
                    groups.add(owner, flat.len(), key);
                }
                Err(code) => {
                    answer.error_code = code.code();
                    answer.error_message = Some(why(code));
                }
            }
            flat.push(answer);
        }
    }
    for (owner, places, keys) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Producers(keys)).await else { continue };
        let Some(Outcome::Producers(found)) = routed.outcome().await else { continue };
        for (place, found) in places.into_iter().zip(found) {
            flat[place].error_code = found.as_ref().err().map_or(0, |code| code.code());
            flat[place].active_producers = found.into_iter().flatten().map(shown).collect();
        }
    }
    let mut flat = flat.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        TopicResponse::default()
            .with_name(topic.name)
            .with_partitions(flat.by_ref().take(topic.partition_indexes.len()).collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn why(code: ErrorCode) -> StrBytes {
    StrBytes::from_static_str(match code {
        ErrorCode::InvalidTopicException => "No topic can have this name.",
        _ => "There is no such topic or partition.",
    })
}

fn shown(producer: ProducerView) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_ms)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
}
