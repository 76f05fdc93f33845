//! Who is in a group: joining, leaving, and the rebalance that follows.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answer, Group, Join, Joined, JoinedMember, Member, NotJoined, State, Token};
use crate::wire::ErrorCode;

impl Group {
    /// A consumer wants to be in. The answer may come much later.
    pub fn join(&mut self, now_ms: i64, join: Join) {
        if let Err(code) = self.admit(&join) {
            self.refuse(join.token, code, join.member_id);
            return;
        }
        if join.member_id.is_empty() {
            return self.join_new(now_ms, join);
        }
        if self.pending.remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            self.add(now_ms, id, join);
            return;
        }
        let id = join.member_id.clone();
        let changed = self.members.get(&id).is_none_or(|m| m.protocols != join.protocols);
        let again = match self.state {
            State::Preparing { .. } => true,
            State::Completing { .. } => changed,
            State::Stable => changed || id == self.leader,
            State::Empty => return self.refuse(join.token, ErrorCode::UnknownMemberId, id),
        };
        if again {
            self.update(now_ms, &id, join);
            self.rebalance(now_ms);
        } else {
            // It did not hear the answer that the others have.
            self.hear(now_ms, &id);
            self.answer_join(join.token, &id);
        }
    }

    fn admit(&self, join: &Join) -> Result<(), ErrorCode> {
        let limits = &self.limits;
        let allowed = limits.min_session_timeout_ms..=limits.max_session_timeout_ms;
        if !allowed.contains(&join.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        let known = self.members.contains_key(&join.member_id);
        if !join.member_id.is_empty() {
            self.check_instance(&join.member_id, join.instance_id.as_deref())?;
            if !known && !self.pending.contains_key(&join.member_id) {
                return Err(ErrorCode::UnknownMemberId);
            }
        }
        let replaces = join.instance_id.as_ref().is_some_and(|id| self.member_of(id).is_some());
        let size = self.members.len() + self.pending.len();
        if join.member_id.is_empty() && !replaces && size >= self.limits.max_size {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let fits = match self.members.is_empty() {
            true => !join.protocol_type.is_empty() && !join.protocols.is_empty(),
            false => join.protocol_type == self.protocol_type && self.has_common(join),
        };
        match fits {
            true => Ok(()),
            false => Err(ErrorCode::InconsistentGroupProtocol),
        }
    }

    /// Whether one of the protocols is all others', too.
    fn has_common(&self, join: &Join) -> bool {
        let others = || self.members.iter().filter(|(id, _)| **id != join.member_id);
        let all_have = |name: &String| others().all(|(_, m)| m.supports(name));
        join.protocols.iter().any(|(name, _)| all_have(name))
    }

    fn join_new(&mut self, now_ms: i64, join: Join) {
        let id = join.fresh_id.clone();
        if let Some(old) = join.instance_id.as_ref().and_then(|id| self.member_of(id)) {
            self.replace(now_ms, &old, id, join);
        } else if join.must_come_again && join.instance_id.is_none() {
            self.pending.insert(id.clone(), now_ms + i64::from(join.session_timeout_ms));
            self.refuse(join.token, ErrorCode::MemberIdRequired, id);
        } else {
            self.add(now_ms, id, join);
        }
    }

    /// A static member has come back: whoever was it before is fenced.
    fn replace(&mut self, now_ms: i64, old: &str, id: String, join: Join) {
        if let Some(before) = self.members.remove(old) {
            if let Some(token) = before.joining {
                self.refuse(token, ErrorCode::FencedInstanceId, old.to_string());
            }
            if let Some(token) = before.syncing {
                self.answers.push(Answer::Synced(token, Err(ErrorCode::FencedInstanceId)));
            }
        }
        if self.leader == old {
            self.leader = id.clone();
        }
        self.add(now_ms, id, join);
    }

    fn add(&mut self, now_ms: i64, id: String, join: Join) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        let member = Member {
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            heard_ms: now_ms,
            joining: None,
            syncing: None,
        };
        self.members.insert(id.clone(), member);
        if self.leader.is_empty() {
            self.leader.clone_from(&id);
        }
        self.update(now_ms, &id, join);
        if let State::Preparing { until_ms, more_until_ms: Some(most) } = &mut self.state {
            // Another one has come: more may.
            *until_ms = (now_ms + self.limits.initial_rebalance_delay_ms).min(*most);
        }
        self.rebalance(now_ms);
    }

    fn update(&mut self, now_ms: i64, id: &str, join: Join) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.protocols = join.protocols;
        member.heard_ms = now_ms;
        if let Some(before) = member.joining.replace(join.token) {
            // It has asked twice: the first answer has no reader.
            self.refuse(before, ErrorCode::RebalanceInProgress, id.to_string());
        }
    }

    /// Begins a rebalance, or ends the one that is under way if all are there.
    pub(super) fn rebalance(&mut self, now_ms: i64) {
        if let State::Completing { .. } = self.state {
            self.end_syncs(ErrorCode::RebalanceInProgress);
        }
        if !matches!(self.state, State::Preparing { .. }) {
            let longest = self.longest_rebalance_ms();
            let delay = self.limits.initial_rebalance_delay_ms;
            self.state = match self.state {
                State::Empty if delay > 0 => State::Preparing {
                    until_ms: now_ms + delay.min(longest),
                    more_until_ms: Some(now_ms + longest),
                },
                _ => State::Preparing { until_ms: now_ms + longest, more_until_ms: None },
            };
        }
        let State::Preparing { more_until_ms, .. } = self.state else { return };
        let all = self.members.values().all(|member| member.joining.is_some());
        if more_until_ms.is_none() && all && self.pending.is_empty() {
            self.complete(now_ms);
        }
    }

    fn longest_rebalance_ms(&self) -> i64 {
        self.members.values().map(|m| i64::from(m.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    /// A new generation of all who have joined; dynamic members that have not are out.
    pub(super) fn complete(&mut self, now_ms: i64) {
        self.members.retain(|_, m| m.joining.is_some() || m.instance_id.is_some());
        self.generation += 1;
        if self.members.is_empty() {
            self.leader.clear();
            self.protocol.clear();
            self.state = State::Empty;
            return;
        }
        if self.members.values().all(|member| member.joining.is_none()) {
            // Static members are waited for until their sessions end.
            let until_ms = now_ms + self.longest_rebalance_ms();
            self.state = State::Preparing { until_ms, more_until_ms: None };
            return;
        }
        let here = |m: &Member| m.joining.is_some();
        if !self.members.get(&self.leader).is_some_and(here) {
            let next = self.members.iter().find(|(_, m)| here(m)).map(|(id, _)| id.clone());
            self.leader = next.unwrap_or_default();
        }
        self.protocol = self.choose_protocol();
        self.state = State::Completing { until_ms: now_ms + self.longest_rebalance_ms() };
        let joined: Vec<String> = self.members.keys().cloned().collect();
        for id in joined {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.heard_ms = now_ms;
            member.assignment = Bytes::new();
            if let Some(token) = member.joining.take() {
                self.answer_join(token, &id);
            }
        }
    }

    /// Of the protocols that all have, the one that most prefer.
    fn choose_protocol(&self) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let all_have = |name: &str| self.members.values().all(|member| member.supports(name));
        for member in self.members.values() {
            let first = member.protocols.iter().find(|(name, _)| all_have(name));
            if let Some((name, _)) = first {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        most.map_or_else(String::new, |(name, _)| name.to_string())
    }

    fn answer_join(&mut self, token: Token, id: &str) {
        let told = |(id, member): (&String, &Member)| JoinedMember {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        };
        let members = match *id == self.leader {
            true => self.members.iter().map(told).collect(),
            false => Vec::new(),
        };
        let joined = Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.to_string(),
            members,
        };
        self.answers.push(Answer::Joined(token, Ok(joined)));
    }

    fn refuse(&mut self, token: Token, code: ErrorCode, member_id: String) {
        self.answers.push(Answer::Joined(token, Err(NotJoined { code, member_id })));
    }

    /// A member goes.
    ///
    /// # Errors
    /// There is no such member.
    pub fn leave(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let id = match (member_id, instance_id) {
            ("", Some(instance)) => self.member_of(instance).ok_or(ErrorCode::UnknownMemberId)?,
            (id, instance) => {
                self.check_instance(id, instance)?;
                id.to_string()
            }
        };
        if self.pending.remove(&id).is_none() && !self.members.contains_key(&id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.remove(now_ms, &id);
        Ok(())
    }

    /// Takes a member out; the others share what it had.
    pub(super) fn remove(&mut self, now_ms: i64, id: &str) {
        if let Some(member) = self.members.remove(id) {
            if let Some(token) = member.joining {
                self.refuse(token, ErrorCode::UnknownMemberId, id.to_string());
            }
            if let Some(token) = member.syncing {
                self.answers.push(Answer::Synced(token, Err(ErrorCode::UnknownMemberId)));
            }
        }
        if self.state != State::Empty {
            self.rebalance(now_ms);
        }
    }
}

impl Member {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}
