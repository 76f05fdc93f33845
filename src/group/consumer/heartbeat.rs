//! What members say, and what they are told.

use super::{Beat, Current, Group, Heard, Key, Metadata, Refused, Resolved, Value};
use super::{JOINS, LEAVES, LEAVES_FOR_NOW};
use crate::metadata::MetadataImage;
use crate::wire::ErrorCode;

impl Group {
    /// A member says that it is there, joins, leaves, or has done what it was told. The heartbeat was
    /// [checked](super::check); `resolved` are patterns that [`Group::unresolved`] asked for.
    ///
    /// # Errors
    /// Kafka's code; nothing has changed then.
    pub fn heartbeat(
        &mut self,
        now_ms: i64,
        beat: Beat,
        image: &MetadataImage,
        resolved: Option<Resolved>,
    ) -> Result<Heard, Refused> {
        if beat.epoch < JOINS {
            return self.leave(&beat);
        }
        let id = match beat.member_id.is_empty() {
            true => beat.fresh_id.clone(),
            false => beat.member_id.clone(),
        };
        self.admit(&id, &beat)?;
        let before = self.members.get(&id).map(|member| member.current.assigned.clone());
        let mut changed = self.update(&id, &beat);
        changed |= self.put_resolved(now_ms, resolved);
        self.follow_topics(changed, image);
        if self.epoch > self.target_epoch {
            self.find_targets();
        }
        self.reconcile(now_ms, &id, beat.owned.as_ref());
        self.hear(now_ms, &id);
        let current = self.members.get(&id).map(|member| &member.current);
        let Current { epoch, assigned, .. } = current.ok_or(ErrorCode::UnknownMemberId)?;
        let whole = beat.epoch == JOINS
            || (beat.rebalance_timeout_ms.is_some()
                && (beat.topics.is_some() || beat.regex.is_some())
                && beat.owned.is_some());
        let is_news = whole || before.as_ref() != Some(assigned);
        Ok(Heard {
            epoch: *epoch,
            interval_ms: self.limits.heartbeat_interval_ms,
            assignment: is_news.then(|| assigned.clone()),
            member_id: id,
        })
    }

    /// Takes what a member says of itself; whether it reads something else now.
    fn update(&mut self, id: &str, beat: &Beat) -> bool {
        let known = self.members.get(id);
        if known.is_some_and(|member| !says_more(beat, &member.metadata)) {
            return false;
        }
        let is_new = known.is_none();
        let before = known.map(|member| member.metadata.clone()).unwrap_or_default();
        let mut metadata = Metadata {
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            classic: None,
            ..before.clone()
        };
        if let Some(instance) = &beat.instance_id {
            metadata.instance_id = Some(instance.clone());
        }
        if let Some(rack) = &beat.rack_id {
            metadata.rack_id = Some(rack.clone());
        }
        if let Some(timeout) = beat.rebalance_timeout_ms {
            metadata.rebalance_timeout_ms = timeout;
        }
        if let Some(topics) = &beat.topics {
            metadata.topics.clone_from(topics);
        }
        if let Some(regex) = &beat.regex {
            metadata.regex = Some(regex.clone()).filter(|regex| !regex.is_empty());
        }
        if let Some(assignor) = &beat.assignor {
            metadata.assignor = Some(assignor.clone());
        }
        let reads = |m: &Metadata| (m.topics.clone(), m.regex.clone());
        let changed = is_new || reads(&before) != reads(&metadata);
        if is_new || before != metadata {
            self.write(Key::Member(id.to_string()), Some(Value::Member(metadata)));
        }
        changed
    }

    fn leave(&mut self, beat: &Beat) -> Result<Heard, Refused> {
        let id = match &beat.instance_id {
            None => &beat.member_id,
            Some(instance) => match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId.into()),
                Some(owner) if *owner != beat.member_id => {
                    return Err(ErrorCode::FencedInstanceId.into())
                }
                Some(owner) => owner,
            },
        };
        let Some(member) = self.members.get(id) else {
            return Err(ErrorCode::UnknownMemberId.into());
        };
        let id = id.clone();
        if beat.epoch == LEAVES {
            self.remove(&id);
        } else {
            let current = Current {
                epoch: LEAVES_FOR_NOW,
                revoking: Default::default(),
                ..member.current.clone()
            };
            self.write(Key::Current(id.clone()), Some(Value::Current(current)));
            if let Some(deadlines) = self.deadlines.get_mut(&id) {
                deadlines.act_ms = None;
            }
        }
        Ok(Heard { member_id: id, epoch: beat.epoch, interval_ms: 0, assignment: None })
    }

    /// Takes a member out; the others share what it had when they are heard next.
    pub(super) fn remove(&mut self, id: &str) {
        self.erase(id);
        self.forget_unread();
        self.write(Key::Group, Some(Value::Epoch(self.epoch + 1)));
    }

    fn erase(&mut self, id: &str) {
        self.write(Key::Current(id.to_string()), None);
        self.write(Key::Target(id.to_string()), None);
        self.write(Key::Member(id.to_string()), None);
    }

    /// A static member is back under another id, and takes what it had before.
    pub(super) fn replace(&mut self, old: &str, id: &str) {
        let Some(member) = self.members.get(old).cloned() else { return };
        let target = self.targets.get(old).cloned().unwrap_or_default();
        self.erase(old);
        self.write(Key::Member(id.to_string()), Some(Value::Member(member.metadata)));
        self.write(Key::Target(id.to_string()), Some(Value::Assignment(target)));
        let current = Current { epoch: 0, previous_epoch: 0, ..member.current };
        self.write(Key::Current(id.to_string()), Some(Value::Current(current)));
    }
}

/// Whether a heartbeat may say something that is not known.
fn says_more(beat: &Beat, known: &Metadata) -> bool {
    fn differs(said: &Option<String>, known: &Option<String>) -> bool {
        said.is_some() && said != known
    }
    differs(&beat.instance_id, &known.instance_id)
        || differs(&beat.rack_id, &known.rack_id)
        || differs(&beat.assignor, &known.assignor)
        || beat.regex.as_deref().is_some_and(|said| said != known.regex.as_deref().unwrap_or(""))
        || beat.topics.as_ref().is_some_and(|said| *said != known.topics)
        || beat.rebalance_timeout_ms.is_some_and(|said| said != known.rebalance_timeout_ms)
        || known.classic.is_some()
        || beat.client_id != known.client_id
        || beat.client_host != known.client_host
}
