//! ShareGroupDescribe (key 77), version 1 (KIP-932): who is in share groups, and what each member works on.
//! Topics that were deleted meanwhile are left out.

use kafka_protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName};

use super::allowed;
use super::consumer_group_describe::describe;
use super::RequestContext;
use crate::metadata::MetadataImage;
use crate::partition::consumer_group::{ConsumerGroupView, ConsumerView};
use crate::partition::Operation;
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    let operations = allowed::if_asked(request.include_authorized_operations, allowed::GROUP);
    for group in request.group_ids {
        let described = DescribedGroup::default().with_group_id(group.clone());
        groups.push(match describe(cx, &group, Operation::DescribeShareGroup).await {
            Ok(view) => {
                fill(described, view, &cx.shard.image()).with_authorized_operations(operations)
            }
            Err(code) => described.with_error_code(code.code()).with_error_message(
                (code == ErrorCode::GroupIdNotFound).then(|| {
                    StrBytes::from_string(format!("Group {} is not a share group.", group.0))
                }),
            ),
        });
    }
    ShareGroupDescribeResponse::default().with_groups(groups)
}

fn fill(
    described: DescribedGroup,
    view: ConsumerGroupView,
    image: &MetadataImage,
) -> DescribedGroup {
    let members = view.members.into_iter().map(|member| fill_member(member, image));
    described
        .with_group_state(StrBytes::from_static_str(view.state))
        .with_group_epoch(view.epoch)
        .with_assignment_epoch(view.target_epoch)
        .with_assignor_name(StrBytes::from_static_str(view.assignor))
        .with_members(members.collect())
}

fn fill_member(member: ConsumerView, image: &MetadataImage) -> Member {
    let text = StrBytes::from_string;
    let topics = member.topics.into_iter().map(|name| TopicName(text(name)));
    let assigned = member.assigned.iter().filter_map(|(id, partitions)| {
        let topic = image.by_id.get(id)?;
        Some(
            TopicPartitions::default()
                .with_topic_id(*id)
                .with_topic_name(TopicName(text(topic.name.to_string())))
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    Member::default()
        .with_member_id(text(member.id))
        .with_rack_id(member.rack_id.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(topics.collect())
        .with_assignment(Assignment::default().with_topic_partitions(assigned.collect()))
}
