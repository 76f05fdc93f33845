//! Members that say nothing any more, and rebalances that take too long.

use super::{Group, State};
use crate::wire::ErrorCode;

impl Group {
    /// A member says that it is there; it is told whether it has to join again.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn heartbeat(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_member(member_id, instance_id, generation)?;
        self.members.hear(now_ms, member_id);
        match self.state {
            State::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// What is due at `now_ms` is done.
    pub fn tick(&mut self, now_ms: i64) {
        let forgotten = self.pending.expire(now_ms);
        // Who waits for an answer of ours is there.
        let silent = self.members.ids(|member| {
            let waits = member.joining.is_some() || member.syncing.is_some();
            !waits && member.heard_ms + i64::from(member.session_timeout_ms) <= now_ms
        });
        silent.iter().for_each(|id| self.remove(now_ms, id));
        match self.state {
            State::Preparing { until_ms, more_until_ms } if until_ms <= now_ms => {
                let all = self.members.all_have_joined();
                match more_until_ms {
                    // The time in which more could come is over; those who have begun may end.
                    Some(most) if most > now_ms && !(all && self.pending.is_empty()) => {
                        self.state = State::Preparing { until_ms: most, more_until_ms: None };
                    }
                    _ => self.complete(now_ms),
                }
            }
            State::Preparing { more_until_ms: None, .. } if forgotten => {
                self.rebalance(now_ms);
            }
            State::Completing { until_ms } if until_ms <= now_ms => self.drop_unsynced(now_ms),
            _ => {}
        }
    }

    /// Members that never asked for their assignment are out; if the leader is among them nobody can
    /// have any.
    fn drop_unsynced(&mut self, now_ms: i64) {
        let missing = self.members.ids(|member| member.syncing.is_none());
        missing.iter().for_each(|id| self.remove(now_ms, id));
        if missing.is_empty() {
            self.rebalance(now_ms);
        }
    }

    /// When [`Group::tick`] has something to do next; `None` as long as nobody is there.
    pub fn due_ms(&self) -> Option<i64> {
        let silent = self.members.iter().map(|(_, member)| member);
        let silent = silent.filter(|m| m.joining.is_none() && m.syncing.is_none());
        let silent = silent.map(|m| m.heard_ms + i64::from(m.session_timeout_ms));
        let state = match self.state {
            State::Preparing { until_ms, .. } | State::Completing { until_ms } => Some(until_ms),
            State::Empty | State::Stable => None,
        };
        silent.chain(self.pending.due_ms()).chain(state).min()
    }
}
