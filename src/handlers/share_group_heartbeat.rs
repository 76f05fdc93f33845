//! ShareGroupHeartbeat (key 76), version 1 (KIP-932): a member of a share group says that it is there and
//! what it reads, and is told what it is to work on. The topic of what groups have done is made when the
//! first joins.

use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::consumer_group_heartbeat::why;
use super::route::ask_coordinator;
use super::{find_coordinator, RequestContext};
use crate::partition::consumer_group::{self, Heard, Refused};
use crate::partition::share_group::ShareBeat;
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: ShareGroupHeartbeatRequest,
) -> ShareGroupHeartbeatResponse {
    let text = StrBytes::from_string;
    let who = (request.group_id.clone(), request.member_id.clone());
    match hear(cx, request).await {
        Ok(heard) => ShareGroupHeartbeatResponse::default()
            .with_member_id(Some(text(heard.member_id)))
            .with_member_epoch(heard.epoch)
            .with_heartbeat_interval_ms(heard.interval_ms)
            .with_assignment(heard.assignment.map(assignment)),
        Err(refused) => ShareGroupHeartbeatResponse::default()
            .with_error_code(refused.code.code())
            .with_error_message(why(refused, &who.0, &who.1)),
    }
}

async fn hear(cx: &RequestContext, request: ShareGroupHeartbeatRequest) -> Result<Heard, Refused> {
    if !cx.shard.config().share_limits.enabled {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    find_coordinator::make_share_topic(cx).await?;
    let group = request.group_id.to_string();
    let names = request.subscribed_topic_names;
    let what = ShareBeat {
        member_id: request.member_id.to_string(),
        epoch: request.member_epoch,
        rack_id: request.rack_id.map(|id| id.to_string()),
        topics: names.map(|names| names.into_iter().map(|name| name.to_string()).collect()),
        client_id: cx.client_id.as_ref().map_or("", |id| id).to_string(),
        // With a slash, as Java prints addresses, and tools expect.
        client_host: format!("/{}", cx.peer.ip()),
    };
    let call =
        |partition| Operation::HearShareMember(OfGroup { partition, group: group.clone(), what });
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::HearShareMember(it) => Some(it),
        _ => None,
    })
    .await?
}

fn assignment(assigned: consumer_group::Assignment) -> Assignment {
    let topics = assigned.into_iter().map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic_id(topic)
            .with_partitions(partitions.into_iter().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
