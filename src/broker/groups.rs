//! What is asked of groups that this shard coordinates, whoever asked.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::time::Duration;

use corelane_shards::runtime::{sleep, spawn_guarded, yield_now};

use super::Shard;
use crate::clock::now_ms;
use crate::group::{Reads, SavedGroups};
use crate::partition::membership::{GroupView, Join, MemberCall, MemberSays, NotJoined, Sync};
use crate::partition::{
    CommitGroup, GroupOffset, Listed, OfGroup, Outcome, Partition, PartitionKey,
};
use crate::wire::ErrorCode;

impl Shard {
    /// Reads a partition of the offsets topic that was opened; its groups are served then.
    pub(super) fn load_groups(self: &Rc<Self>, key: PartitionKey, partition: Rc<Partition>) {
        let shard = Rc::clone(self);
        let groups = move |saved: SavedGroups| {
            shard.members.load(key.index, saved.classic);
            shard.consumers.load(key.index, saved.consumer);
            shard.share_groups.load(key.index, saved.share);
        };
        let load = self.coordinators.load(key, partition, groups);
        spawn_guarded(&self.gate, "load groups", load);
    }

    /// A partition is not ours any more: if it was one of the offsets topic, its groups are not.
    pub(super) fn unload_groups(&self, key: &PartitionKey) {
        if self.coordinators.unload(key) {
            self.members.unload(key.index);
            self.consumers.unload(key.index);
            self.share_groups.unload(key.index);
        }
    }

    pub(super) fn join_group(
        self: &Rc<Self>,
        call: OfGroup<Join>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        if self.is_of_consumers(&call.group) {
            return self.join_consumers(call, answer);
        }
        let OfGroup { partition, group, what: join } = call;
        let checked = self.coordinators.check(partition);
        let checked = checked.and_then(|()| self.give_up_consumer_group(partition, &group));
        if let Err(code) = checked {
            let refused = NotJoined { code, member_id: join.member_id };
            return answer(Outcome::JoinGroup(Err(refused)));
        }
        let answer = Box::new(move |joined| answer(Outcome::JoinGroup(joined)));
        self.members.join(partition, &group, join, answer);
    }

    pub(super) fn sync_group(
        self: &Rc<Self>,
        call: OfGroup<Sync>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        if self.is_of_consumers(&call.group) {
            return self.sync_with_consumers(call, answer);
        }
        let OfGroup { partition, group, what: sync } = call;
        if let Err(code) = self.coordinators.check(partition) {
            return answer(Outcome::SyncGroup(Err(code)));
        }
        let answer = Box::new(move |synced| answer(Outcome::SyncGroup(synced)));
        self.members.sync(&group, sync, answer);
    }

    pub(super) fn hear_members(
        self: &Rc<Self>,
        call: OfGroup<Vec<MemberCall>>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        if self.is_of_consumers(&call.group) {
            return self.hear_among_consumers(call, answer);
        }
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
        answer(Outcome::Members(call.what.iter().map(hear).collect()));
    }

    pub(super) fn list_groups(&self) -> Listed<GroupView> {
        let mut views = self.members.views();
        for view in &mut views {
            view.members.clear();
        }
        views.extend(self.list_consumer_groups());
        views.extend(self.list_share_groups());
        let known: HashSet<String> = views.iter().map(|view| view.group.clone()).collect();
        for index in self.coordinators.partitions() {
            let groups = self.coordinators.groups(index).into_iter();
            views.extend(groups.filter(|group| !known.contains(group)).map(only_offsets));
        }
        Listed { found: views, is_loading: self.coordinators.is_loading() }
    }

    pub(super) fn describe_group(&self, call: &OfGroup<()>) -> Result<GroupView, ErrorCode> {
        self.coordinators.check(call.partition)?;
        let group = &call.group;
        match self.members.view(group) {
            Some(view) => Ok(view),
            // It is described by another request.
            None if self.consumers.contains(group) || self.share_groups.contains(group) => {
                Err(ErrorCode::GroupIdNotFound)
            }
            None if self.coordinators.has_offsets(call.partition, group) => {
                Ok(only_offsets(group.clone()))
            }
            None => Err(ErrorCode::GroupIdNotFound),
        }
    }

    /// Offsets of topics that members read are theirs to commit, and a group that has members stays.
    pub(super) fn delete_offsets(
        self: &Rc<Self>,
        call: OfGroup<Option<Vec<(String, i32)>>>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let OfGroup { partition, group, what: only } = call;
        let may = self.coordinators.check(partition).and_then(|()| match () {
            () if self.members.contains(&group) && only.is_some() => self.members.reads(&group),
            () if self.members.has_members(&group) => Err(ErrorCode::NonEmptyGroup),
            () if self.consumers.contains(&group) && only.is_some() => {
                Ok(Reads::These(self.consumers.reads(&group)))
            }
            () if self.consumers.has_members(&group) => Err(ErrorCode::NonEmptyGroup),
            () if self.share_groups.has_members(&group) => Err(ErrorCode::NonEmptyGroup),
            () if self.members.contains(&group)
                || self.consumers.contains(&group)
                || self.share_groups.contains(&group) =>
            {
                Ok(Reads::These(BTreeSet::new()))
            }
            () if self.coordinators.has_offsets(partition, &group) => {
                Ok(Reads::These(BTreeSet::new()))
            }
            () => Err(ErrorCode::GroupIdNotFound),
        });
        let reads = match may {
            Ok(reads) => reads,
            Err(code) => return answer(Outcome::DeleteOffsets(Err(code))),
        };
        let mut kept = Vec::new();
        let only: Option<Vec<(String, i32)>> = only.map(|mut only| {
            kept.extend(only.extract_if(.., |(topic, _)| reads.contains(topic)).map(|(t, _)| t));
            only
        });
        let forgotten = match only {
            None => self.forget_group(&group),
            Some(_) => Vec::new(),
        };
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "delete offsets", async move {
            let (only, now) = (only.as_deref(), now_ms());
            let forget = shard.coordinators.forget(partition, &group, only, forgotten, now);
            answer(Outcome::DeleteOffsets(forget.await.map(|()| kept)));
        });
    }

    /// Looks for offsets that have had their time, and for groups of which nothing is left, for ever.
    pub(super) async fn expire_offsets(&self) {
        let retention_ms = self.config().offsets_retention_ms;
        loop {
            sleep(Duration::from_millis(self.config().offsets_retention_check_ms)).await;
            for index in self.coordinators.partitions() {
                let mut groups: BTreeSet<String> =
                    self.coordinators.groups(index).into_iter().collect();
                groups.extend(self.members.of_partition(index));
                groups.extend(self.consumers.of_partition(index));
                for group in groups {
                    let now = now_ms();
                    let expiry = self.consumers.expiry(&group);
                    let expiry = expiry.unwrap_or_else(|| self.members.expiry(&group));
                    let is_over = |offset: &GroupOffset| {
                        let commit_ms = offset.committed.commit_ms;
                        expiry.is_over(&offset.topic, commit_ms, now, retention_ms)
                    };
                    let rest = || self.forget_group(&group);
                    self.coordinators.expire(index, &group, is_over, rest, now);
                    yield_now().await;
                }
            }
        }
    }

    pub(super) fn commit_offsets(
        self: &Rc<Self>,
        commit: CommitGroup,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let (member, instance) = (&commit.member_id, commit.instance_id.as_deref());
        // Older producers do not say for which member they commit.
        let nobody = commit.generation < 0 && member.is_empty() && instance.is_none();
        let may = self.coordinators.check(commit.partition).and_then(|()| {
            if commit.transaction.is_some() && nobody {
                return Ok(());
            }
            self.may_commit(&commit)
        });
        if let Err(code) = may {
            return answer(Outcome::CommitOffsets(Err(code)));
        }
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "commit", async move {
            let mut commit = commit;
            if let Some(of) = &mut commit.transaction {
                shard.verify_offsets(of, commit.partition).await;
            }
            answer(Outcome::CommitOffsets(shard.coordinators.commit(commit).await));
        });
    }
}

/// A group without members, of which there are only offsets.
fn only_offsets(group: String) -> GroupView {
    GroupView {
        group,
        kind: "classic",
        state: "Empty",
        protocol_type: String::new(),
        protocol: String::new(),
        members: Vec::new(),
    }
}
