//! Heartbeat (key 12), versions 0–4, and LeaveGroup (key 13), versions 0–5: a member is there, or goes.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse,
};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::membership::{MemberCall, MemberSays};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let call = MemberCall {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(|id| id.to_string()),
        says: MemberSays::Here { generation: request.generation_id },
    };
    let heard = say(cx, request.group_id.to_string(), vec![call]).await;
    let code = heard.and_then(|heard| heard.first().copied().unwrap_or(Ok(()))).err();
    HeartbeatResponse::default().with_error_code(code.map_or(0, |code| code.code()))
}

pub async fn leave(
    cx: &RequestContext,
    version: i16,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let call = |member_id: &StrBytes, instance_id: Option<&StrBytes>| MemberCall {
        member_id: member_id.to_string(),
        instance_id: instance_id.map(ToString::to_string),
        says: MemberSays::Leaving,
    };
    let calls = match version {
        0..=2 => vec![call(&request.member_id, None)],
        _ => {
            let members = request.members.iter();
            members.map(|m| call(&m.member_id, m.group_instance_id.as_ref())).collect()
        }
    };
    let answer = LeaveGroupResponse::default();
    let left = match say(cx, request.group_id.to_string(), calls).await {
        Ok(left) => left,
        Err(code) => return answer.with_error_code(code.code()),
    };
    let code = |left: &Result<(), ErrorCode>| left.err().map_or(0, |code| code.code());
    if version < 3 {
        return answer.with_error_code(left.first().map_or(0, code));
    }
    let members = request.members.into_iter().zip(&left).map(|(member, left)| {
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(left))
    });
    answer.with_members(members.collect())
}

async fn say(
    cx: &RequestContext,
    group: String,
    calls: Vec<MemberCall>,
) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let call =
        |partition| Operation::Members(OfGroup { partition, group: group.clone(), what: calls });
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::Members(it) => Some(it),
        _ => None,
    })
    .await
}
