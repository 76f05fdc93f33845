//! JoinGroup (key 11), versions 0–9: answered when everybody who is in has said so.

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::membership::{Join, Joined, NotJoined};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes, Uuid};

/// Since this version a new member is given its id and has to come again with it (KIP-394).
const COMES_AGAIN_FROM: i16 = 4;
/// Since this version a leader can be told that it has nothing to assign (KIP-814).
const SKIPS_FROM: i16 = 9;

/// A member's id begins with what it calls itself, as far as this: ids are texts, which have a bound.
const NAME_CHARS: usize = 1_000;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let member_id = request.member_id.to_string();
    let joined = match join(cx, version, request).await {
        Ok(joined) => joined,
        Err(code) => Err(NotJoined { code, member_id }),
    };
    let text = StrBytes::from_string;
    match joined {
        Ok(joined) => JoinGroupResponse::default()
            .with_generation_id(joined.generation)
            .with_protocol_type(Some(text(joined.protocol_type)).filter(|_| version >= 7))
            .with_protocol_name(Some(text(joined.protocol)))
            .with_leader(text(joined.leader))
            .with_skip_assignment(joined.skip_assignment)
            .with_member_id(text(joined.member_id))
            .with_members(
                joined
                    .members
                    .into_iter()
                    .map(|member| {
                        let instance = member.instance_id.map(text).filter(|_| version >= 5);
                        JoinGroupResponseMember::default()
                            .with_member_id(text(member.id))
                            .with_group_instance_id(instance)
                            .with_metadata(member.metadata)
                    })
                    .collect(),
            ),
        Err(NotJoined { code, member_id }) => JoinGroupResponse::default()
            .with_error_code(code.code())
            .with_generation_id(-1)
            .with_protocol_name((version < 7).then(StrBytes::default))
            .with_member_id(text(member_id)),
    }
}

async fn join(
    cx: &RequestContext,
    version: i16,
    request: JoinGroupRequest,
) -> Result<Result<Joined, NotJoined>, ErrorCode> {
    let group = request.group_id.to_string();
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let instance_id = request.group_instance_id.map(|id| id.to_string());
    let client_id = cx.client_id.as_ref().map_or("", |id| id).to_string();
    let name = instance_id.as_deref().unwrap_or(&client_id);
    let cut = name.char_indices().nth(NAME_CHARS).map_or(name.len(), |(at, _)| at);
    let name = &name[..cut];
    let session_timeout_ms = request.session_timeout_ms;
    let join = Join {
        token: 0,
        fresh_id: format!("{name}-{}", Uuid::new_v4()),
        member_id: request.member_id.to_string(),
        instance_id,
        client_id,
        // With a slash, as Java prints addresses, and tools expect.
        client_host: format!("/{}", cx.peer.ip()),
        session_timeout_ms,
        rebalance_timeout_ms: match version {
            0 => session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            // A copy: it is kept, and the request's memory is not.
            .map(|p| (p.name.to_string(), Bytes::copy_from_slice(&p.metadata)))
            .collect(),
        must_come_again: version >= COMES_AGAIN_FROM,
        may_skip_assignment: version >= SKIPS_FROM,
    };
    let call =
        |partition| Operation::JoinGroup(OfGroup { partition, group: group.clone(), what: join });
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::JoinGroup(it) => Some(it),
        _ => None,
    })
    .await
}
