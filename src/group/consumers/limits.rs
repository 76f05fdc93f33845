//! Limits of single groups, over those of all.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::consumer::ConsumerLimits;
use super::Consumers;

impl Consumers {
    /// What holds for a group.
    pub(super) fn limits_of(&self, name: &str) -> Rc<ConsumerLimits> {
        Rc::clone(self.own_limits.borrow().get(name).unwrap_or(&self.limits))
    }

    /// Groups have other settings of their own from now on: what their next heartbeats are told.
    pub fn set_own_limits(&self, own: BTreeMap<String, ConsumerLimits>) {
        let own = own.into_iter().map(|(name, limits)| (name, Rc::new(limits)));
        *self.own_limits.borrow_mut() = own.collect();
        for (name, served) in self.groups.borrow_mut().iter_mut() {
            served.group.set_limits(self.limits_of(name));
        }
    }
}
