//! Who gets what: the leader's assignments on their way to the members.

use super::{Answer, Group, State, Sync, Synced, Token};
use crate::wire::ErrorCode;

impl Group {
    /// A member asks for its assignment; the leader brings those of all.
    pub fn sync(&mut self, now_ms: i64, sync: Sync) {
        if let Err(code) = self.may_sync(&sync) {
            self.answers.push(Answer::Synced(sync.token, Err(code)));
            return;
        }
        self.hear(now_ms, &sync.member_id);
        if self.state == State::Stable {
            return self.answer_sync(sync.token, &sync.member_id);
        }
        let is_leader = sync.member_id == self.leader;
        if let Some(member) = self.members.get_mut(&sync.member_id) {
            if let Some(before) = member.syncing.replace(sync.token) {
                // It has asked twice: the first answer has no reader.
                self.answers.push(Answer::Synced(before, Err(ErrorCode::RebalanceInProgress)));
            }
        }
        if is_leader {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.state = State::Stable;
            let ids: Vec<String> = self.members.keys().cloned().collect();
            for id in ids {
                let waiting = self.members.get_mut(&id).and_then(|member| {
                    let waiting = member.syncing.take();
                    if waiting.is_some() {
                        member.heard_ms = now_ms;
                    }
                    waiting
                });
                if let Some(token) = waiting {
                    self.answer_sync(token, &id);
                }
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
        let waiting = self.members.values_mut().filter_map(|member| member.syncing.take());
        let answers = waiting.map(|token| Answer::Synced(token, Err(code)));
        self.answers.extend(answers);
    }
}
