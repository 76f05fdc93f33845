//! Kafka's log directories as they lie there: whose they are, whether they were closed in order, and
//! which partitions they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use corelane_shards::log::{
    parse_file_name, MetaProperties, CLEAN_FILE, DELETED_SUFFIX, FUTURE_SUFFIX, LOCK_FILE,
};
use rustix::fs::{fcntl_lock, FlockOperation};
use uuid::Uuid;

use super::metadata::{KafkaMetadata, KafkaTopic, METADATA_DIR};
use super::ImportError;
use crate::config::TopicConfig;
use crate::metadata::kafka_uuid;

/// A partition and its files.
#[derive(Debug, Clone, Default)]
pub struct FoundPartition {
    pub topic: Uuid,
    pub index: i32,
    /// Its directory.
    pub path: PathBuf,
    /// Number of the log directory it is in, in the order they were given.
    pub source: usize,
    /// Base offsets of its segments.
    pub segments: Vec<i64>,
    /// Names of everything else that is taken over.
    pub small_files: Vec<String>,
    pub bytes: u64,
    /// From Kafka's checkpoints of its directory, where they name it.
    pub log_start: Option<i64>,
    pub cleaner_offset: Option<i64>,
}

/// What there is to take over.
#[derive(Debug)]
pub struct Found {
    /// Of each log directory.
    pub meta: Vec<MetaProperties>,
    pub topics: BTreeMap<Uuid, KafkaTopic>,
    pub next_producer_id: i64,
    pub partitions: Vec<FoundPartition>,
    /// Settings that have no meaning here: topic, name and why.
    pub left_out: Vec<(String, String, String)>,
    /// What else is not taken over.
    pub notes: Vec<String>,
}

/// Looks at all log directories of one stopped broker. Nothing is changed.
///
/// # Errors
/// The first thing that forbids to take them over, by name.
pub fn look(dirs: &[PathBuf]) -> Result<Found, ImportError> {
    let mut found = Found {
        meta: Vec::new(),
        topics: BTreeMap::new(),
        next_producer_id: 0,
        partitions: Vec::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    let mut has_metadata = false;
    for dir in dirs {
        found.meta.push(closed_in_order(dir)?);
        let metadata = dir.join(METADATA_DIR);
        if metadata.is_dir() {
            let metadata = KafkaMetadata::read(&metadata)?;
            (found.topics, found.next_producer_id) = (metadata.topics, metadata.next_producer_id);
            has_metadata = true;
        }
    }
    let Some(first) = found.meta.first() else { return Ok(found) };
    let same = |meta: &MetaProperties| {
        meta.cluster_id == first.cluster_id && meta.node_id == first.node_id
    };
    if let Some(other) = found.meta.iter().position(|meta| !same(meta)) {
        return Err(ImportError::refused(&dirs[other], "it belongs to another broker or cluster"));
    }
    if !has_metadata {
        return Err(ImportError::refused(
            &dirs[0],
            format!(
                "{METADATA_DIR} is in none of the directories: give all of log.dirs, and \
                     metadata.log.dir"
            ),
        ));
    }
    keep_known_configs(&mut found);
    for (number, dir) in dirs.iter().enumerate() {
        find_partitions(&mut found, number, dir)?;
    }
    check_complete(&found, dirs)?;
    Ok(found)
}

/// A directory's identity, if no broker uses it and the last one closed it in order.
fn closed_in_order(dir: &Path) -> Result<MetaProperties, ImportError> {
    let lock = dir.join(LOCK_FILE);
    if let Ok(file) = fs::File::open(&lock) {
        let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockShared);
        if matches!(locked, Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::ACCESS)) {
            return Err(ImportError::refused(dir, "a broker is running on it: stop it first"));
        }
    }
    let meta = MetaProperties::read(dir).map_err(|e| ImportError::refused(dir, e.to_string()))?;
    let meta = meta.ok_or_else(|| {
        ImportError::refused(dir, "there is no meta.properties: not a log directory of Kafka")
    })?;
    if !dir.join(CLEAN_FILE).exists() {
        return Err(ImportError::refused(
            dir,
            format!(
                "{CLEAN_FILE} is missing: the broker was not stopped in order; start Kafka on \
                     it once more and stop it"
            ),
        ));
    }
    Ok(meta)
}

fn keep_known_configs(found: &mut Found) {
    let defaults = TopicConfig::default();
    for topic in found.topics.values_mut() {
        topic.configs.retain(|name, value| match defaults.with([(name, &*value)]) {
            Ok(_) => true,
            Err(why) => {
                found.left_out.push((topic.name.clone(), format!("{name}={value}"), why));
                false
            }
        });
    }
}

fn find_partitions(found: &mut Found, number: usize, dir: &Path) -> Result<(), ImportError> {
    let ids: BTreeMap<String, Uuid> =
        found.topics.iter().map(|(id, topic)| (topic.name.clone(), *id)).collect();
    let log_starts = checkpoint(&dir.join("log-start-offset-checkpoint"))?;
    let cleaner = checkpoint(&dir.join("cleaner-offset-checkpoint"))?;
    for name in names(dir)? {
        let path = dir.join(&name);
        if !path.is_dir() || name == METADATA_DIR || name.ends_with(DELETED_SUFFIX) {
            continue;
        }
        if name.ends_with(FUTURE_SUFFIX) {
            let reason = "a move between log directories is not finished: start Kafka, let it \
                          finish, and stop it";
            return Err(ImportError::refused(&path, reason));
        }
        let place = name.rsplit_once('-').and_then(|(topic, index)| {
            let index: i32 = index.parse().ok()?;
            let id = *ids.get(topic)?;
            found.topics[&id].leader_epochs.contains_key(&index).then_some((id, index))
        });
        let Some((topic, index)) = place else {
            let note = format!("{}: no partition of this cluster's, left out", path.display());
            found.notes.push(note);
            continue;
        };
        let mut partition = find_files(&path, topic)?;
        (partition.index, partition.source) = (index, number);
        partition.log_start = log_starts.get(&name).copied();
        partition.cleaner_offset = cleaner.get(&name).copied();
        found.partitions.push(partition);
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>, ImportError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(ImportError::io(dir))? {
        let entry = entry.map_err(ImportError::io(dir))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn find_files(path: &Path, topic: Uuid) -> Result<FoundPartition, ImportError> {
    let mut partition =
        FoundPartition { topic, path: path.to_path_buf(), ..FoundPartition::default() };
    for name in names(path)? {
        let file = path.join(&name);
        if name.ends_with(".swap") || name.ends_with(".cleaned") {
            let reason = "a compaction is not finished: start Kafka once more and stop it";
            return Err(ImportError::refused(&file, reason));
        }
        if name == "partition.metadata" {
            check_topic_id(&file, topic)?;
        }
        if let Some(base) = parse_file_name(&name, "log") {
            partition.segments.push(base);
        } else if is_small(&name) {
            partition.small_files.push(name);
        } else {
            continue;
        }
        partition.bytes += fs::metadata(&file).map_err(ImportError::io(&file))?.len();
    }
    if partition.segments.is_empty() {
        return Err(ImportError::refused(path, "there is no segment in it"));
    }
    Ok(partition)
}

fn is_small(name: &str) -> bool {
    let of_segment = ["index", "timeindex", "snapshot", "txnindex"];
    name == "leader-epoch-checkpoint"
        || of_segment.iter().any(|extension| parse_file_name(name, extension).is_some())
}

fn check_topic_id(file: &Path, topic: Uuid) -> Result<(), ImportError> {
    let text = fs::read_to_string(file).map_err(ImportError::io(file))?;
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:")).map(str::trim);
    let wanted = kafka_uuid(topic);
    match id {
        Some(id) if id == wanted => Ok(()),
        _ => Err(ImportError::refused(file, format!("the metadata log has topic id {wanted}"))),
    }
}

/// Kafka's checkpoint files: a version, a count, and lines of topic, partition and offset. By the
/// name of the partition's directory; empty where there is no file.
fn checkpoint(path: &Path) -> Result<BTreeMap<String, i64>, ImportError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.map_err(ImportError::io(path))?,
    };
    let mut offsets = BTreeMap::new();
    for line in text.lines().skip(2) {
        let mut words = line.split_whitespace();
        let offset = (|| {
            let (topic, index) = (words.next()?, words.next()?);
            Some((format!("{topic}-{index}"), words.next()?.parse().ok()?))
        })();
        let bad = || ImportError::refused(path, format!("not a checkpoint's line: {line}"));
        let (name, offset) = offset.ok_or_else(bad)?;
        offsets.insert(name, offset);
    }
    Ok(offsets)
}

/// Every partition that the metadata knows must be there, and once.
fn check_complete(found: &Found, dirs: &[PathBuf]) -> Result<(), ImportError> {
    let mut there = BTreeSet::new();
    for partition in &found.partitions {
        if !there.insert((partition.topic, partition.index)) {
            return Err(ImportError::refused(&partition.path, "it is in two log directories"));
        }
    }
    for (id, topic) in &found.topics {
        for (at, index) in topic.leader_epochs.keys().enumerate() {
            if at as i32 != *index {
                let reason = format!("the metadata log lacks partition {at} of {}", topic.name);
                return Err(ImportError::refused(&dirs[0], reason));
            }
            if !there.contains(&(*id, *index)) {
                let reason = format!(
                    "{}-{index} is in none of the directories: give all of log.dirs; one of \
                     several brokers cannot be taken over alone",
                    topic.name
                );
                return Err(ImportError::refused(&dirs[0], reason));
            }
        }
    }
    Ok(())
}
