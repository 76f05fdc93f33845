//! The partitions of `__consumer_offsets` that a shard owns: read when they are opened, appended to by
//! commits, asked by consumers that start.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use corelane_shards::log::batch::{build, undone_records, BatchHeader, Codec};
use corelane_shards::log::{AppendWaiter, Durability, Log, LogError};
use corelane_shards::runtime::spawn_blocking;
use tokio::sync::oneshot;

use super::offsets::Offsets;
use super::record::{encode_key, encode_value};
use crate::partition::{
    error_code, CommitEntry, CommitGroup, Committed, FetchGroupOffsets, GroupOffset, Partition,
    PartitionKey,
};
use crate::wire::ErrorCode;

/// Bytes read at once while a partition is loaded.
const LOAD_BYTES: usize = 1 << 20;

/// One partition's state: `None` while it is read.
struct Loaded {
    of: Rc<Partition>,
    offsets: RefCell<Option<Result<Offsets, ErrorCode>>>,
}

/// The partitions of the offsets topic on one shard.
#[derive(Default)]
pub struct Coordinators {
    partitions: RefCell<HashMap<i32, (PartitionKey, Rc<Loaded>)>>,
}

impl Coordinators {
    /// Takes a partition that was opened; it is of use once the future is done.
    pub fn load(
        &self,
        key: PartitionKey,
        of: Rc<Partition>,
    ) -> impl std::future::Future<Output = ()> {
        let loaded = Rc::new(Loaded { of, offsets: RefCell::new(None) });
        self.partitions.borrow_mut().insert(key.index, (key, Rc::clone(&loaded)));
        async move {
            let log = Rc::clone(&loaded.of.log);
            let read = read_all(&log).await.map_err(|error| {
                tracing::error!(log = %log.dir().display(), "groups are not served: {error}");
                ErrorCode::CoordinatorNotAvailable
            });
            *loaded.offsets.borrow_mut() = Some(read);
        }
    }

    /// Forgets a partition that was deleted.
    pub fn unload(&self, key: &PartitionKey) {
        self.partitions.borrow_mut().retain(|_, (of, _)| of != key);
    }

    /// Whether groups of this partition are served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn check(&self, index: i32) -> Result<(), ErrorCode> {
        self.find(index).map(drop)
    }

    fn find(&self, index: i32) -> Result<Rc<Loaded>, ErrorCode> {
        let found = self.partitions.borrow().get(&index).map(|(_, loaded)| Rc::clone(loaded));
        let found = found.ok_or(ErrorCode::NotCoordinator)?;
        match &*found.offsets.borrow() {
            None => return Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Err(code)) => return Err(*code),
            Some(Ok(_)) => {}
        }
        Ok(found)
    }

    /// Commits offsets, durably.
    ///
    /// # Errors
    /// Kafka's code for all of them.
    pub async fn commit(&self, commit: CommitGroup) -> Result<(), ErrorCode> {
        let loaded = self.find(commit.partition)?;
        let CommitGroup { group, now_ms, entries, .. } = commit;
        let mut records = Vec::with_capacity(entries.len());
        let mut commits = Vec::with_capacity(entries.len());
        for CommitEntry { topic, partition, offset, leader_epoch, metadata } in entries {
            let committed = Committed { offset, leader_epoch, metadata, commit_ms: now_ms };
            let key = encode_key(&group, &topic, partition);
            records.push((key, Some(encode_value(&committed))));
            commits.push((topic, partition, committed));
        }
        append_durably(&loaded.of, &records, now_ms).await?;
        if let Some(Ok(offsets)) = &mut *loaded.offsets.borrow_mut() {
            for (topic, partition, committed) in commits {
                offsets.set(&group, &topic, partition, Some(committed));
            }
        }
        Ok(())
    }

    /// Groups that have committed something, of all partitions that are loaded.
    pub fn groups(&self) -> Vec<String> {
        let mut groups = Vec::new();
        for (_, loaded) in self.partitions.borrow().values() {
            if let Some(Ok(offsets)) = &*loaded.offsets.borrow() {
                groups.extend(offsets.groups().cloned());
            }
        }
        groups
    }

    /// Whether a group has committed something.
    pub fn has_offsets(&self, partition: i32, group: &str) -> bool {
        let Ok(loaded) = self.find(partition) else { return false };
        let offsets = loaded.offsets.borrow();
        matches!(&*offsets, Some(Ok(offsets)) if !offsets.of_group(group).is_empty())
    }

    /// Forgets what a group has committed: for these partitions, or all of it.
    ///
    /// # Errors
    /// Kafka's code.
    pub async fn forget(
        &self,
        partition: i32,
        group: &str,
        only: Option<&[(String, i32)]>,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let loaded = self.find(partition)?;
        let there = match &*loaded.offsets.borrow() {
            Some(Ok(offsets)) => offsets.of_group(group),
            _ => Vec::new(),
        };
        let mut forgotten: Vec<(String, i32)> =
            there.into_iter().map(|offset| (offset.topic, offset.partition)).collect();
        forgotten.retain(|place| only.is_none_or(|only| only.contains(place)));
        if forgotten.is_empty() {
            return Ok(());
        }
        let tombstone = |(topic, index): &(String, i32)| (encode_key(group, topic, *index), None);
        let records: Vec<_> = forgotten.iter().map(tombstone).collect();
        append_durably(&loaded.of, &records, now_ms).await?;
        if let Some(Ok(offsets)) = &mut *loaded.offsets.borrow_mut() {
            for (topic, index) in forgotten {
                offsets.set(group, &topic, index, None);
            }
        }
        Ok(())
    }

    /// Forgets what was committed for topics that were deleted: others may get their names.
    pub fn forget_topics(&self, topics: &[String], now_ms: i64) {
        for (_, loaded) in self.partitions.borrow().values() {
            let Some(Ok(offsets)) = &mut *loaded.offsets.borrow_mut() else { continue };
            let mut records = Vec::new();
            for (group, topic, partition) in offsets.of_topics(topics) {
                records.push((encode_key(&group, &topic, partition), None));
                offsets.set(&group, &topic, partition, None);
            }
            if records.is_empty() {
                continue;
            }
            if let Err(code) = append(&loaded.of, &records, now_ms, None) {
                tracing::warn!("offsets of deleted topics stay in the log: {code:?}");
            }
        }
    }

    /// What a group has committed; partitions without an offset are left out.
    ///
    /// # Errors
    /// Kafka's code for the group.
    pub fn fetch(&self, fetch: &FetchGroupOffsets) -> Result<Vec<GroupOffset>, ErrorCode> {
        let loaded = self.find(fetch.partition)?;
        let offsets = loaded.offsets.borrow();
        let Some(Ok(offsets)) = &*offsets else { return Err(ErrorCode::CoordinatorLoadInProgress) };
        let Some(topics) = &fetch.topics else { return Ok(offsets.of_group(&fetch.group)) };
        let mut found = Vec::new();
        for (topic, partitions) in topics {
            for &partition in partitions {
                let committed = offsets.get(&fetch.group, topic, partition).cloned();
                found.extend(committed.map(|committed| GroupOffset {
                    topic: topic.clone(),
                    partition,
                    committed,
                }));
            }
        }
        Ok(found)
    }
}

/// Appends records and waits until they are durable.
async fn append_durably(
    partition: &Partition,
    records: &[(Vec<u8>, Option<Vec<u8>>)],
    now_ms: i64,
) -> Result<(), ErrorCode> {
    let (told, safe) = oneshot::channel();
    let waiter = Rc::new(Told(RefCell::new(Some(told))));
    append(partition, records, now_ms, Some((waiter, 0)))?;
    match safe.await {
        Ok(done) => done.map_err(|error| error_code(&error)),
        Err(_) => Err(ErrorCode::NotCoordinator),
    }
}

/// Appends records, a key and a value or a tombstone each; `waiter` is told when they are durable.
fn append(
    partition: &Partition,
    records: &[(Vec<u8>, Option<Vec<u8>>)],
    now_ms: i64,
    waiter: Option<(Rc<dyn AppendWaiter>, usize)>,
) -> Result<(), ErrorCode> {
    let pairs: Vec<build::Pair<'_>> =
        records.iter().map(|(key, value)| (Some(&key[..]), value.as_deref())).collect();
    let batch = build::keyed(&pairs, now_ms, None, Codec::None);
    let (batch, epoch) = (BytesMut::from(&batch[..]), partition.leader_epoch.get());
    let appended = partition.log.append(batch, epoch, Durability::Durable, now_ms, waiter);
    appended.map(drop).map_err(|error| error_code(&error))
}

struct Told(RefCell<Option<oneshot::Sender<Result<(), LogError>>>>);

impl AppendWaiter for Told {
    fn done(&self, _index: usize, result: Result<(), LogError>) {
        if let Some(told) = self.0.borrow_mut().take() {
            // Whoever asked may have gone.
            let _ = told.send(result);
        }
    }
}

/// What the whole log comes to.
async fn read_all(log: &Rc<Log>) -> Result<Offsets, LogError> {
    let mut offsets = Offsets::default();
    let mut next = log.log_start();
    while next < log.log_end() {
        let pieces = log.read(next, log.safe_end(), LOAD_BYTES, true).await?;
        let mut bytes = bytes::Bytes::from(pieces.concat());
        if bytes.is_empty() {
            break;
        }
        while let Some(header) = BatchHeader::peek(&bytes) {
            let batch = bytes.split_to((header.claimed_size() as usize).min(bytes.remaining()));
            let undone = match header.codec() {
                Ok(Codec::None) => undone_records(&header, &batch),
                _ => spawn_blocking(move || undone_records(&header, &batch)).await,
            };
            let applied = undone.map_err(|e| e.to_string());
            let applied = applied.and_then(|undone| offsets.apply(&header, &undone));
            if let Err(reason) = applied {
                // One record that is not understood must not hide those of other groups.
                let offset = header.base_offset.get();
                tracing::error!(log = %log.dir().display(), offset, "left out: {reason}");
            }
            next = header.last_offset() + 1;
        }
    }
    Ok(offsets)
}
