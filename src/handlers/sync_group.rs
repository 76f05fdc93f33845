//! SyncGroup (key 14), versions 0–5: the leader's assignments, and each member's own.

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::route::ask_coordinator;
use super::RequestContext;
use crate::partition::membership::{Sync, Synced};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

/// Since this version a member says what the group agreed on.
const PROTOCOL_SINCE: i16 = 5;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    match sync(cx, version, request).await {
        Ok(synced) => {
            let text =
                |text| Some(StrBytes::from_string(text)).filter(|_| version >= PROTOCOL_SINCE);
            SyncGroupResponse::default()
                .with_protocol_type(text(synced.protocol_type))
                .with_protocol_name(text(synced.protocol))
                .with_assignment(synced.assignment)
        }
        Err(code) => SyncGroupResponse::default().with_error_code(code.code()),
    }
}

async fn sync(
    cx: &RequestContext,
    version: i16,
    request: SyncGroupRequest,
) -> Result<Synced, ErrorCode> {
    let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= PROTOCOL_SINCE && !says_protocol {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let group = request.group_id.to_string();
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let sync = Sync {
        token: 0,
        member_id: request.member_id.to_string(),
        instance_id: text(request.group_instance_id),
        generation: request.generation_id,
        protocol_type: text(request.protocol_type),
        protocol_name: text(request.protocol_name),
        assignments: request
            .assignments
            .into_iter()
            // A copy: it is kept, and the request's memory is not.
            .map(|g| (g.member_id.to_string(), Bytes::copy_from_slice(&g.assignment)))
            .collect(),
    };
    let call =
        |partition| Operation::SyncGroup(OfGroup { partition, group: group.clone(), what: sync });
    ask_coordinator(cx, &group, call, |outcome| match outcome {
        Outcome::SyncGroup(it) => Some(it),
        _ => None,
    })
    .await?
}
