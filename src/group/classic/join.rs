//! Who is in a group: joining, leaving, and what a join is refused for.

use super::roster::{protocol_bytes, Member};
use super::storing::{Replaced, Storing};
use super::{
    Answer, Group, Join, Joined, JoinedMember, NotJoined, State, Token, GROUP_BYTES, MEMBER_BYTES,
    MOST_PROTOCOLS,
};
use crate::wire::ErrorCode;

impl Group {
    /// A consumer wants to be in. The answer may come much later.
    pub fn join(&mut self, now_ms: i64, mut join: Join) {
        if let Err(code) = self.admit(&join) {
            self.refuse(join.token, code, join.member_id);
            return;
        }
        if self.is_full_for(&join) {
            return self.turn_away(now_ms, join);
        }
        drop_repeated(&mut join);
        if join.member_id.is_empty() {
            return self.join_new(now_ms, join);
        }
        if self.pending.remove(&join.member_id) {
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
            self.members.hear(now_ms, &id);
            self.answer_join(join.token, &id);
        }
    }

    fn admit(&self, join: &Join) -> Result<(), ErrorCode> {
        let limits = &self.limits;
        let allowed = limits.min_session_timeout_ms..=limits.max_session_timeout_ms;
        if !allowed.contains(&join.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if !join.member_id.is_empty() {
            self.check_instance(&join.member_id, join.instance_id.as_deref())?;
            let known = self.members.contains(&join.member_id);
            if !known && !self.pending.contains(&join.member_id) {
                return Err(ErrorCode::UnknownMemberId);
            }
        }
        let brings = protocol_bytes(&join.protocols);
        if join.protocols.len() > MOST_PROTOCOLS || brings > MEMBER_BYTES {
            return Err(ErrorCode::MessageTooLarge);
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
        let myself = Some(&*join.member_id).filter(|id| self.members.contains(id));
        join.protocols.iter().any(|(name, _)| self.members.all_support(name, myself))
    }

    /// Whether the group is as large as it may be. While a rebalance is under way those count that have
    /// joined: of a group that is too large the last are turned away.
    fn is_full_for(&self, join: &Join) -> bool {
        let instance = join.instance_id.as_ref().and_then(|id| self.members.of_instance(id));
        let known = instance.or(Some(&join.member_id)).and_then(|id| self.members.get(id));
        let brings = protocol_bytes(&join.protocols);
        if self.members.bytes() + brings > GROUP_BYTES && !self.members.is_empty() {
            let had = known.map_or(0, |member| protocol_bytes(&member.protocols));
            if brings > had {
                return true;
            }
        }
        match self.state {
            State::Empty => false,
            State::Preparing { .. } => {
                let waits = known.is_some_and(|member| member.joining.is_some());
                !waits && self.members.joining() >= self.limits.max_size
            }
            State::Completing { .. } | State::Stable => {
                known.is_none() && self.members.len() >= self.limits.max_size
            }
        }
    }

    fn turn_away(&mut self, now_ms: i64, join: Join) {
        self.refuse(join.token, ErrorCode::GroupMaxSizeReached, String::new());
        let was_in = self.members.contains(&join.member_id);
        if self.pending.remove(&join.member_id) || was_in {
            self.remove(now_ms, &join.member_id);
        }
    }

    fn join_new(&mut self, now_ms: i64, join: Join) {
        let id = join.fresh_id.clone();
        let old = join.instance_id.as_ref().and_then(|id| self.members.of_instance(id)).cloned();
        if let Some(old) = old {
            self.replace(now_ms, old, id, join);
        } else if join.must_come_again && join.instance_id.is_none() {
            self.pending.insert(id.clone(), now_ms + i64::from(join.session_timeout_ms));
            self.refuse(join.token, ErrorCode::MemberIdRequired, id);
        } else {
            self.add(now_ms, id, join);
        }
    }

    /// A static member has come back: whoever was it before is fenced. In a stable group it goes on
    /// with what it had, once the log has its new id.
    fn replace(&mut self, now_ms: i64, old_id: String, id: String, join: Join) {
        let Some(mut before) = self.members.remove(&old_id) else { return };
        if let Some(token) = before.joining.take() {
            self.refuse(token, ErrorCode::FencedInstanceId, old_id.clone());
        }
        if let Some(token) = before.syncing.take() {
            self.answers.push(Answer::Synced(token, Err(ErrorCode::FencedInstanceId)));
        }
        let leader = self.leader.clone();
        if leader == old_id {
            self.leader.clone_from(&id);
        }
        if self.state != State::Stable {
            return self.add(now_ms, id, join);
        }
        let mut member = Member::new(now_ms, &join);
        member.protocols.clone_from(&join.protocols);
        member.assignment = before.assignment.clone();
        self.members.insert(id.clone(), member);
        if self.choose_protocol() != self.protocol {
            self.members.change(&id, |member| member.joining = Some(join.token));
            return self.rebalance(now_ms);
        }
        let (token, may_skip) = (join.token, join.may_skip_assignment);
        let replaced = Replaced { token, id, old_id, before, leader, may_skip };
        let record = self.record(|_, member| member.assignment.clone());
        self.write(record, Storing::Replaced(Box::new(replaced)));
    }

    fn add(&mut self, now_ms: i64, id: String, join: Join) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        self.members.insert(id.clone(), Member::new(now_ms, &join));
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
        let token = join.token;
        let before = self.members.change(id, |member| {
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.protocols = join.protocols;
            member.heard_ms = now_ms;
            member.joining.replace(token)
        });
        if let Some(before) = before.flatten() {
            // It has asked twice: the first answer has no reader.
            self.refuse(before, ErrorCode::RebalanceInProgress, id.to_string());
        }
    }

    fn joined(&self, id: &str, leader: String, members: Vec<JoinedMember>) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member_id: id.to_string(),
            members,
            skip_assignment: false,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let told = |(id, member): (&String, &Member)| JoinedMember {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        };
        self.members.iter().map(told).collect()
    }

    pub(super) fn answer_join(&mut self, token: Token, id: &str) {
        let members = if *id == self.leader { self.joined_members() } else { Vec::new() };
        let joined = self.joined(id, self.leader.clone(), members);
        self.answers.push(Answer::Joined(token, Ok(joined)));
    }

    /// A static member that leads is told so only if it understands that it has nothing to assign
    /// (KIP-814); else it takes the one before it for the leader.
    pub(super) fn answer_replaced(
        &mut self,
        token: Token,
        id: &str,
        leader: String,
        may_skip: bool,
    ) {
        let leads = may_skip && *id == self.leader;
        let joined = match leads {
            true => {
                let joined = self.joined(id, self.leader.clone(), self.joined_members());
                Joined { skip_assignment: true, ..joined }
            }
            false if may_skip => self.joined(id, self.leader.clone(), Vec::new()),
            false => self.joined(id, leader, Vec::new()),
        };
        self.answers.push(Answer::Joined(token, Ok(joined)));
    }

    pub(super) fn refuse(&mut self, token: Token, code: ErrorCode, member_id: String) {
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
            ("", Some(instance)) => {
                self.members.of_instance(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?
            }
            (id, instance) => {
                self.check_instance(id, instance)?;
                id.to_string()
            }
        };
        if !self.pending.remove(&id) && !self.members.contains(&id) {
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

/// A name that comes twice counts where it comes first.
fn drop_repeated(join: &mut Join) {
    let mut kept = Vec::with_capacity(join.protocols.len());
    for protocol in join.protocols.drain(..) {
        if !kept.iter().any(|(name, _)| *name == protocol.0) {
            kept.push(protocol);
        }
    }
    join.protocols = kept;
}
