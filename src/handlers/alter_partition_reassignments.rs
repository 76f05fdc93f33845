//! AlterPartitionReassignments (key 45), versions 0–1, and ListPartitionReassignments (key 46), version 0
//! (KIP-455), as far as one node goes: a partition may stay where it is, which is done at once, so none
//! is ever on its way.

use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::route::locate;
use super::RequestContext;
use crate::controller::ApiError;
use crate::wire::{ErrorCode, StrBytes, TopicRef};

/// The answer to a request that has no time.
const LATE: i16 = ErrorCode::RequestTimedOut.code();

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let nodes = cx.shard.advertised.nodes(cx.listener);
    let nodes: Vec<i32> = nodes.into_iter().map(|node| node.id).collect();
    let image = cx.shard.image();
    let is_late = request.timeout_ms <= 0;
    let responses = request.topics.into_iter().map(|topic| {
        let name = TopicRef::Name(topic.name.0.clone());
        let partitions = topic.partitions.into_iter().map(|partition| {
            let index = partition.partition_index;
            let answer = ReassignablePartitionResponse::default().with_partition_index(index);
            if is_late {
                return answer.with_error_message(None).with_error_code(LATE);
            }
            let decided = locate(&image, &name, index)
                .map_err(|code| {
                    let message = format!("There is no partition {}-{index}.", *topic.name);
                    ApiError::new(code, message)
                })
                .and_then(|(owner, _)| {
                    let leader = cx.shard.advertised.leader(owner);
                    reassign(partition.replicas.as_deref(), leader, &nodes)
                });
            match decided {
                Ok(()) => answer.with_error_message(None),
                Err(error) => answer
                    .with_error_code(error.code.code())
                    .with_error_message(Some(StrBytes::from_string(error.message))),
            }
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(request.allow_replication_factor_change)
        .with_error_code(if is_late { LATE } else { 0 })
        .with_error_message(None)
        .with_responses(responses.collect())
}

/// Decides where a partition's replicas shall be; `None` calls off what is under way.
fn reassign(replicas: Option<&[BrokerId]>, leader: i32, nodes: &[i32]) -> Result<(), ApiError> {
    let refused = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    let Some(replicas) = replicas else {
        let message = "No reassignment of the partition is under way.";
        return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, message));
    };
    if replicas.is_empty() {
        return Err(refused("A partition needs a replica.".to_string()));
    }
    if let Some(other) = replicas.iter().find(|replica| !nodes.contains(&replica.0)) {
        return Err(refused(format!("Broker {} is not registered.", other.0)));
    }
    match replicas {
        [only] if only.0 == leader => Ok(()),
        [_] => Err(refused("Which core owns a partition is the broker's to choose.".to_string())),
        _ => Err(refused("A partition has one replica here.".to_string())),
    }
}

pub async fn list(
    _cx: &RequestContext,
    _version: i16,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default().with_error_message(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_may_only_stay_where_it_is() {
        use ErrorCode::{InvalidReplicaAssignment as Invalid, NoReassignmentInProgress as Nothing};
        type Decided = Result<(), ErrorCode>;
        let cases: &[(Option<&[i32]>, Decided)] = &[
            (Some(&[2]), Ok(())),
            (Some(&[1]), Err(Invalid)),
            (Some(&[7]), Err(Invalid)),
            (Some(&[2, 2]), Err(Invalid)),
            (Some(&[]), Err(Invalid)),
            (None, Err(Nothing)),
        ];
        for (replicas, expected) in cases {
            let replicas =
                replicas.map(|all| all.iter().copied().map(BrokerId).collect::<Vec<_>>());
            let decided = reassign(replicas.as_deref(), 2, &[1, 2]).map_err(|error| error.code);
            assert_eq!(decided, *expected, "{replicas:?}");
        }
    }
}
