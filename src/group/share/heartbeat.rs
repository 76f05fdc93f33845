//! What members say, and what they are told.

use std::collections::BTreeMap;

use super::super::consumer::{Heard, Refused, JOINS, LEAVES};
use super::assignor::assign;
use super::{Current, Key, Metadata, ShareGroup, Value};
use crate::metadata::MetadataImage;
use crate::partition::share_group::ShareBeat;
use crate::wire::ErrorCode;

/// Most bytes of an id: keys in the log have two bytes for a length.
const MOST_ID_BYTES: usize = 4_096;
/// Most topics that a member can name, and the longest name.
const MOST_TOPICS: usize = 10_000;
const MOST_TOPIC_BYTES: usize = 249;

/// Whether a heartbeat makes sense by itself.
///
/// # Errors
/// `INVALID_REQUEST`, and what is wrong.
pub fn check(group: &str, beat: &ShareBeat) -> Result<(), Refused> {
    let wrong = |message: &str| Err(Refused::new(ErrorCode::InvalidRequest, message));
    let topics = beat.topics.iter().flatten();
    match () {
        () if beat.member_id.trim().is_empty() => wrong("MemberId can't be empty."),
        () if group.trim().is_empty() => wrong("GroupId can't be empty."),
        () if beat.epoch < LEAVES => wrong("MemberEpoch is invalid."),
        () if beat.rack_id.as_deref().is_some_and(|id| id.trim().is_empty()) => {
            wrong("RackId can't be empty.")
        }
        () if [group, &beat.member_id].iter().any(|id| id.len() > MOST_ID_BYTES)
            || beat.rack_id.as_ref().is_some_and(|id| id.len() > MOST_ID_BYTES) =>
        {
            wrong("An id is too long.")
        }
        () if beat.topics.as_ref().is_some_and(|topics| topics.len() > MOST_TOPICS)
            || topics.into_iter().any(|name| name.len() > MOST_TOPIC_BYTES) =>
        {
            wrong("SubscribedTopicNames are too many, or one is too long.")
        }
        () if beat.epoch == JOINS && beat.topics.as_ref().is_none_or(|all| all.is_empty()) => {
            wrong("SubscribedTopicNames must be set in first request.")
        }
        () => Ok(()),
    }
}

impl ShareGroup {
    /// A member says that it is there, joins or leaves. The heartbeat was [checked](check).
    ///
    /// # Errors
    /// Kafka's code; nothing has changed then.
    pub fn heartbeat(
        &mut self,
        now_ms: i64,
        beat: &ShareBeat,
        image: &MetadataImage,
    ) -> Result<Heard, Refused> {
        let id = &beat.member_id;
        let known = self.saved.members.get(id).map(|member| &member.current);
        match known {
            None if beat.epoch != JOINS => return Err(ErrorCode::UnknownMemberId.into()),
            None if self.saved.members.len() >= self.limits.max_size => {
                return Err(ErrorCode::GroupMaxSizeReached.into())
            }
            // One that is an epoch behind has not heard our last answer.
            Some(current)
                if beat.epoch > current.epoch
                    || beat.epoch > JOINS
                        && beat.epoch != current.epoch
                        && beat.epoch != current.previous_epoch =>
            {
                return Err(ErrorCode::FencedMemberEpoch.into())
            }
            _ => {}
        }
        // It has to be told everything again, too, if it has not heard our last answer.
        let is_behind = known.is_none_or(|current| beat.epoch != current.epoch);
        if beat.epoch == LEAVES {
            self.remove(id);
            let member_id = id.clone();
            return Ok(Heard { member_id, epoch: LEAVES, interval_ms: 0, assignment: None });
        }
        let changed = self.update(beat);
        self.follow(changed, image);
        let news = self.bring_up(id);
        self.hear(now_ms, id);
        let member = self.saved.members.get(id).ok_or(ErrorCode::UnknownMemberId)?;
        let current = &member.current;
        Ok(Heard {
            member_id: id.clone(),
            epoch: current.epoch,
            interval_ms: self.limits.heartbeat_interval_ms,
            assignment: (news || is_behind).then(|| current.assigned.clone()),
        })
    }

    /// Takes what a member says of itself; whether others may get something else by it.
    fn update(&mut self, beat: &ShareBeat) -> bool {
        let known = self.saved.members.get(&beat.member_id).map(|member| &member.metadata);
        let before = known.cloned();
        let metadata = Metadata {
            rack_id: beat.rack_id.clone().or(before.as_ref().and_then(|b| b.rack_id.clone())),
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            topics: match (&beat.topics, &before) {
                (Some(topics), _) => topics.clone(),
                (None, Some(before)) => before.topics.clone(),
                (None, None) => Default::default(),
            },
        };
        let changed = before.as_ref().is_none_or(|before| before.topics != metadata.topics);
        if before.as_ref() != Some(&metadata) {
            self.write(Key::Member(beat.member_id.clone()), Some(Value::Member(metadata)));
        }
        changed
    }

    /// Shares the partitions out again, if members or topics have changed.
    fn follow(&mut self, members_changed: bool, image: &MetadataImage) {
        if !members_changed && self.seen_image == Some(image.epoch) {
            return;
        }
        let names = self.saved.members.values().flat_map(|member| &member.metadata.topics);
        let found = names.filter_map(|name| {
            let topic = image.by_name(name)?;
            Some((name.clone(), (topic.id, topic.partitions.len() as i32)))
        });
        let topics: BTreeMap<_, _> = found.collect();
        let same = self.topics == topics && self.seen_image.is_some() && !members_changed;
        (self.topics, self.seen_image) = (topics, Some(image.epoch));
        if same {
            return;
        }
        let readers: BTreeMap<_, _> = self
            .saved
            .members
            .iter()
            .map(|(id, member)| (id.as_str(), &member.metadata.topics))
            .collect();
        let targets = assign(&readers, &self.saved.targets, &self.topics);
        if targets == self.saved.targets && !members_changed {
            return;
        }
        let epoch = self.saved.epoch + 1;
        self.write(Key::Group, Some(Value::Epoch(epoch)));
        for (id, target) in targets {
            if self.saved.targets.get(&id) != Some(&target) {
                self.write(Key::Target(id), Some(Value::Assignment(target)));
            }
        }
        self.write(Key::TargetEpoch, Some(Value::Epoch(epoch)));
    }

    /// Gives a member what it is to have; whether that is news.
    fn bring_up(&mut self, id: &str) -> bool {
        let target = self.saved.targets.get(id).cloned().unwrap_or_default();
        let Some(member) = self.saved.members.get(id) else { return false };
        let current = &member.current;
        if current.epoch == self.saved.target_epoch {
            return false;
        }
        let news = current.assigned != target;
        let current = Current {
            epoch: self.saved.target_epoch,
            previous_epoch: current.epoch,
            assigned: target,
        };
        self.write(Key::Current(id.to_string()), Some(Value::Current(current)));
        news
    }

    /// Takes a member out; the others share what it had when they are heard next.
    pub(super) fn remove(&mut self, id: &str) {
        self.deadlines.remove(id);
        for key in [Key::Current, Key::Target, Key::Member] {
            self.write(key(id.to_string()), None);
        }
        self.write(Key::Group, Some(Value::Epoch(self.saved.epoch + 1)));
        self.seen_image = None;
    }
}
