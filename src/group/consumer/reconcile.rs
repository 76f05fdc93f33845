//! How a member gets from what it has to what it is to have: it gives up first, and gets nothing that
//! another has not given up.

use super::{Assignment, Current, Following, Group, Key, Value};
use crate::wire::Uuid;

impl Group {
    /// Takes a member one step further; `owned` is what it says that it works on.
    pub(super) fn reconcile(&mut self, now_ms: i64, id: &str, owned: Option<&Assignment>) {
        let Some(member) = self.members.get(id) else { return };
        let current = &member.current;
        let next = match current.following {
            Following::Stable if current.epoch == self.target_epoch => return,
            Following::Unrevoked if still_has(owned, &current.revoking) => return,
            Following::Stable | Following::Unrevoked | Following::Unreleased => {
                self.next(id, current, owned)
            }
        };
        if next == *current {
            return;
        }
        let timeout_ms = i64::from(member.metadata.rebalance_timeout_ms);
        let is_classic = member.metadata.classic.is_some();
        let gives_up = next.following == Following::Unrevoked;
        self.write(Key::Current(id.to_string()), Some(Value::Current(next)));
        self.hear(now_ms, id);
        if let Some(deadlines) = self.deadlines.get_mut(id) {
            // Classic members have to join again in time instead.
            deadlines.act_ms = (gives_up && !is_classic).then_some(now_ms + timeout_ms);
        }
    }

    fn next(&self, id: &str, current: &Current, owned: Option<&Assignment>) -> Current {
        let nothing = Assignment::new();
        let target = self.targets.get(id).unwrap_or(&nothing);
        let mut kept = Assignment::new();
        let mut revoking = Assignment::new();
        for (topic, partition) in places(&current.assigned) {
            let stays =
                target.get(&topic).is_some_and(|partitions| partitions.contains(&partition));
            let to = if stays { &mut kept } else { &mut revoking };
            to.entry(topic).or_default().insert(partition);
        }
        if !revoking.is_empty() && still_has(owned, &revoking) {
            return Current {
                following: Following::Unrevoked,
                assigned: kept,
                revoking,
                ..current.clone()
            };
        }
        let mut following = Following::Stable;
        for (topic, partition) in places(target) {
            let owner = self.owners.get(&(topic, partition));
            match owner.is_none_or(|owner| owner == id) {
                true => {
                    kept.entry(topic).or_default().insert(partition);
                }
                false => following = Following::Unreleased,
            }
        }
        let epoch = self.target_epoch;
        let previous_epoch = match epoch == current.epoch {
            true => current.previous_epoch,
            false => current.epoch,
        };
        Current { epoch, previous_epoch, following, assigned: kept, revoking: nothing }
    }

    /// Whether some of what a member waits for has not been given up.
    pub(super) fn waits_for_others(&self, id: &str) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        let Some(target) = self.targets.get(id) else { return false };
        let is_missing = |(topic, partition): &(Uuid, i32)| {
            let has = member.current.assigned.get(topic);
            has.is_none_or(|partitions| !partitions.contains(partition))
        };
        places(target).filter(is_missing).any(|place| self.owners.contains_key(&place))
    }
}

/// Whether some of what it is to give up is left. One that does not say has not done it.
fn still_has(owned: Option<&Assignment>, revoking: &Assignment) -> bool {
    let Some(owned) = owned else { return true };
    places(revoking).any(|(topic, partition)| {
        owned.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    })
}

pub(super) fn places(assignment: &Assignment) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    assignment
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}
