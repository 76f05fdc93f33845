//! The partitions of `__consumer_offsets` that a shard owns: read when they are opened, appended to by
//! commits, asked by consumers that start.

use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::batch::transactional;

use super::loading::{Loading, SavedGroups};
use super::offsets::Offsets;
use super::record::{encode_key, encode_value};
use crate::partition::keyed_log::{append, append_batch, append_durably, pairs, KeyedRecord};
use crate::partition::keyed_partitions::{Keyed, KeyedPartitions};
use crate::partition::{
    CommitEntry, CommitGroup, Committed, FetchGroupOffsets, FetchedOffsets, GroupOffset,
    InTransaction, Partition, PartitionKey,
};
use crate::wire::ErrorCode;

type Loaded = Keyed<Offsets>;

/// Appends offsets that count once the transaction's marker comes.
fn commit_later(
    loaded: &Loaded,
    of: &InTransaction,
    records: &[KeyedRecord],
    now_ms: i64,
) -> Result<impl Future<Output = Result<(), ErrorCode>> + use<>, ErrorCode> {
    if !loaded.of.may_be_in_transaction(of.producer_id, of.producer_epoch) {
        return Err(of.refusal(ErrorCode::CoordinatorLoadInProgress));
    }
    let (id, epoch) = (of.producer_id, of.producer_epoch);
    let batch = transactional(&pairs(records), now_ms, id, epoch, false);
    let appended = append_batch(&loaded.of, &batch, now_ms)?;
    loaded.change(|offsets| {
        for (key, value) in records {
            // They were encoded here.
            let _ = offsets.apply(Some(id), key, value.as_deref());
        }
    });
    Ok(appended)
}

/// The partitions of the offsets topic on one shard.
#[derive(Default)]
pub struct Coordinators {
    partitions: KeyedPartitions<Offsets>,
}

impl Coordinators {
    /// Takes a partition that was opened; it is of use once the future is done. Before anybody may
    /// ask, `groups` is handed what the log has of groups.
    pub fn load(
        &self,
        key: PartitionKey,
        of: Rc<Partition>,
        groups: impl FnOnce(SavedGroups),
    ) -> impl Future<Output = ()> {
        let finish = |loading: Loading| {
            groups(loading.groups);
            loading.offsets
        };
        let load = self.partitions.load(key, of, Loading::apply, finish);
        async move { drop(load.await) }
    }

    /// Appends records of a group to its partition, now; the future is done when they are durable.
    ///
    /// # Errors
    /// Kafka's code, now or from the future.
    pub fn append(
        &self,
        index: i32,
        records: &[KeyedRecord],
        now_ms: i64,
    ) -> Result<impl Future<Output = Result<(), ErrorCode>> + use<>, ErrorCode> {
        append(&self.partitions.find(index)?.of, records, now_ms)
    }

    /// Forgets a partition that was deleted; whether it was one of ours.
    pub fn unload(&self, key: &PartitionKey) -> bool {
        self.partitions.unload(key)
    }

    /// Whether groups of this partition are served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check(&self, index: i32) -> Result<(), ErrorCode> {
        self.partitions.find(index).map(drop)
    }

    /// Commits offsets, durably.
    ///
    /// # Errors
    /// Kafka's code for all of them.
    pub async fn commit(&self, commit: CommitGroup) -> Result<(), ErrorCode> {
        let loaded = self.partitions.find(commit.partition)?;
        let CommitGroup { group, now_ms, transaction, entries, .. } = commit;
        let mut records = Vec::with_capacity(entries.len());
        let mut commits = Vec::with_capacity(entries.len());
        for CommitEntry { topic, partition, offset, leader_epoch, metadata } in entries {
            let committed = Committed { offset, leader_epoch, metadata, commit_ms: now_ms };
            let key = encode_key(&group, &topic, partition);
            records.push((key, Some(encode_value(&committed))));
            commits.push((topic, partition, committed));
        }
        if let Some(of) = transaction {
            return commit_later(&loaded, &of, &records, now_ms)?.await;
        }
        append_durably(&loaded.of, &records, now_ms).await?;
        loaded.change(|offsets| {
            for (topic, partition, committed) in commits {
                offsets.set(&group, &topic, partition, Some(committed));
            }
        });
        Ok(())
    }

    /// The partition, if its groups are served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn partition(&self, index: i32) -> Result<Rc<Partition>, ErrorCode> {
        Ok(Rc::clone(&self.partitions.find(index)?.of))
    }

    /// A producer's transaction has ended in a partition, which may be one of these.
    pub fn end_transaction(&self, key: &PartitionKey, producer_id: i64, commit: bool) {
        // What is still being read comes to its marker by itself.
        if let Some(loaded) = self.partitions.by_key(key) {
            loaded.change(|offsets| offsets.end_transaction(producer_id, commit));
        }
    }

    /// Numbers of the partitions that are served.
    pub fn partitions(&self) -> Vec<i32> {
        self.partitions.served().into_iter().map(|(index, _)| index).collect()
    }

    /// Whether a partition is still being read: what is known of groups is not whole.
    pub fn is_loading(&self) -> bool {
        self.partitions.is_loading()
    }

    /// Groups of a partition that have committed something.
    pub fn groups(&self, index: i32) -> Vec<String> {
        let Ok(loaded) = self.partitions.find(index) else { return Vec::new() };
        loaded.look(|offsets| offsets.groups().cloned().collect()).unwrap_or_default()
    }

    /// Forgets offsets of a group that have had their time, and, where nothing is left, what `rest`
    /// says. Nobody waits for it: what a crash brings back is forgotten once more.
    pub fn expire(
        &self,
        index: i32,
        group: &str,
        is_over: impl Fn(&GroupOffset) -> bool,
        rest: impl FnOnce() -> Vec<KeyedRecord>,
        now_ms: i64,
    ) {
        let Ok(loaded) = self.partitions.find(index) else { return };
        let mut records = Vec::new();
        loaded.change(|offsets| {
            for offset in offsets.of_group(group) {
                let (topic, partition) = (&offset.topic, offset.partition);
                if is_over(&offset) && !offsets.is_pending(group, topic, partition) {
                    records.push((encode_key(group, topic, partition), None));
                    offsets.set(group, topic, partition, None);
                }
            }
            if offsets.of_group(group).is_empty() && !offsets.is_any_pending(group) {
                records.extend(rest());
            }
        });
        if records.is_empty() {
            return;
        }
        if let Err(code) = append(&loaded.of, &records, now_ms).map(drop) {
            tracing::warn!(group, "offsets that have had their time stay in the log: {code:?}");
        }
    }

    /// Whether a group has committed something.
    pub fn has_offsets(&self, partition: i32, group: &str) -> bool {
        let Ok(loaded) = self.partitions.find(partition) else { return false };
        loaded.look(|offsets| !offsets.of_group(group).is_empty()) == Some(true)
    }

    /// Forgets what a group has committed: for these partitions, or all of it, and with it what
    /// `also` says.
    ///
    /// # Errors
    /// Kafka's code.
    pub async fn forget(
        &self,
        partition: i32,
        group: &str,
        only: Option<&[(String, i32)]>,
        also: Vec<KeyedRecord>,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let loaded = self.partitions.find(partition)?;
        let there = loaded.look(|offsets| offsets.of_group(group)).unwrap_or_default();
        let mut forgotten: Vec<(String, i32)> =
            there.into_iter().map(|offset| (offset.topic, offset.partition)).collect();
        forgotten.retain(|place| only.is_none_or(|only| only.contains(place)));
        let tombstone = |(topic, index): &(String, i32)| (encode_key(group, topic, *index), None);
        let records: Vec<KeyedRecord> = forgotten.iter().map(tombstone).chain(also).collect();
        if records.is_empty() {
            return Ok(());
        }
        append_durably(&loaded.of, &records, now_ms).await?;
        loaded.change(|offsets| {
            for (topic, index) in forgotten {
                offsets.set(group, &topic, index, None);
            }
        });
        Ok(())
    }

    /// Forgets what was committed for topics that were deleted: others may get their names.
    pub fn forget_topics(&self, topics: &[String], now_ms: i64) {
        for (_, loaded) in self.partitions.served() {
            let mut records = Vec::new();
            loaded.change(|offsets| {
                for (group, topic, partition) in offsets.of_topics(topics) {
                    records.push((encode_key(&group, &topic, partition), None));
                    offsets.set(&group, &topic, partition, None);
                }
            });
            if records.is_empty() {
                continue;
            }
            if let Err(code) = append(&loaded.of, &records, now_ms).map(drop) {
                tracing::warn!("offsets of deleted topics stay in the log: {code:?}");
            }
        }
    }

    /// What a group has committed; partitions without an offset are left out.
    ///
    /// # Errors
    /// Kafka's code for the group.
    pub fn fetch(&self, fetch: &FetchGroupOffsets) -> Result<FetchedOffsets, ErrorCode> {
        let loaded = self.partitions.find(fetch.partition)?;
        let found = loaded.look(|offsets| fetch_from(offsets, fetch));
        found.ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}

fn fetch_from(offsets: &Offsets, fetch: &FetchGroupOffsets) -> FetchedOffsets {
    let group = &fetch.group;
    let is_unstable = |topic: &str, partition| {
        fetch.require_stable && offsets.is_pending(group, topic, partition)
    };
    let mut found = FetchedOffsets::default();
    let Some(topics) = &fetch.topics else {
        for offset in offsets.of_group(group) {
            match is_unstable(&offset.topic, offset.partition) {
                true => found.unstable.push((offset.topic, offset.partition)),
                false => found.offsets.push(offset),
            }
        }
        return found;
    };
    for (topic, partitions) in topics {
        for &partition in partitions {
            if is_unstable(topic, partition) {
                found.unstable.push((topic.clone(), partition));
            } else if let Some(committed) = offsets.get(group, topic, partition) {
                let (topic, committed) = (topic.clone(), committed.clone());
                found.offsets.push(GroupOffset { topic, partition, committed });
            }
        }
    }
    found
}
