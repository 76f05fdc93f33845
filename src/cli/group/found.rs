//! A group as its coordinator shows it, of whatever protocol.

use std::collections::BTreeMap;

use anyhow::Context;
use bytes::{Buf, Bytes};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    ConsumerProtocolAssignment, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupInfo;

use crate::cli::client::{Connect, Quiet, ASK_TIMEOUT};
use crate::cli::nodes::{explained, Cluster, Node};

/// What a group that is not there is shown as, and one of the consumer protocol (KIP-848) to those who
/// ask in the classic way.
pub const DEAD: &str = "Dead";

pub struct Found {
    pub name: String,
    pub state: String,
    /// How partitions are assigned.
    pub protocol: String,
    pub members: Vec<Member>,
}

pub struct Member {
    pub id: String,
    pub client: String,
    pub host: String,
    pub partitions: Vec<(String, i32)>,
}

impl Found {
    /// All groups, or one.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn all(
        connect: &Connect,
        consumer: &BaseConsumer<Quiet>,
        only: Option<&str>,
    ) -> anyhow::Result<Vec<Found>> {
        let found =
            consumer.fetch_group_list(only, ASK_TIMEOUT).map_err(|error| connect.explain(error))?;
        let groups =
            found.groups().iter().filter(|info| only.is_none_or(|only| only == info.name()));
        let mut all: Vec<Found> = groups.map(classic).collect();
        if all.iter().any(|group| group.state == DEAD) {
            let mut cluster = Cluster::connect(connect)?;
            for group in all.iter_mut().filter(|group| group.state == DEAD) {
                // What does not know the other protocol has no groups of it.
                if let Ok(Some(other)) = of_consumers(&mut cluster, &group.name) {
                    *group = other;
                }
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Which member has each partition.
    pub fn owners(&self) -> BTreeMap<(String, i32), String> {
        let of = |member: &Member| {
            let id = member.id.clone();
            let places = member.partitions.clone().into_iter();
            places.map(move |place| (place, id.clone())).collect::<Vec<_>>()
        };
        self.members.iter().flat_map(of).collect()
    }
}

fn classic(info: &GroupInfo) -> Found {
    let members = info.members().iter().map(|member| Member {
        id: member.id().to_string(),
        client: member.client_id().to_string(),
        host: member.client_host().to_string(),
        partitions: member.assignment().map(assigned).unwrap_or_default(),
    });
    Found {
        name: info.name().to_string(),
        state: info.state().to_string(),
        protocol: info.protocol().to_string(),
        members: members.collect(),
    }
}

/// What the group's leader has given to a member; nothing where the group is not of consumers.
fn assigned(bytes: &[u8]) -> Vec<(String, i32)> {
    if bytes.len() < 2 {
        return Vec::new();
    }
    let mut bytes = Bytes::copy_from_slice(bytes);
    let version = bytes.get_i16().clamp(0, 3);
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version) else {
        return Vec::new();
    };
    let topics = assignment.assigned_partitions.into_iter();
    topics.flat_map(|t| t.partitions.into_iter().map(move |p| (t.topic.to_string(), p))).collect()
}

/// The node that serves a group.
pub fn coordinator(cluster: &mut Cluster, name: &str) -> anyhow::Result<Node> {
    let text = StrBytes::from_string(name.to_string());
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text]);
    let found: FindCoordinatorResponse =
        cluster.first().ask(ApiKey::FindCoordinator, 4, &request)?;
    let found = found.coordinators.into_iter().next().context("no coordinator is answered")?;
    if found.error_code != 0 {
        return Err(explained(found.error_code, found.error_message.as_deref()));
    }
    cluster.node(found.node_id.0)
}

/// A group of the consumer protocol; `None`: there is no such one.
fn of_consumers(cluster: &mut Cluster, name: &str) -> anyhow::Result<Option<Found>> {
    let id = GroupId(StrBytes::from_string(name.to_string()));
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id]);
    let answer: ConsumerGroupDescribeResponse =
        coordinator(cluster, name)?.ask(ApiKey::ConsumerGroupDescribe, 0, &request)?;
    let Some(group) = answer.groups.into_iter().find(|group| group.error_code == 0) else {
        return Ok(None);
    };
    let members = group.members.into_iter().map(|member| Member {
        id: member.member_id.to_string(),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        partitions: member
            .assignment
            .topic_partitions
            .into_iter()
            .flat_map(|t| t.partitions.into_iter().map(move |p| (t.topic_name.to_string(), p)))
            .collect(),
    });
    Ok(Some(Found {
        name: name.to_string(),
        state: group.group_state.to_string(),
        protocol: group.assignor_name.to_string(),
        members: members.collect(),
    }))
}
