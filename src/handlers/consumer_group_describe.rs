//! ConsumerGroupDescribe (key 69), versions 0–1 (KIP-848): who is in groups of the consumer protocol, what
//! each member has and is to have. Topics that were deleted meanwhile are left out.

use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName,
};

use super::allowed;
use super::route::ask_coordinator;
use super::RequestContext;
use crate::group::OFFSETS_TOPIC;
use crate::metadata::MetadataImage;
use crate::partition::consumer_group::{self, ConsumerGroupView, ConsumerView};
use crate::partition::{OfGroup, Operation, Outcome};
use crate::wire::{ErrorCode, StrBytes};

/// Since this version it is told which protocol a member speaks.
const TYPES_FROM: i16 = 1;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    let operations = allowed::if_asked(request.include_authorized_operations, allowed::GROUP);
    for group in request.group_ids {
        let described = DescribedGroup::default().with_group_id(group.clone());
        groups.push(match describe(cx, &group, Operation::DescribeConsumers).await {
            Ok(view) => fill(described, version, view, &cx.shard.image())
                .with_authorized_operations(operations),
            Err(code) => {
                let message = match code {
                    ErrorCode::GroupIdNotFound => {
                        Some(format!("Group {} is not a consumer group.", group.0))
                    }
                    _ => None,
                };
                described
                    .with_error_code(code.code())
                    .with_error_message(message.map(StrBytes::from_string))
            }
        });
    }
    ConsumerGroupDescribeResponse::default().with_groups(groups)
}

/// Asks the coordinator about the members of a group that keeps them as KIP-848 does.
///
/// # Errors
/// Kafka's code for the group.
pub async fn describe(
    cx: &RequestContext,
    group: &GroupId,
    operation: impl FnOnce(OfGroup<()>) -> Operation,
) -> Result<ConsumerGroupView, ErrorCode> {
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if cx.shard.image().by_name(OFFSETS_TOPIC).is_none() {
        return Err(ErrorCode::GroupIdNotFound);
    }
    let call = |partition| operation(OfGroup { partition, group: group.to_string(), what: () });
    ask_coordinator(cx, group, call, |outcome| match outcome {
        Outcome::DescribeConsumers(it) | Outcome::DescribeShareGroup(it) => Some(it),
        _ => None,
    })
    .await?
}

fn fill(
    described: DescribedGroup,
    version: i16,
    view: ConsumerGroupView,
    image: &MetadataImage,
) -> DescribedGroup {
    let members = view.members.into_iter().map(|member| fill_member(version, member, image));
    described
        .with_group_state(StrBytes::from_static_str(view.state))
        .with_group_epoch(view.epoch)
        .with_assignment_epoch(view.target_epoch)
        .with_assignor_name(StrBytes::from_static_str(view.assignor))
        .with_members(members.collect())
}

fn fill_member(version: i16, member: ConsumerView, image: &MetadataImage) -> Member {
    let text = StrBytes::from_string;
    let topics = member.topics.into_iter().map(|name| TopicName(text(name)));
    let described = Member::default()
        .with_member_id(text(member.id))
        .with_instance_id(member.instance_id.map(text))
        .with_rack_id(member.rack_id.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(topics.collect())
        .with_subscribed_topic_regex(Some(text(member.regex.unwrap_or_default())))
        .with_assignment(named(&member.assigned, image))
        .with_target_assignment(named(&member.target, image));
    match version >= TYPES_FROM {
        true => described.with_member_type(i8::from(!member.classic)),
        false => described,
    }
}

fn named(assignment: &consumer_group::Assignment, image: &MetadataImage) -> Assignment {
    let topics = assignment.iter().filter_map(|(id, partitions)| {
        let topic = image.by_id.get(id)?;
        Some(
            TopicPartitions::default()
                .with_topic_id(*id)
                .with_topic_name(TopicName(StrBytes::from_string(topic.name.to_string())))
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
