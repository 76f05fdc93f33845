//! Who is in share groups (KIP-932), as their coordinator is asked, and states of theirs that this shard
//! keeps.

use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;
use futures_util::future::join_all;

use super::Shard;
use crate::clock::now_ms;
use crate::partition::consumer_group::{ConsumerGroupView, Heard, Refused};
use crate::partition::membership::GroupView;
use crate::partition::share::{OfShareState, SetShares, ShareKey, StateCall};
use crate::partition::share_group::ShareBeat;
use crate::partition::{Listed, OfGroup, Outcome, Partition, PartitionKey};
use crate::wire::ErrorCode;

impl Shard {
    pub(super) fn hear_share_member(
        self: &Rc<Self>,
        call: OfGroup<ShareBeat>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "share heartbeat", async move {
            answer(Outcome::HearShareMember(shard.share_heartbeat(call).await));
        });
    }

    async fn share_heartbeat(&self, call: OfGroup<ShareBeat>) -> Result<Heard, Refused> {
        let OfGroup { partition, group, what: beat } = call;
        self.coordinators.check(partition)?;
        if self.members.contains(&group) || self.consumers.contains(&group) {
            let message = format!("Group {group} is not a share group.");
            return Err(Refused::new(ErrorCode::GroupIdNotFound, message));
        }
        self.share_groups.hear(partition, &group, beat, &self.image()).await
    }

    pub(super) fn describe_share_group(
        &self,
        call: &OfGroup<()>,
    ) -> Result<ConsumerGroupView, ErrorCode> {
        self.coordinators.check(call.partition)?;
        self.share_groups.view(&call.group).ok_or(ErrorCode::GroupIdNotFound)
    }

    /// Share groups, without their members.
    pub(super) fn list_share_groups(&self) -> impl Iterator<Item = GroupView> {
        self.share_groups.states().into_iter().map(|(group, state)| GroupView {
            group,
            kind: "share",
            state,
            protocol_type: "share".to_string(),
            protocol: String::new(),
            members: Vec::new(),
        })
    }

    /// Reads a partition of the states' topic that was opened.
    pub(super) fn load_share_states(self: &Rc<Self>, key: PartitionKey, of: Rc<Partition>) {
        let shard = Rc::clone(self);
        let load = self.share_states.load(key, of);
        spawn_guarded(&self.gate, "load share states", async move {
            load.await;
            shard.forget_share_states();
        });
    }

    /// Forgets states of topics that are gone.
    pub(super) fn forget_share_states(&self) {
        let image = self.image();
        let gone = |key: &ShareKey| !image.by_id.contains_key(&key.topic);
        drop(self.share_states.forget(&gone, now_ms()));
    }

    pub(super) fn list_shares(&self, group: &str) -> Listed<(ShareKey, i64)> {
        let states = &self.share_states;
        Listed { found: states.of_group(group), is_loading: states.is_loading() }
    }

    pub(super) fn set_shares(
        self: &Rc<Self>,
        set: SetShares,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "set shares", async move {
            let SetShares { group, entries } = set;
            let each = entries.into_iter().map(|(key, start)| shard.set_share(&group, key, start));
            answer(Outcome::SetShares(join_all(each).await));
        });
    }

    /// A group is elsewhere in a partition of ours, durably; without an offset, it has done nothing there.
    async fn set_share(
        self: &Rc<Self>,
        group: &str,
        key: PartitionKey,
        start: Option<i64>,
    ) -> Result<(), ErrorCode> {
        let Some(start) = start else { return self.forget_share(group, key).await };
        let held = self.open_share(group, key).await?;
        let log = Rc::clone(&self.table.find(&key)?.log);
        let version = held.on(|inflight| {
            inflight.begin_at(start, (log.log_start(), log.safe_end()));
            inflight.version()
        })?;
        self.keep_share(&held);
        held.durable(version).await
    }

    async fn forget_share(
        self: &Rc<Self>,
        group: &str,
        key: PartitionKey,
    ) -> Result<(), ErrorCode> {
        if let Some(shared) = self.shares.get(group, key) {
            self.shares.remove_if(|other| std::ptr::eq(other, &*shared));
            // What is being written would come after the end of it.
            shared.quiet().await;
        }
        let key = ShareKey { group: group.to_string(), topic: key.topic, index: key.index };
        self.share_state(key, StateCall::Write(None)).await.map(drop)
    }

    /// A group was deleted: one of its name begins anew.
    pub(super) fn forget_shares(
        self: &Rc<Self>,
        group: &str,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        self.shares.remove_if(|shared| shared.key.group == group);
        let durable = self.share_states.forget(&|key| key.group == group, now_ms());
        spawn_guarded(&self.gate, "forget shares", async move {
            let failed = join_all(durable).await.into_iter().find_map(Result::err);
            answer(Outcome::ForgetShares(failed.map_or(Ok(()), Err)));
        });
    }

    pub(super) fn share_state_call(
        self: &Rc<Self>,
        call: OfShareState,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "share state", async move {
            answer(Outcome::ShareState(shard.share_states.call(call, now_ms()).await));
        });
    }
}
