//! A group of the classic protocol as a pure state machine: what members ask comes in with the time,
//! answers go out, and records that have to be durable before other answers do. `join` is about who is
//! in, `rebalance` about the next generation, `sync` about who gets what in it, `storing` about what
//! outlives the broker, `timing` about those that say nothing any more, `subscription` about what members read; `roster` and `pending` hold the
//! members. The rules are those of Kafka's GroupCoordinator (KIP-62, KIP-345, KIP-394, KIP-814).

mod join;
mod migration;
mod pending;
mod rebalance;
mod roster;
mod storing;
mod subscription;
mod sync;
mod timing;

#[cfg(test)]
mod many_members;
#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::pending::Pending;
pub use self::roster::protocol_bytes;
use self::roster::{Member, Roster};
use self::storing::Storing;
pub use self::storing::Write;
pub use crate::config::GroupLimits;
pub use crate::partition::membership::{
    GroupView, Join, Joined, JoinedMember, MemberView, NotJoined, Sync, Synced, Token,
};
use crate::wire::ErrorCode;

/// Bytes that one member may bring. Kafka has no such bound, but a record that holds a whole group, of
/// 1 MB unless its topic is configured otherwise.
pub const MEMBER_BYTES: usize = 1 << 20;
/// Bytes that a group may take: 5,000 members with 3 kB each. Its record is no larger.
pub const GROUP_BYTES: usize = 16 << 20;
/// Protocols that one member may know; clients have up to four.
const MOST_PROTOCOLS: usize = 100;
/// About what a group takes beside its members.
const GROUP_OVERHEAD: usize = 500;

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

/// See the module's head.
#[derive(Debug)]
pub struct Group {
    limits: GroupLimits,
    state: State,
    /// Since when it is in its state; not known of a group from an old record.
    since_ms: Option<i64>,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: Roster,
    pending: Pending,
    answers: Vec<Answer>,
    writes: Vec<Write>,
    /// Records that are not known to be durable.
    storing: BTreeMap<u64, Storing>,
    next_write: u64,
}

impl Group {
    pub fn new(limits: GroupLimits) -> Group {
        Group {
            limits,
            state: State::Empty,
            since_ms: None,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: Roster::default(),
            pending: Pending::default(),
            answers: Vec::new(),
            writes: Vec::new(),
            storing: BTreeMap::new(),
            next_write: 0,
        }
    }

    /// Whether nobody is in it, nor about to be.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether somebody is in it.
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether nobody is in it, nor ever was: there is no record of it.
    pub fn is_nothing(&self) -> bool {
        self.is_empty() && self.generation == 0 && self.state == State::Empty
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.members.bytes() + self.pending.bytes() + GROUP_OVERHEAD
    }

    /// Bytes that a member joined with.
    pub fn brought_by(&self, member_id: &str) -> Option<usize> {
        self.members.get(member_id).map(|member| protocol_bytes(&member.protocols))
    }

    fn turn(&mut self, now_ms: i64, state: State) {
        self.state = state;
        self.since_ms = Some(now_ms);
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
            kind: "classic",
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
        self.members.hear(now_ms, member_id);
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
        if !self.members.contains(member_id) {
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
        match self.members.of_instance(instance_id) {
            Some(current) if current != member_id => Err(ErrorCode::FencedInstanceId),
            Some(_) => Ok(()),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }
}
