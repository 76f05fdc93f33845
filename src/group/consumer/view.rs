//! The group as it is shown.

use std::collections::BTreeSet;

use super::{ConsumerGroupView, ConsumerView, Following, Group};

impl Group {
    /// Kafka's name of the state.
    pub fn state(&self) -> &'static str {
        let follows = |member: &super::Member| {
            member.current.following == Following::Stable
                && member.current.epoch == self.target_epoch
        };
        match () {
            () if self.members.is_empty() => "Empty",
            () if self.epoch > self.target_epoch => "Assigning",
            () if self.members.values().all(follows) => "Stable",
            () => "Reconciling",
        }
    }

    pub fn view(&self) -> ConsumerGroupView {
        let members = self.members.iter().map(|(id, member)| {
            let (metadata, current) = (&member.metadata, &member.current);
            ConsumerView {
                id: id.clone(),
                instance_id: metadata.instance_id.clone(),
                rack_id: metadata.rack_id.clone(),
                epoch: current.epoch,
                client_id: metadata.client_id.clone(),
                client_host: metadata.client_host.clone(),
                topics: metadata.topics.iter().cloned().collect(),
                regex: metadata.regex.clone(),
                assigned: current.assigned.clone(),
                target: self.targets.get(id).cloned().unwrap_or_default(),
                classic: metadata.classic.is_some(),
            }
        });
        ConsumerGroupView {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor().name(),
            members: members.collect(),
        }
    }

    /// Topics that somebody reads, or would if they were there.
    pub fn all_reads(&self) -> BTreeSet<String> {
        let named = self.members.values().flat_map(|member| &member.metadata.topics);
        named.chain(self.topics.keys()).cloned().collect()
    }
}
