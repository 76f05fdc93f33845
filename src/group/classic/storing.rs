//! What of a group outlives the broker: the records that it writes, what waits for them to be durable,
//! and the group as it is made from its last one.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::roster::Member;
use super::{Answer, Group, GroupLimits, State, Token};
use crate::group::record::{GroupRecord, MemberRecord};
use crate::wire::ErrorCode;

/// A record that the group wants written; it wants to be told what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub number: u64,
    pub record: GroupRecord,
}

/// What waits for a record.
#[derive(Debug)]
pub(super) enum Storing {
    /// The leader's assignments: with them the generation is stable.
    Assignments { generation: i32, assignments: BTreeMap<String, Bytes> },
    /// A static member that has come back under a new id, without a rebalance.
    Replaced(Box<Replaced>),
    /// That the group is empty: nobody waits, and without the record its members of before are waited
    /// for once more after a restart.
    Empty,
}

#[derive(Debug)]
pub(super) struct Replaced {
    pub token: Token,
    pub id: String,
    pub old_id: String,
    pub before: Member,
    /// Who led the group before.
    pub leader: String,
    /// Whether the member can be told that it leads and has nothing to assign.
    pub may_skip: bool,
}

impl Group {
    /// A group from its record. Its members have a session's time to be heard of.
    pub fn restore(limits: GroupLimits, now_ms: i64, record: GroupRecord) -> Group {
        let mut group = Group::new(limits);
        group.generation = record.generation;
        group.protocol_type = record.protocol_type;
        group.protocol = record.protocol;
        group.leader = record.leader;
        group.since_ms = record.since_ms;
        for member in record.members {
            let (id, protocol) = (member.id.clone(), &group.protocol);
            group.members.insert(id, Member::restored(now_ms, member, protocol));
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        if group.members.len() > group.limits.max_size {
            // The limit was set down: those who come first stay.
            group.rebalance(now_ms);
        }
        group
    }

    /// Records since they were taken last.
    pub fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    pub(super) fn write(&mut self, record: GroupRecord, storing: Storing) {
        self.next_write += 1;
        self.storing.insert(self.next_write, storing);
        self.writes.push(Write { number: self.next_write, record });
    }

    /// The group as its record has it, with each member's assignment.
    pub(super) fn record(&self, assignment: impl Fn(&str, &Member) -> Bytes) -> GroupRecord {
        let member = |(id, member): (&String, &Member)| -> MemberRecord {
            member.record(id, &self.protocol, assignment(id, member))
        };
        GroupRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since_ms: self.since_ms,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// What came of a record.
    pub fn written(&mut self, now_ms: i64, number: u64, done: Result<(), ErrorCode>) {
        let Some(storing) = self.storing.remove(&number) else { return };
        let done = done.map_err(for_members);
        match storing {
            Storing::Assignments { generation, assignments } => {
                let waited_for = matches!(self.state, State::Completing { .. });
                // Else a rebalance has begun, and those who waited know.
                if waited_for && generation == self.generation {
                    match done {
                        Ok(()) => self.assign(now_ms, assignments),
                        Err(code) => {
                            self.end_syncs(code);
                            self.rebalance(now_ms);
                        }
                    }
                }
            }
            Storing::Replaced(replaced) => self.replaced(now_ms, *replaced, done),
            Storing::Empty => {}
        }
    }

    fn replaced(&mut self, now_ms: i64, replaced: Replaced, done: Result<(), ErrorCode>) {
        let Replaced { token, id, old_id, before, leader, may_skip } = replaced;
        if !self.members.contains(&id) {
            return self.refuse(token, ErrorCode::UnknownMemberId, String::new());
        }
        let Err(code) = done else {
            self.members.hear(now_ms, &id);
            return self.answer_replaced(token, &id, leader, may_skip);
        };
        // As if it had not come.
        let gone = self.members.remove(&id);
        let waiting = gone.map(|member| (member.joining, member.syncing));
        if let Some((joining, syncing)) = waiting {
            if let Some(token) = joining {
                self.refuse(token, code, String::new());
            }
            self.answers.extend(syncing.map(|token| Answer::Synced(token, Err(code))));
        }
        if self.leader == id {
            self.leader.clone_from(&old_id);
        }
        self.members.insert(old_id, Member { heard_ms: now_ms, ..before });
        self.refuse(token, code, String::new());
    }

    /// Answers everybody who waits: the group is served elsewhere, if at all.
    pub fn close(&mut self) {
        let code = ErrorCode::NotCoordinator;
        self.end_syncs(code);
        let waiting = self.members.ids(|member| member.joining.is_some());
        for id in waiting {
            let token = self.members.change(&id, |member| member.joining.take()).flatten();
            token.into_iter().for_each(|token| self.refuse(token, code, id.clone()));
        }
        for storing in std::mem::take(&mut self.storing).into_values() {
            if let Storing::Replaced(replaced) = storing {
                self.refuse(replaced.token, code, String::new());
            }
        }
    }
}

/// What members are told when a record could not be written, as in Kafka: what they can do about it is
/// to find the coordinator and try again.
fn for_members(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge => ErrorCode::UnknownServerError,
        code => code,
    }
}
