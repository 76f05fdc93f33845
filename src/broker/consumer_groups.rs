//! What is asked of groups of the consumer protocol, and who decides where a group can be of either
//! protocol.

use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;

use super::Shard;
use crate::clock::now_ms;
use crate::partition::consumer_group::{ConsumerCall, ConsumerGroupView, Heard, Refused};
use crate::partition::keyed_log::KeyedRecord;
use crate::partition::membership::{GroupView, Join, MemberCall, Sync};
use crate::partition::{CommitGroup, FetchGroupOffsets, FetchedOffsets, OfGroup, Outcome};
use crate::wire::ErrorCode;

impl Shard {
    pub(super) fn hear_consumer(
        self: &Rc<Self>,
        call: OfGroup<ConsumerCall>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "consumer heartbeat", async move {
            answer(Outcome::HearConsumer(shard.hear(call).await));
        });
    }

    async fn hear(self: &Rc<Self>, call: OfGroup<ConsumerCall>) -> Result<Heard, Refused> {
        let OfGroup { partition, group, what: ConsumerCall { beat, needs_id } } = call;
        self.coordinators.check(partition)?;
        if self.share_groups.contains(&group) {
            let message = format!("Group {group} is not a consumer group.");
            return Err(Refused::new(ErrorCode::GroupIdNotFound, message));
        }
        let image = self.image();
        self.consumers.hear(partition, &group, beat, needs_id, &image).await
    }

    /// Whether a request of the classic protocol is for a group of the consumer protocol.
    pub(super) fn is_of_consumers(&self, group: &str) -> bool {
        self.consumers.has_members(group)
    }

    pub(super) fn join_consumers(
        self: &Rc<Self>,
        call: OfGroup<Join>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "join consumers", async move {
            let image = shard.image();
            let joined = shard.consumers.classic_join(&call.group, call.what, &image).await;
            answer(Outcome::JoinGroup(joined));
        });
    }

    pub(super) fn sync_with_consumers(
        self: &Rc<Self>,
        call: OfGroup<Sync>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "sync with consumers", async move {
            answer(Outcome::SyncGroup(shard.consumers.classic_sync(&call.group, &call.what).await));
        });
    }

    pub(super) fn hear_among_consumers(
        self: &Rc<Self>,
        call: OfGroup<Vec<MemberCall>>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "hear among consumers", async move {
            let mut heard = Vec::with_capacity(call.what.len());
            for said in &call.what {
                heard.push(shard.consumers.classic_says(&call.group, said).await);
            }
            answer(Outcome::Members(heard));
        });
    }

    /// A group of the consumer protocol that nobody is in is given up for a classic one.
    ///
    /// # Errors
    /// Kafka's code.
    pub(super) fn give_up_consumer_group(
        &self,
        partition: i32,
        group: &str,
    ) -> Result<(), ErrorCode> {
        if self.share_groups.contains(group) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let tombstones = self.consumers.forget(group);
        if !tombstones.is_empty() {
            // In order before what the classic group writes.
            drop(self.coordinators.append(partition, &tombstones, now_ms())?);
        }
        Ok(())
    }

    pub(super) fn describe_consumers(
        &self,
        call: &OfGroup<()>,
    ) -> Result<ConsumerGroupView, ErrorCode> {
        self.coordinators.check(call.partition)?;
        self.consumers.view(&call.group).ok_or(ErrorCode::GroupIdNotFound)
    }

    /// Consumer groups, without their members.
    pub(super) fn list_consumer_groups(&self) -> impl Iterator<Item = GroupView> {
        self.consumers.states().into_iter().map(|(group, state)| GroupView {
            group,
            kind: "consumer",
            state,
            protocol_type: "consumer".to_string(),
            protocol: String::new(),
            members: Vec::new(),
        })
    }

    /// Forgets a group that nobody is in; what makes the log forget it.
    pub(super) fn forget_group(&self, group: &str) -> Vec<KeyedRecord> {
        let mut records = self.consumers.forget(group);
        records.extend(self.share_groups.forget(group));
        records.extend(self.members.forget(group));
        records
    }

    /// Whether offsets may be committed for a group by this member, or by nobody.
    pub(super) fn may_commit(&self, commit: &CommitGroup) -> Result<(), ErrorCode> {
        let CommitGroup { group, member_id, generation, by_epoch, .. } = commit;
        // Producers do not say in which version their consumers speak.
        let by_epoch = *by_epoch || commit.transaction.is_some();
        match self.consumers.may_commit(group, member_id, *generation, by_epoch) {
            Some(may) => may,
            None if *generation >= 0 && !self.members.contains(group) => {
                let is_there = self.coordinators.has_offsets(commit.partition, group);
                Err(match (is_there, commit.by_epoch) {
                    (true, _) => ErrorCode::UnknownMemberId,
                    (false, true) => ErrorCode::GroupIdNotFound,
                    (false, false) => ErrorCode::IllegalGeneration,
                })
            }
            None => {
                let instance = commit.instance_id.as_deref();
                self.members.may_commit(group, member_id, instance, *generation)
            }
        }
    }

    pub(super) fn fetch_offsets(
        &self,
        fetch: &FetchGroupOffsets,
    ) -> Result<FetchedOffsets, ErrorCode> {
        self.coordinators.check(fetch.partition)?;
        let member = fetch.member_id.as_deref();
        self.consumers.may_fetch(&fetch.group, member, fetch.member_epoch)?;
        self.coordinators.fetch(fetch)
    }
}
