//! What is asked of groups that this shard coordinates, whoever asked.

use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;

use super::Shard;
use crate::partition::membership::{Join, MemberCall, MemberSays, NotJoined, Sync};
use crate::partition::{CommitGroup, OfGroup, Outcome};
use crate::wire::ErrorCode;

impl Shard {
    pub(super) fn join_group(&self, call: OfGroup<Join>, answer: impl FnOnce(Outcome) + 'static) {
        let OfGroup { partition, group, what: join } = call;
        if let Err(code) = self.coordinators.check(partition) {
            let refused = NotJoined { code, member_id: join.member_id };
            return answer(Outcome::JoinGroup(Err(refused)));
        }
        let answer = Box::new(move |joined| answer(Outcome::JoinGroup(joined)));
        self.members.join(group, join, answer);
    }

    pub(super) fn sync_group(&self, call: OfGroup<Sync>, answer: impl FnOnce(Outcome) + 'static) {
        let OfGroup { partition, group, what: sync } = call;
        if let Err(code) = self.coordinators.check(partition) {
            return answer(Outcome::SyncGroup(Err(code)));
        }
        let answer = Box::new(move |synced| answer(Outcome::SyncGroup(synced)));
        self.members.sync(&group, sync, answer);
    }

    pub(super) fn hear_members(
        &self,
        call: &OfGroup<Vec<MemberCall>>,
    ) -> Vec<Result<(), ErrorCode>> {
        let checked = self.coordinators.check(call.partition);
        let hear = |said: &MemberCall| {
            checked?;
            let (member, instance) = (&said.member_id, said.instance_id.as_deref());
            match said.says {
                MemberSays::Here { generation } => {
                    self.members.heartbeat(&call.group, member, instance, generation)
                }
                MemberSays::Leaving => self.members.leave(&call.group, member, instance),
            }
        };
        call.what.iter().map(hear).collect()
    }

    pub(super) fn commit_offsets(
        self: &Rc<Self>,
        commit: CommitGroup,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let may = self.coordinators.check(commit.partition).and_then(|()| {
            let (member, instance) = (&commit.member_id, commit.instance_id.as_deref());
            self.members.may_commit(&commit.group, member, instance, commit.generation)
        });
        if let Err(code) = may {
            return answer(Outcome::CommitOffsets(Err(code)));
        }
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "commit", async move {
            answer(Outcome::CommitOffsets(shard.coordinators.commit(commit).await));
        });
    }
}
