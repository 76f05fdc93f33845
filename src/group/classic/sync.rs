//! Who gets what: the leader's assignments on their way to the log, and from there to the members.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::storing::Storing;
use super::{Answer, Group, State, Sync, Synced, Token, GROUP_BYTES};
use crate::wire::ErrorCode;

impl Group {
    /// A member asks for its assignment; the leader brings those of all.
    pub fn sync(&mut self, now_ms: i64, sync: Sync) {
        if let Err(code) = self.may_sync(&sync) {
            self.answers.push(Answer::Synced(sync.token, Err(code)));
            return;
        }
        self.members.hear(now_ms, &sync.member_id);
        if self.state == State::Stable {
            return self.answer_sync(sync.token, &sync.member_id);
        }
        let before = self.members.change(&sync.member_id, |m| m.syncing.replace(sync.token));
        if let Some(before) = before.flatten() {
            // It has asked twice: the first answer has no reader.
            self.answers.push(Answer::Synced(before, Err(ErrorCode::RebalanceInProgress)));
        }
        if sync.member_id == self.leader && !self.is_storing_assignments() {
            self.store(now_ms, sync.assignments);
        }
    }

    fn is_storing_assignments(&self) -> bool {
        let of_this = |storing: &Storing| match storing {
            Storing::Assignments { generation, .. } => *generation == self.generation,
            _ => false,
        };
        self.storing.values().any(of_this)
    }

    /// Members learn of their assignments when the next coordinator would, too.
    fn store(&mut self, now_ms: i64, brought: Vec<(String, Bytes)>) {
        let mut assignments: BTreeMap<String, Bytes> = brought.into_iter().collect();
        assignments.retain(|id, _| self.members.contains(id));
        let bytes: usize = assignments.values().map(Bytes::len).sum();
        if self.members.bytes() + bytes > GROUP_BYTES {
            // As Kafka, where the record is larger than its topic allows.
            self.end_syncs(ErrorCode::UnknownServerError);
            return self.rebalance(now_ms);
        }
        let record = self.record(|id, _| assignments.get(id).cloned().unwrap_or_default());
        let generation = self.generation;
        self.write(record, Storing::Assignments { generation, assignments });
    }

    /// The generation is stable; whoever waits is told what it gets.
    pub(super) fn assign(&mut self, now_ms: i64, mut assignments: BTreeMap<String, Bytes>) {
        self.turn(now_ms, State::Stable);
        for id in self.members.ids(|_| true) {
            let assignment = assignments.remove(&id).unwrap_or_default();
            let waiting = self.members.change(&id, |member| {
                member.assignment = assignment;
                if member.syncing.is_some() {
                    member.heard_ms = now_ms;
                }
                member.syncing.take()
            });
            if let Some(token) = waiting.flatten() {
                self.answer_sync(token, &id);
            }
        }
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        self.check_member(&sync.member_id, sync.instance_id.as_deref(), sync.generation)?;
        let differs = |said: &Option<String>, is: &str| said.as_deref().is_some_and(|s| s != is);
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            State::Completing { .. } | State::Stable => Ok(()),
        }
    }

    fn answer_sync(&mut self, token: Token, id: &str) {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        let synced = Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        };
        self.answers.push(Answer::Synced(token, Ok(synced)));
    }

    pub(super) fn end_syncs(&mut self, code: ErrorCode) {
        let waiting = self.members.take_syncing();
        self.answers.extend(waiting.into_iter().map(|token| Answer::Synced(token, Err(code))));
    }
}
