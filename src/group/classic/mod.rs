//! A group of the classic protocol as a pure state machine: what members ask comes in with the time,
//! answers go out. `join` is about who is in, `sync` about who gets what, `timing` about those that
//! say nothing any more. The rules are those of Kafka's GroupCoordinator (KIP-62, KIP-345, KIP-394).

mod join;
mod sync;
mod timing;

#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;

use bytes::Bytes;

pub use crate::config::GroupLimits;
pub use crate::partition::membership::{
    GroupView, Join, Joined, JoinedMember, MemberView, NotJoined, Sync, Synced, Token,
};
use crate::wire::ErrorCode;

/// An answer to a request that came now or earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Joined(Token, Result<Joined, NotJoined>),
    Synced(Token, Result<Synced, ErrorCode>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    /// Members are waited for until then. `more_until`: a first rebalance is put off while others
    /// come, that long at most.
    Preparing {
        until_ms: i64,
        more_until_ms: Option<i64>,
    },
    /// The leader's assignments are waited for.
    Completing {
        until_ms: i64,
    },
    Stable,
}

#[derive(Debug, Clone)]
struct Member {
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    /// It was heard of last.
    heard_ms: i64,
    joining: Option<Token>,
    syncing: Option<Token>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Group {
    limits: GroupLimits,
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids that were given out and have not come again, and when they are forgotten.
    pending: BTreeMap<String, i64>,
    answers: Vec<Answer>,
}

impl Group {
    pub fn new(limits: GroupLimits) -> Group {
        Group {
            limits,
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Whether nobody is in it, nor about to be.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// The group as it is shown.
    pub fn view(&self, group: &str) -> GroupView {
        let stable = self.state == State::Stable;
        let member = |(id, member): (&String, &Member)| MemberView {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            // Before a protocol is agreed upon there is nothing to show, as in Kafka.
            metadata: if stable { member.metadata(&self.protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        };
        GroupView {
            group: group.to_string(),
            state: match self.state {
                State::Empty => "Empty",
                State::Preparing { .. } => "PreparingRebalance",
                State::Completing { .. } => "CompletingRebalance",
                State::Stable => "Stable",
            },
            protocol_type: self.protocol_type.clone(),
            protocol: if stable { self.protocol.clone() } else { String::new() },
            members: self.members.iter().map(member).collect(),
        }
    }

    /// Answers since they were taken last.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Whether a member may commit offsets: of this generation, or nobody's, in a group without
    /// members.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn may_commit(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return match self.members.is_empty() {
                true => Ok(()),
                false => Err(ErrorCode::UnknownMemberId),
            };
        }
        self.check_member(member_id, instance_id, generation)?;
        self.hear(now_ms, member_id);
        match self.state {
            State::Completing { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// The member is not known, has been replaced by another, or is of another generation.
    fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_instance(member_id, instance_id)?;
        if !self.members.contains_key(member_id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        match generation == self.generation {
            true => Ok(()),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// # Errors
    /// Another member has come with the same instance id since (KIP-345).
    fn check_instance(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        let Some(instance_id) = instance_id else { return Ok(()) };
        match self.member_of(instance_id) {
            Some(current) if current != member_id => Err(ErrorCode::FencedInstanceId),
            Some(_) => Ok(()),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn member_of(&self, instance_id: &str) -> Option<String> {
        let is_it = |member: &Member| member.instance_id.as_deref() == Some(instance_id);
        self.members.iter().find(|(_, member)| is_it(member)).map(|(id, _)| id.clone())
    }

    fn hear(&mut self, now_ms: i64, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard_ms = now_ms;
        }
    }
}
