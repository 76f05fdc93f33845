//! ListGroups (key 16), versions 0–5, and DescribeGroups (key 15), versions 0–6: which groups there are
//! and who is in them.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId, ListGroupsRequest, ListGroupsResponse,
};

use super::allowed;
use super::route::{ask_coordinator, ask_owners};
use super::RequestContext;
use crate::group::OFFSETS_TOPIC;
use crate::partition::membership::GroupView;
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let states = &request.states_filter;
    let types = &request.types_filter;
    let is_asked = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|asked| asked.eq_ignore_ascii_case(value))
    };
    let mut groups = Vec::new();
    let (all, wrong) = all_groups(cx).await;
    for view in all {
        if !is_asked(states, view.state) || !is_asked(types, view.kind) {
            continue;
        }
        let text = |text: &'static str, from| match version >= from {
            true => StrBytes::from_static_str(text),
            false => StrBytes::default(),
        };
        groups.push(
            ListedGroup::default()
                .with_group_id(GroupId(StrBytes::from_string(view.group)))
                .with_protocol_type(StrBytes::from_string(view.protocol_type))
                .with_group_state(text(view.state, 4))
                .with_group_type(text(view.kind, 5)),
        );
    }
    let code = wrong.map_or(0, |code| code.code());
    ListGroupsResponse::default().with_error_code(code).with_groups(groups)
}

/// Groups of all shards; of this one alone where each is shown as a node.
async fn all_groups(cx: &RequestContext) -> (Vec<GroupView>, Option<ErrorCode>) {
    let groups = |outcome| match outcome {
        Outcome::ListGroups(groups) => Some(groups),
        _ => None,
    };
    ask_owners(cx, OFFSETS_TOPIC, || Operation::ListGroups, groups).await
}

pub async fn describe(
    cx: &RequestContext,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    let operations = allowed::if_asked(request.include_authorized_operations, allowed::GROUP);
    for group in request.groups {
        let described = DescribedGroup::default().with_group_id(group.clone());
        let dead = || described.clone().with_group_state(StrBytes::from_static_str("Dead"));
        groups.push(match describe_one(cx, &group).await {
            Ok(view) => fill(described, version, view).with_authorized_operations(operations),
            // Before version 6 a group that is not there is a dead one, not an error.
            Err(ErrorCode::GroupIdNotFound) if version < 6 => {
                dead().with_authorized_operations(operations)
            }
            Err(ErrorCode::GroupIdNotFound) => dead()
                .with_error_code(ErrorCode::GroupIdNotFound.code())
                .with_error_message(Some(not_found(&group))),
            Err(code) => dead().with_error_code(code.code()),
        });
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

fn not_found(group: &GroupId) -> StrBytes {
    StrBytes::from_string(format!("Group {} not found.", group.0))
}

async fn describe_one(cx: &RequestContext, group: &GroupId) -> Result<GroupView, ErrorCode> {
    if cx.shard.image().by_name(OFFSETS_TOPIC).is_none() {
        return Err(ErrorCode::GroupIdNotFound);
    }
    let call = |partition| {
        Operation::DescribeGroup(OfGroup { partition, group: group.to_string(), what: () })
    };
    ask_coordinator(cx, group, call, |outcome| match outcome {
        Outcome::DescribeGroup(it) => Some(it),
        _ => None,
    })
    .await?
}

fn fill(described: DescribedGroup, version: i16, view: GroupView) -> DescribedGroup {
    let text = StrBytes::from_string;
    let members = view.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance_id.map(text).filter(|_| version >= 4))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    described
        .with_group_state(StrBytes::from_static_str(view.state))
        .with_protocol_type(text(view.protocol_type))
        .with_protocol_data(text(view.protocol))
        .with_members(members.collect())
}
