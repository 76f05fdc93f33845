//! What is asked of groups of the consumer protocol, and who decides where a group can be of either
//! protocol.

use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;

use super::Shard;
use crate::clock::now_ms;
use crate::partition::consumer_group::{Beat, ConsumerCall, ConsumerGroupView, Heard, Refused};
use crate::partition::keyed_log::KeyedRecord;
use crate::partition::membership::GroupView;
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
        self.take_over_classic(partition, &group, &beat).await?;
        let image = self.image();
        self.consumers.hear(partition, &group, beat, needs_id, &image).await
    }

    /// A classic group that nobody is in becomes one of the consumer protocol.
    async fn take_over_classic(
        &self,
        partition: i32,
        group: &str,
        beat: &Beat,
    ) -> Result<(), Refused> {
        if !self.members.contains(group) {
            return Ok(());
        }
        if self.members.has_members(group) || !beat.joins() {
            let message = format!("Group {group} is not a consumer group.");
            return Err(Refused::new(ErrorCode::GroupIdNotFound, message));
        }
        let Some(tombstone) = self.members.forget(group) else { return Ok(()) };
        self.coordinators.append(partition, &[tombstone], now_ms())?.await?;
        Ok(())
    }

    /// A group of the consumer protocol that nobody is in is given up for a classic one.
    ///
    /// # Errors
    /// Somebody is in it.
    pub(super) fn give_up_consumer_group(
        &self,
        partition: i32,
        group: &str,
    ) -> Result<(), ErrorCode> {
        if self.consumers.has_members(group) {
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
            None if commit.by_epoch && *generation >= 0 && !self.members.contains(group) => {
                Err(ErrorCode::GroupIdNotFound)
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
