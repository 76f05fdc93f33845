//! Groups that change their protocol while they have members (KIP-848): a classic one when the first
//! member of the consumer protocol comes, and back when the last of them has gone.

use std::rc::Rc;

use super::classic::{by_id, said_under, CONSUMER};
use super::embedded::{decode_assignment, decode_subscription, encode_assignment};
use super::{Classic, ConsumerLimits, Current, Group, Key, Metadata, Value};
use crate::group::record::{GroupRecord, MemberRecord};
use crate::metadata::MetadataImage;

impl Group {
    /// A group that goes on where a classic one was: its generation is the epoch, its members speak the
    /// classic protocol. `None`: what they said of themselves is not understood.
    pub fn take_over(
        limits: Rc<ConsumerLimits>,
        now_ms: i64,
        record: GroupRecord,
        image: &MetadataImage,
    ) -> Option<Group> {
        let mut group = Group::new(limits);
        let GroupRecord { generation, protocol, members, .. } = record;
        let mut assigned = Vec::with_capacity(members.len());
        for member in members {
            let said = decode_subscription(&member.subscription).ok()?;
            let given = decode_assignment(&member.assignment).ok()?;
            let classic = Classic {
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![(protocol.clone(), member.subscription)],
            };
            let metadata = Metadata {
                instance_id: member.instance_id,
                rack_id: said.rack_id,
                client_id: member.client_id,
                client_host: member.client_host,
                topics: said.topics.into_iter().collect(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                classic: Some(classic),
                ..Metadata::default()
            };
            group.write(Key::Member(member.id.clone()), Some(Value::Member(metadata)));
            assigned.push((member.id, by_id(given, image)));
        }
        group.write(Key::Group, Some(Value::Epoch(generation)));
        for (id, assigned) in assigned {
            let target = Some(Value::Assignment(assigned.clone()));
            group.write(Key::Target(id.clone()), target);
            let current = Current {
                epoch: generation,
                previous_epoch: generation,
                assigned,
                ..Current::default()
            };
            group.write(Key::Current(id), Some(Value::Current(current)));
        }
        group.write(Key::TargetEpoch, Some(Value::Epoch(generation)));
        group.begin(now_ms);
        Some(group)
    }

    /// Whether all who are in speak the classic protocol.
    pub fn is_all_classic(&self) -> bool {
        !self.is_empty() && self.members.values().all(|member| member.metadata.classic.is_some())
    }

    /// How many are in.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The group as a classic one, in which a rebalance is due. `None`: its members have no protocol in
    /// common.
    pub fn give_back(&self, now_ms: i64) -> Option<GroupRecord> {
        let classic = || self.members.values().filter_map(|m| m.metadata.classic.as_ref());
        let common = |name: &String| {
            classic().all(|one| one.protocols.iter().any(|(known, _)| known == name))
        };
        let first = classic().next()?;
        let protocol = first.protocols.iter().map(|(name, _)| name).find(|name| common(name))?;
        let members = self.members.iter().filter_map(|(id, member)| {
            let metadata = &member.metadata;
            let classic = metadata.classic.as_ref()?;
            let subscription = said_under(classic, protocol);
            let version = decode_subscription(&subscription).map_or(0, |said| said.version);
            Some(MemberRecord {
                id: id.clone(),
                instance_id: metadata.instance_id.clone(),
                client_id: metadata.client_id.clone(),
                client_host: metadata.client_host.clone(),
                rebalance_timeout_ms: metadata.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                subscription,
                assignment: encode_assignment(version, &self.named(&member.current.assigned)),
            })
        });
        Some(GroupRecord {
            protocol_type: CONSUMER.to_string(),
            // That of those who have followed: the epoch of now has begun with the last one's going.
            generation: self.target_epoch,
            protocol: protocol.clone(),
            leader: self.members.keys().next().cloned().unwrap_or_default(),
            since_ms: Some(now_ms),
            members: members.collect(),
        })
    }
}
