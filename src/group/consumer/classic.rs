//! Members that speak the classic protocol in a group of the consumer protocol: a generation is a
//! member's epoch, joining is a heartbeat that says everything, and the coordinator assigns.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::embedded::{decode_subscription, encode_assignment, Subscription};
use super::{Assignment, Classic, Following, Group, Key, Metadata, Value};
use crate::metadata::MetadataImage;
use crate::partition::membership::{Join, Joined, Sync, Synced};
use crate::wire::ErrorCode;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

impl Group {
    /// A member joins, or joins again.
    ///
    /// # Errors
    /// Kafka's code; [`ErrorCode::MemberIdRequired`] for one that has to come again with its fresh id.
    pub fn classic_join(
        &mut self,
        now_ms: i64,
        join: Join,
        image: &MetadataImage,
    ) -> Result<Joined, ErrorCode> {
        let unknown = join.member_id.is_empty();
        let id = if unknown { join.fresh_id.clone() } else { join.member_id.clone() };
        let back = join.instance_id.as_ref().is_some_and(|it| self.instances.contains_key(it));
        if !self.members.contains_key(&id) && !back && self.members.len() >= self.limits.max_size {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let said = self.check_classic(&id, &join)?;
        if unknown && join.must_come_again && join.instance_id.is_none() {
            return Err(ErrorCode::MemberIdRequired);
        }
        if let Some(instance) = &join.instance_id {
            match self.instances.get(instance).cloned() {
                Some(owner) if unknown => self.replace(&owner, &id),
                Some(owner) if owner != id => return Err(ErrorCode::FencedInstanceId),
                None if !unknown => return Err(ErrorCode::UnknownMemberId),
                _ => {}
            }
        }
        let owned = owned(&said, image);
        let changed = self.update_classic(&id, &join, said);
        self.follow_topics(changed, image);
        if self.epoch > self.target_epoch {
            self.find_targets();
        }
        self.reconcile(now_ms, &id, Some(&owned));
        self.hear(now_ms, &id);
        // Now it has to ask for its assignment.
        self.set_deadline(&id, Some(now_ms + i64::from(join.rebalance_timeout_ms)));
        let epoch = self.members.get(&id).map(|member| member.current.epoch);
        Ok(Joined {
            generation: epoch.ok_or(ErrorCode::UnknownMemberId)?,
            protocol_type: CONSUMER.to_string(),
            protocol: join.protocols.into_iter().next().map(|(name, _)| name).unwrap_or_default(),
            // Nobody of them leads.
            leader: String::new(),
            member_id: id,
            members: Vec::new(),
            skip_assignment: false,
        })
    }

    /// What it says of itself, if that fits what the other classic members speak.
    fn check_classic(&self, id: &str, join: &Join) -> Result<Subscription, ErrorCode> {
        let wrong = ErrorCode::InconsistentGroupProtocol;
        let others = || {
            let others = self.members.iter().filter(|(other, _)| *other != id);
            others.filter_map(|(_, member)| member.metadata.classic.as_ref())
        };
        let common = |name: &String| {
            others().all(|other| other.protocols.iter().any(|(known, _)| known == name))
        };
        let fits = join.protocol_type == CONSUMER && join.protocols.iter().any(|(n, _)| common(n));
        let (_, said) = join.protocols.first().filter(|_| fits).ok_or(wrong)?;
        decode_subscription(said).map_err(|_| wrong)
    }

    fn update_classic(&mut self, id: &str, join: &Join, said: Subscription) -> bool {
        let known = self.members.get(id).map(|member| &member.metadata);
        let before = known.cloned().unwrap_or_default();
        let is_new = known.is_none();
        let metadata = Metadata {
            instance_id: join.instance_id.clone().or_else(|| before.instance_id.clone()),
            rack_id: said.rack_id.or_else(|| before.rack_id.clone()),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            topics: said.topics.into_iter().collect::<BTreeSet<String>>(),
            regex: None,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            assignor: None,
            classic: Some(Classic {
                session_timeout_ms: join.session_timeout_ms,
                protocols: join.protocols.clone(),
            }),
        };
        let changed = is_new || before.topics != metadata.topics || before.regex.is_some();
        if is_new || before != metadata {
            self.write(Key::Member(id.to_string()), Some(Value::Member(metadata)));
        }
        changed
    }

    /// A member asks for its assignment.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn classic_sync(&mut self, now_ms: i64, sync: &Sync) -> Result<Synced, ErrorCode> {
        let id = self.classic_member(&sync.member_id, sync.instance_id.as_deref())?;
        let member = self.members.get(&id).ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.metadata.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
        let (protocol, said) = classic.protocols.first().cloned().unwrap_or_default();
        let current = &member.current;
        if sync.generation != current.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |said: &Option<String>, is: &str| said.as_deref().is_some_and(|s| s != is);
        if differs(&sync.protocol_type, CONSUMER) || differs(&sync.protocol_name, &protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.epoch > current.epoch && current.following != Following::Unrevoked {
            self.wait_for_join(now_ms, &id);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let version = decode_subscription(&said).map_or(0, |said| said.version);
        let assignment = encode_assignment(version, &self.named(&current.assigned));
        self.set_deadline(&id, None);
        self.hear(now_ms, &id);
        Ok(Synced { protocol_type: CONSUMER.to_string(), protocol, assignment })
    }

    /// A member says that it is there; it is told whether it has to join again.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn classic_heartbeat(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let id = self.classic_member(member_id, instance_id)?;
        let member = self.members.get(&id).ok_or(ErrorCode::UnknownMemberId)?;
        let current = &member.current;
        if generation != current.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let again = current.epoch < self.epoch
            || current.following == Following::Unrevoked
            || (current.following == Following::Unreleased && !self.waits_for_others(&id));
        self.hear(now_ms, &id);
        match again {
            true => {
                self.wait_for_join(now_ms, &id);
                Err(ErrorCode::RebalanceInProgress)
            }
            false => Ok(()),
        }
    }

    /// A member goes.
    ///
    /// # Errors
    /// There is no such member of the classic protocol.
    pub fn classic_leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let id = self.classic_member(member_id, instance_id)?;
        self.remove(&id);
        Ok(())
    }

    /// A member of the classic protocol; who removes static members from outside does not know their
    /// ids.
    fn classic_member(&self, id: &str, instance: Option<&str>) -> Result<String, ErrorCode> {
        let id = match instance {
            None => id,
            Some(instance) => match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if !id.is_empty() && owner != id => {
                    return Err(ErrorCode::FencedInstanceId)
                }
                Some(owner) => owner,
            },
        };
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        match member.metadata.classic {
            Some(_) => Ok(id.to_string()),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// It was told to join again: it has to in time.
    fn wait_for_join(&mut self, now_ms: i64, id: &str) {
        let Some(member) = self.members.get(id) else { return };
        let until_ms = now_ms + i64::from(member.metadata.rebalance_timeout_ms);
        if let Some(deadlines) = self.deadlines.get_mut(id) {
            deadlines.act_ms.get_or_insert(until_ms);
        }
    }

    fn set_deadline(&mut self, id: &str, until_ms: Option<i64>) {
        if let Some(deadlines) = self.deadlines.get_mut(id) {
            deadlines.act_ms = until_ms;
        }
    }

    /// An assignment by topics' names.
    pub(super) fn named(&self, assignment: &Assignment) -> super::embedded::ByName {
        let topics = self.topics.iter().filter_map(|(name, topic)| {
            let partitions = assignment.get(&topic.id)?;
            Some((name.clone(), partitions.iter().copied().collect()))
        });
        topics.collect()
    }
}

/// What a member has not given up, by topics' ids.
fn owned(said: &Subscription, image: &MetadataImage) -> Assignment {
    by_id(said.owned.clone(), image)
}

pub(super) fn by_id(topics: super::embedded::ByName, image: &MetadataImage) -> Assignment {
    let mut assignment = Assignment::new();
    for (name, partitions) in topics {
        if let (Some(topic), false) = (image.by_name(&name), partitions.is_empty()) {
            assignment.entry(topic.id).or_default().extend(partitions);
        }
    }
    assignment
}

/// What a classic member said of itself under a protocol.
pub(super) fn said_under(classic: &Classic, protocol: &str) -> Bytes {
    let found = classic.protocols.iter().find(|(name, _)| name == protocol);
    found.map(|(_, said)| said.clone()).unwrap_or_default()
}
