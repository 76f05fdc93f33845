//! Which heartbeats are heard.

use super::subscription::check_pattern;
use super::{Assignment, Beat, Group, Refused, JOINS, LEAVES_FOR_NOW};
use crate::config::{Assignor, ConsumerLimits};
use crate::wire::ErrorCode;

/// Most bytes of an id or a pattern: keys in the log have two bytes for a length.
const MOST_ID_BYTES: usize = 4_096;
/// Most topics that a member can name.
const MOST_TOPICS: usize = 10_000;
/// A topic's name is no longer.
const MOST_TOPIC_BYTES: usize = 249;

/// Whether a heartbeat makes sense by itself. `needs_id`: since version 1 of the request, members
/// choose their own ids.
///
/// # Errors
/// Kafka's code, and what is wrong.
pub fn check(
    group: &str,
    beat: &Beat,
    needs_id: bool,
    limits: &ConsumerLimits,
) -> Result<(), Refused> {
    let wrong = |message: &str| Err(Refused::new(ErrorCode::InvalidRequest, message));
    let blank = |id: &Option<String>| id.as_deref().is_some_and(|id| id.trim().is_empty());
    let no_id = beat.member_id.trim().is_empty();
    if no_id && (needs_id || beat.epoch != JOINS) {
        return wrong("MemberId can't be empty.");
    }
    if group.trim().is_empty() {
        return wrong("GroupId can't be empty.");
    }
    if blank(&beat.instance_id) {
        return wrong("InstanceId can't be empty.");
    }
    if blank(&beat.rack_id) {
        return wrong("RackId can't be empty.");
    }
    let ids = [Some(group), Some(&beat.member_id), beat.instance_id.as_deref()];
    let texts = [beat.rack_id.as_deref(), beat.regex.as_deref(), beat.assignor.as_deref()];
    if ids.iter().chain(&texts).flatten().any(|text| text.len() > MOST_ID_BYTES) {
        return wrong("An id or a pattern is too long.");
    }
    let topics = beat.topics.iter().flatten();
    if beat.topics.as_ref().is_some_and(|topics| topics.len() > MOST_TOPICS)
        || topics.into_iter().any(|name| name.len() > MOST_TOPIC_BYTES)
    {
        return wrong("SubscribedTopicNames are too many, or one is too long.");
    }
    match beat.epoch {
        JOINS => check_join(beat)?,
        LEAVES_FOR_NOW if beat.instance_id.is_none() => return wrong("InstanceId can't be null."),
        ..LEAVES_FOR_NOW => return wrong("MemberEpoch is invalid."),
        _ => {}
    }
    if beat.rebalance_timeout_ms.is_some_and(|timeout| timeout < 0) {
        return wrong("RebalanceTimeoutMs is invalid.");
    }
    if let Some(name) = &beat.assignor {
        let known = Assignor::parse(name).is_some_and(|assignor| {
            assignor.name() == name && limits.assignors.contains(&assignor)
        });
        if !known {
            let names: Vec<&str> = limits.assignors.iter().map(|one| one.name()).collect();
            let message = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                names.join(", ")
            );
            return Err(Refused::new(ErrorCode::UnsupportedAssignor, message));
        }
    }
    match &beat.regex {
        Some(pattern) if !pattern.is_empty() => check_pattern(pattern),
        _ => Ok(()),
    }
}

fn check_join(beat: &Beat) -> Result<(), Refused> {
    let wrong = |message: &str| Err(Refused::new(ErrorCode::InvalidRequest, message));
    if beat.rebalance_timeout_ms.is_none() {
        return wrong("RebalanceTimeoutMs must be provided in first request.");
    }
    if beat.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return wrong("TopicPartitions must be empty when (re-)joining.");
    }
    if beat.topics.is_none() && beat.regex.is_none() {
        return wrong(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        );
    }
    Ok(())
}

impl Group {
    /// Whether this member may speak, or is let in.
    ///
    /// # Errors
    /// Kafka's code.
    pub(super) fn admit(&mut self, id: &str, beat: &Beat) -> Result<(), Refused> {
        let joins = beat.epoch == JOINS;
        let Some(instance) = &beat.instance_id else {
            return match self.members.get(id) {
                Some(_) => self.check_epoch(id, beat),
                None if joins => self.check_size(),
                None => Err(ErrorCode::UnknownMemberId.into()),
            };
        };
        match (self.instances.get(instance), joins) {
            (None, true) => self.check_size(),
            (None, false) => Err(ErrorCode::UnknownMemberId.into()),
            (Some(owner), true) if owner == id => Ok(()),
            (Some(owner), true) => {
                let owner = owner.clone();
                let here = self.members.get(&owner).is_some_and(|member| {
                    member.current.epoch != LEAVES_FOR_NOW && member.metadata.classic.is_none()
                });
                if here {
                    return Err(ErrorCode::UnreleasedInstanceId.into());
                }
                self.replace(&owner, id);
                Ok(())
            }
            (Some(owner), false) if owner != id => Err(ErrorCode::FencedInstanceId.into()),
            (Some(_), false) => self.check_epoch(id, beat),
        }
    }

    /// Whether offsets may be committed by this member, or by nobody where nobody is in. `by_epoch`: the
    /// request is of a version that has members' epochs.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_commit(&self, id: &str, epoch: i32, by_epoch: bool) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.metadata.classic.is_none() && !by_epoch {
            return Err(ErrorCode::UnsupportedVersion);
        }
        self.check_offset_epoch(id, epoch)
    }

    /// Whether a member may ask for offsets, or somebody who is none.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_fetch(&self, id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        match id {
            None if epoch < 0 => Ok(()),
            id => self.check_offset_epoch(id.unwrap_or_default(), epoch),
        }
    }

    fn check_offset_epoch(&self, id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let member = self.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        match (epoch == member.current.epoch, &member.metadata.classic) {
            (true, _) => Ok(()),
            (false, None) => Err(ErrorCode::StaleMemberEpoch),
            (false, Some(_)) => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn check_size(&self) -> Result<(), Refused> {
        match self.members.len() < self.limits.max_size {
            true => Ok(()),
            false => Err(ErrorCode::GroupMaxSizeReached.into()),
        }
    }

    /// A member that joins again has nothing, and is told what it has to have. One that is an epoch
    /// behind has not heard our last answer.
    fn check_epoch(&self, id: &str, beat: &Beat) -> Result<(), Refused> {
        let Some(member) = self.members.get(id) else {
            return Err(ErrorCode::UnknownMemberId.into());
        };
        let current = &member.current;
        let lost_an_answer = beat.epoch == current.previous_epoch
            && beat.epoch < current.epoch
            && beat.owned.as_ref().is_some_and(|owned| is_within(owned, &current.assigned));
        match beat.epoch == JOINS || beat.epoch == current.epoch || lost_an_answer {
            true => Ok(()),
            false => Err(ErrorCode::FencedMemberEpoch.into()),
        }
    }
}

fn is_within(part: &Assignment, whole: &Assignment) -> bool {
    part.iter().all(|(topic, partitions)| {
        partitions.is_empty() || whole.get(topic).is_some_and(|all| partitions.is_subset(all))
    })
}
