//! From the moment that something changes to the next generation of those who have joined it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::roster::Member;
use super::storing::Storing;
use super::{Group, State};
use crate::wire::ErrorCode;

impl Group {
    /// Begins a rebalance, or ends the one that is under way if all are there.
    pub(super) fn rebalance(&mut self, now_ms: i64) {
        if let State::Completing { .. } = self.state {
            self.end_syncs(ErrorCode::RebalanceInProgress);
        }
        if !matches!(self.state, State::Preparing { .. }) {
            let longest = self.longest_rebalance_ms();
            let delay = self.limits.initial_rebalance_delay_ms;
            let next = match self.state {
                State::Empty if delay > 0 => State::Preparing {
                    until_ms: now_ms + delay.min(longest),
                    more_until_ms: Some(now_ms + longest),
                },
                _ => State::Preparing { until_ms: now_ms + longest, more_until_ms: None },
            };
            self.turn(now_ms, next);
        }
        let State::Preparing { more_until_ms, .. } = self.state else { return };
        let all = self.members.all_have_joined() && self.pending.is_empty();
        if more_until_ms.is_none() && all {
            self.complete(now_ms);
        }
    }

    fn longest_rebalance_ms(&self) -> i64 {
        let timeouts = self.members.iter().map(|(_, m)| i64::from(m.rebalance_timeout_ms));
        timeouts.max().unwrap_or(0)
    }

    /// A new generation of all who have joined; dynamic members that have not are out.
    pub(super) fn complete(&mut self, now_ms: i64) {
        for id in self.members.ids(|m| m.joining.is_none() && m.instance_id.is_none()) {
            self.members.remove(&id);
        }
        if self.members.joining() == 0 && !self.members.is_empty() {
            // Static members are waited for until their sessions end.
            let until_ms = now_ms + self.longest_rebalance_ms();
            self.state = State::Preparing { until_ms, more_until_ms: None };
            return;
        }
        // Never negative: that is for those who are no members.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.leader.clear();
            self.protocol.clear();
            self.turn(now_ms, State::Empty);
            let record = self.record(|_, _| Bytes::new());
            return self.write(record, Storing::Empty);
        }
        let here = |m: &Member| m.joining.is_some();
        if !self.members.get(&self.leader).is_some_and(here) {
            let next = self.members.iter().find(|(_, m)| here(m)).map(|(id, _)| id.clone());
            self.leader = next.unwrap_or_default();
        }
        self.protocol = self.choose_protocol();
        let until_ms = now_ms + self.longest_rebalance_ms();
        self.turn(now_ms, State::Completing { until_ms });
        for id in self.members.ids(|_| true) {
            let joining = self.members.change(&id, |member| {
                member.heard_ms = now_ms;
                member.assignment = Bytes::new();
                member.joining.take()
            });
            if let Some(token) = joining.flatten() {
                self.answer_join(token, &id);
            }
        }
    }

    /// Of the protocols that all have, the one that most prefer.
    pub(super) fn choose_protocol(&self) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, member) in self.members.iter() {
            let mut names = member.protocols.iter().map(|(name, _)| &**name);
            if let Some(name) = names.find(|name| self.members.all_support(name, None)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        most.map_or_else(String::new, |(name, _)| name.to_string())
    }
}
