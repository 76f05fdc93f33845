//! ElectLeaders (key 43), versions 0–2 (KIP-183, KIP-460). A partition has one replica, which leads it:
//! there is never anything to elect. A request without time has timed out, as in Kafka.

use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::route::locate;
use super::RequestContext;
use crate::wire::{ErrorCode, StrBytes, TopicRef};

/// Elections of the preferred replica (0), and of any that lives (1).
const ELECTIONS: std::ops::RangeInclusive<i8> = 0..=1;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let known = ELECTIONS.contains(&request.election_type);
    let is_late = request.timeout_ms <= 0;
    let code = match known {
        // Version 0 tells it of each partition alone.
        _ if version == 0 => 0,
        true if is_late => ErrorCode::RequestTimedOut.code(),
        true => 0,
        false => ErrorCode::InvalidRequest.code(),
    };
    let image = cx.shard.image();
    let Some(topics) = request.topic_partitions else {
        // Of all partitions only those that needed an election are named.
        let names = image.topics.keys().filter(|_| known && !is_late).map(|name| {
            let name = TopicName(StrBytes::from_string(name.to_string()));
            ReplicaElectionResult::default().with_topic(name)
        });
        return ElectLeadersResponse::default()
            .with_error_code(code)
            .with_replica_election_results(names.collect());
    };
    let results = topics.into_iter().map(|topic| {
        let name = TopicRef::Name(topic.topic.0.clone());
        let partition = |index: &i32| {
            let (code, message) = match locate(&image, &name, *index) {
                _ if !known => {
                    let message = format!("There is no election type {}.", request.election_type);
                    (ErrorCode::InvalidRequest, message)
                }
                _ if is_late => {
                    (ErrorCode::RequestTimedOut, "The request has no time left.".to_string())
                }
                Ok(_) => {
                    let message = "The partition has the leader that it prefers.".to_string();
                    (ErrorCode::ElectionNotNeeded, message)
                }
                Err(code) => (code, format!("There is no partition {}-{index}.", *topic.topic)),
            };
            PartitionResult::default()
                .with_partition_id(*index)
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message)))
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        ReplicaElectionResult::default()
            .with_topic(topic.topic.clone())
            .with_partition_result(partitions)
    });
    let results = results.collect();
    ElectLeadersResponse::default().with_error_code(code).with_replica_election_results(results)
}
