//! Groups that change their protocol while they have members (KIP-848).

use super::{Group, GroupLimits};
use crate::group::record::GroupRecord;
use crate::wire::ErrorCode;

impl Group {
    /// The group as another protocol can go on with it. `None`: its members are no consumers, or have
    /// not agreed upon anything yet.
    pub fn to_give_over(&self) -> Option<GroupRecord> {
        let is_ready = self.is_of_consumers() && !self.protocol.is_empty();
        is_ready.then(|| self.record(|_, member| member.assignment.clone()))
    }

    /// The group was given over: whoever waits has to join again.
    pub fn give_over(&mut self) {
        self.end_syncs(ErrorCode::RebalanceInProgress);
        for id in self.members.ids(|member| member.joining.is_some()) {
            let token = self.members.change(&id, |member| member.joining.take()).flatten();
            let code = ErrorCode::RebalanceInProgress;
            token.into_iter().for_each(|token| self.refuse(token, code, id.clone()));
        }
    }

    /// A group that goes on where one of another protocol was: its members have to join again.
    pub fn take_back(limits: GroupLimits, now_ms: i64, record: GroupRecord) -> Group {
        let mut group = Group::restore(limits, now_ms, record);
        group.rebalance(now_ms);
        group
    }
}
