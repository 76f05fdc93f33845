//! What each member is to have.

use std::rc::Rc;

use super::assignors::{assign, Subscriber, Subscribers};
use super::{Group, Key, Metadata, Value};
use crate::config::Assignor;

impl Group {
    /// The one that most members ask for; the first of the configuration where nobody does.
    pub(super) fn assignor(&self) -> Assignor {
        let asked = |assignor: &Assignor| {
            let asks = |name: &Option<String>| name.as_deref() == Some(assignor.name());
            self.members.values().filter(|member| asks(&member.metadata.assignor)).count()
        };
        let known = &self.limits.assignors;
        // Of those that as many ask for, the first.
        let most = known.iter().rev().max_by_key(|assignor| asked(assignor));
        most.copied().unwrap_or(Assignor::Uniform)
    }

    /// New targets for all, in the epoch that the group is in.
    pub(super) fn find_targets(&mut self) {
        let mut subscribers = Subscribers {
            members: Vec::with_capacity(self.members.len()),
            partitions: self.topics.values().map(|topic| (topic.id, topic.partitions)).collect(),
        };
        let mut last: Option<(&Metadata, Rc<_>)> = None;
        for (id, member) in &self.members {
            let metadata = &member.metadata;
            // Most read what others read, too.
            let topics = match &last {
                Some((same, topics))
                    if same.topics == metadata.topics && same.regex == metadata.regex =>
                {
                    Rc::clone(topics)
                }
                _ => Rc::new(self.topics_of(metadata)),
            };
            last = Some((metadata, Rc::clone(&topics)));
            subscribers.members.push(Subscriber {
                id,
                instance_id: metadata.instance_id.as_deref(),
                topics,
                before: self.targets.get(id),
            });
        }
        let assigned = assign(self.assignor(), &subscribers);
        let targets = subscribers.members.iter().map(|member| member.id).zip(assigned);
        let news = targets.filter(|(id, target)| self.targets.get(*id) != Some(target));
        let news: Vec<_> = news.map(|(id, target)| (id.to_string(), target)).collect();
        for (id, target) in news {
            self.write(Key::Target(id), Some(Value::Assignment(target)));
        }
        self.write(Key::TargetEpoch, Some(Value::Epoch(self.epoch)));
    }
}
