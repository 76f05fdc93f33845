//! ConsumerGroupHeartbeat (key 68), versions 0–1 (KIP-848): a member of a consumer group says that it is
//! there, what it reads and what it works on, and is told what it is to work on.

use std::collections::BTreeMap;

use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId,
};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::consumer_group::{self, Beat, ConsumerCall, Heard, Refused};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// Since this version members choose their own ids.
const OWN_IDS_FROM: i16 = 1;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let text = StrBytes::from_string;
    let who = (request.group_id.clone(), request.member_id.clone());
    match hear(cx, version, request).await {
        Ok(heard) => ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(heard.member_id)))
            .with_member_epoch(heard.epoch)
            .with_heartbeat_interval_ms(heard.interval_ms)
            .with_assignment(heard.assignment.map(assignment)),
        Err(refused) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(refused.code.code())
            .with_error_message(why(refused, &who.0, &who.1)),
    }
}

/// Why a member was refused: what the group said, or what its code means.
pub(super) fn why(refused: Refused, group: &GroupId, member: &str) -> Option<StrBytes> {
    let group = &*group.0;
    let message = match refused.code {
        _ if !refused.message.is_empty() => refused.message,
        ErrorCode::UnknownMemberId => format!("Member {member} is not a member of group {group}."),
        ErrorCode::GroupIdNotFound => format!("Group {group} not found."),
        ErrorCode::FencedMemberEpoch => format!("Member {member} has another epoch in {group}."),
        ErrorCode::UnreleasedInstanceId => {
            format!("The instance id of member {member} belongs to another member of {group}.")
        }
        ErrorCode::FencedInstanceId => {
            format!("Another member of {group} has taken the instance id of {member}.")
        }
        _ => return None,
    };
    Some(StrBytes::from_string(message))
}

async fn hear(
    cx: &RequestContext,
    version: i16,
    request: ConsumerGroupHeartbeatRequest,
) -> Result<Heard, Refused> {
    let group = request.group_id.to_string();
    let call = ConsumerCall { needs_id: version >= OWN_IDS_FROM, beat: beat(cx, request) };
    let call = |partition| {
        Operation::HearConsumer(OfGroup { partition, group: group.clone(), what: call })
    };
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::HearConsumer(it) => Some(it),
        _ => None,
    })
    .await?
}

fn beat(cx: &RequestContext, request: ConsumerGroupHeartbeatRequest) -> Beat {
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let names = request.subscribed_topic_names;
    let owned = request.topic_partitions.map(|topics| {
        let mut owned = consumer_group::Assignment::new();
        for topic in topics {
            owned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        owned
    });
    Beat {
        member_id: request.member_id.to_string(),
        fresh_id: Uuid::new_v4().to_string(),
        epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout| *timeout != -1),
        topics: names.map(|names| names.into_iter().map(|name| name.to_string()).collect()),
        regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned,
        client_id: cx.client_id.as_ref().map_or("", |id| id).to_string(),
        // With a slash, as Java prints addresses, and tools expect.
        client_host: format!("/{}", cx.peer.ip()),
    }
}

fn assignment(assigned: BTreeMap<Uuid, std::collections::BTreeSet<i32>>) -> Assignment {
    let topics = assigned.into_iter().filter(|(_, partitions)| !partitions.is_empty());
    let topics = topics.map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic_id(topic)
            .with_partitions(partitions.into_iter().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
