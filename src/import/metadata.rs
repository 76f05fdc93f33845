//! The cluster's metadata as KRaft keeps it: a log of records, `__cluster_metadata-0`, and snapshots of
//! what they come to (KIP-500, KIP-630). Of the kinds of records only those are read that topics,
//! their settings and producer ids follow from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use corelane_shards::log::batch::{undone_records, BatchHeader, Record};
use corelane_shards::log::{examine, parse_file_name, Examined};
use uuid::Uuid;

use super::ImportError;
use crate::wire::{Reader, WireError};

/// Where KRaft keeps its log.
pub const METADATA_DIR: &str = "__cluster_metadata-0";

/// Kinds of records (`apiKey` in Kafka's definitions).
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const REMOVE_TOPIC: u32 = 9;
const PRODUCER_IDS: u32 = 15;
/// Records between these are in force together or not at all (KIP-868).
const BEGIN_TRANSACTION: u32 = 23;
const END_TRANSACTION: u32 = 24;
const ABORT_TRANSACTION: u32 = 25;

/// The only version of the frame around a record.
const FRAME_VERSION: u32 = 1;
/// `resourceType` of topics.
const TOPIC_RESOURCE: i8 = 2;
/// The tag of a partition change's leader, and what stands for none.
const LEADER_TAG: u32 = 1;
const NO_CHANGE: i32 = -2;

/// A topic as the cluster knew it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTopic {
    pub name: String,
    /// Leader epoch of each partition.
    pub leader_epochs: BTreeMap<i32, i32>,
    pub configs: BTreeMap<String, String>,
}

/// What the metadata log comes to.
#[derive(Debug, Clone, Default)]
pub struct KafkaMetadata {
    pub topics: BTreeMap<Uuid, KafkaTopic>,
    /// Producer ids below this have been handed out.
    pub next_producer_id: i64,
    /// Settings by the topic's name: they may come before it, and stay until it goes.
    configs: BTreeMap<String, BTreeMap<String, String>>,
    /// As it was before the transaction that is open.
    before: Option<Box<KafkaMetadata>>,
}

impl KafkaMetadata {
    /// Reads the newest snapshot in `dir` and the log behind it.
    ///
    /// # Errors
    /// A file cannot be read, or is not what this version of Kafka's formats says.
    pub fn read(dir: &Path) -> Result<KafkaMetadata, ImportError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(ImportError::io(dir))? {
            let entry = entry.map_err(ImportError::io(dir))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut metadata = KafkaMetadata::default();
        let mut from = 0;
        let snapshots = names.iter().filter_map(|name| Some((snapshot_end(name)?, name)));
        if let Some((end, name)) = snapshots.max() {
            metadata.read_file(&dir.join(name), 0)?;
            from = end;
        }
        let segments = names.iter().filter(|name| parse_file_name(name, "log").is_some());
        let mut next = None;
        for name in segments {
            let path = dir.join(name);
            let base = parse_file_name(name, "log").unwrap_or(0);
            if base > next.unwrap_or(from) {
                return Err(ImportError::refused(&path, "records before this file are missing"));
            }
            next = Some(metadata.read_file(&path, from)?);
        }
        for topic in metadata.topics.values_mut() {
            topic.configs = metadata.configs.remove(&topic.name).unwrap_or_default();
        }
        Ok(metadata)
    }

    /// Applies a file's records from offset `from` on; returns the offset behind the last.
    fn read_file(&mut self, path: &PathBuf, from: i64) -> Result<i64, ImportError> {
        let bytes = std::fs::read(path).map_err(ImportError::io(path))?;
        let mut rest = &bytes[..];
        let mut next = 0;
        loop {
            let header = match examine(rest, next) {
                Examined::Batch(header) => header,
                Examined::End => return Ok(next),
                Examined::Short { .. } => {
                    return Err(ImportError::refused(path, "its last batch is cut off"));
                }
                Examined::Damage(reason) => return Err(ImportError::refused(path, reason)),
            };
            let (batch, behind) = rest.split_at(header.claimed_size() as usize);
            (rest, next) = (behind, header.last_offset() + 1);
            if header.is_control() || header.last_offset() < from {
                continue;
            }
            let applied = self.apply_batch(&header, batch, from);
            applied.map_err(|reason| {
                let offset = header.base_offset.get();
                ImportError::refused(path, format!("the batch at offset {offset}: {reason}"))
            })?;
        }
    }

    fn apply_batch(&mut self, header: &BatchHeader, batch: &[u8], from: i64) -> Result<(), String> {
        let undone = undone_records(header, batch).map_err(|e| e.to_string())?;
        let mut rest = &undone[..];
        for _ in 0..header.record_count.get() {
            let record = Record::take(&mut rest).ok_or("a record is cut off")?;
            if header.base_offset.get() + record.offset_delta < from {
                continue;
            }
            let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
            self.apply(value).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn apply(&mut self, value: Bytes) -> Result<(), WireError> {
        let mut reader = Reader::new(value, true);
        let frame = reader.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(WireError::Malformed(format!("frame version {frame} is not known")));
        }
        let (kind, _version) = (reader.unsigned_varint()?, reader.unsigned_varint()?);
        match kind {
            TOPIC => {
                let (name, id) = (reader.string()?.to_string(), reader.uuid()?);
                self.topics.insert(id, KafkaTopic { name, ..KafkaTopic::default() });
            }
            PARTITION => {
                let (index, topic) = (reader.i32()?, reader.uuid()?);
                // Replicas, ISR, those that are removed and added, the leader.
                for _ in 0..4 {
                    let count = reader.count(4)?.unwrap_or(0);
                    reader.skip(4 * count)?;
                }
                let (_leader, epoch) = (reader.i32()?, reader.i32()?);
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.leader_epochs.insert(index, epoch);
                }
            }
            PARTITION_CHANGE => self.change_partition(&mut reader)?,
            CONFIG => {
                let (resource, topic) = (reader.i8()?, reader.string()?.to_string());
                let (name, value) = (reader.string()?.to_string(), reader.nullable_string()?);
                if resource == TOPIC_RESOURCE {
                    let configs = self.configs.entry(topic).or_default();
                    match value {
                        Some(value) => drop(configs.insert(name, value.to_string())),
                        None => drop(configs.remove(&name)),
                    }
                }
            }
            REMOVE_TOPIC => {
                if let Some(topic) = self.topics.remove(&reader.uuid()?) {
                    self.configs.remove(&topic.name);
                }
            }
            PRODUCER_IDS => {
                let (_broker, _epoch) = (reader.i32()?, reader.i64()?);
                self.next_producer_id = reader.i64()?;
            }
            BEGIN_TRANSACTION => self.before = Some(Box::new(self.clone())),
            END_TRANSACTION => self.before = None,
            ABORT_TRANSACTION => {
                if let Some(before) = self.before.take() {
                    *self = *before;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A new leader, the same one again or none: each has the next epoch.
    fn change_partition(&mut self, reader: &mut Reader<Bytes>) -> Result<(), WireError> {
        let (index, topic) = (reader.i32()?, reader.uuid()?);
        let mut leader = NO_CHANGE;
        reader.each_tag(|tag, value| {
            if tag == LEADER_TAG {
                leader = Reader::new(value, true).i32()?;
            }
            Ok(())
        })?;
        let epoch = self.topics.get_mut(&topic).and_then(|t| t.leader_epochs.get_mut(&index));
        if let Some(epoch) = epoch.filter(|_| leader != NO_CHANGE) {
            *epoch += 1;
        }
        Ok(())
    }
}

/// The end offset in a snapshot's name: `<20 digits>-<10 digits>.checkpoint`.
fn snapshot_end(name: &str) -> Option<i64> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    (digits(offset, 20) && digits(epoch, 10)).then(|| offset.parse().ok())?
}
