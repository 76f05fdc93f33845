//! Makes our log directories out of what was found.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use corelane_shards::log::{file_path, LogDir, CLEANER_OFFSET_FILE, LOG_START_FILE};

use super::{Found, FoundPartition, ImportError};
use crate::controller::{MetadataRecord, MetadataStore};
use crate::metadata::partition_metadata;

/// How segments get into our directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Copy,
    /// Closed segments are linked: at once and without space, on the same file system. They are
    /// never written to again, so that Kafka's directory stays as it is.
    Link,
}

/// Takes everything over into `to`: one directory for all, or one for each of Kafka's. `taken` is
/// told of bytes as they come. The metadata comes last: a broker that is started on what an
/// interrupted import left finds no topics.
///
/// # Errors
/// A directory is not empty or cannot be written; what is there already can be removed.
pub fn take(
    found: &Found,
    to: &[PathBuf],
    how: How,
    mut taken: impl FnMut(u64),
) -> Result<(), ImportError> {
    let mut dirs = Vec::with_capacity(to.len());
    for (path, meta) in to.iter().zip(&found.meta) {
        refuse_used(path)?;
        let dir = LogDir::adopt(path, meta);
        dirs.push(dir.map_err(|e| ImportError::refused(path, e.to_string()))?);
    }
    for partition in &found.partitions {
        let target = &to[target(partition, to)];
        take_partition(found, partition, target, how, &mut taken)?;
    }
    for path in to {
        sync_dir(path)?;
    }
    let first = &to[0];
    let failed =
        |error: crate::controller::StoreError| ImportError::refused(first, error.to_string());
    let (mut store, _none) = MetadataStore::open(first).map_err(failed)?;
    store.append(&records(found, to)).map_err(failed)?;
    for dir in &dirs {
        dir.mark_clean().map_err(ImportError::io(dir.path()))?;
    }
    Ok(())
}

/// Bytes that are free where a directory is or will be made.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    rustix::fs::statvfs(there).ok().map(|disk| disk.f_bavail * disk.f_frsize)
}

fn target(partition: &FoundPartition, to: &[PathBuf]) -> usize {
    partition.source.min(to.len() - 1)
}

fn refuse_used(path: &Path) -> Result<(), ImportError> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                let reason =
                    "it is not empty: give a new directory, or remove what an interrupted \
                              import left";
                Err(ImportError::refused(path, reason))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ImportError::io(path)(error)),
    }
}

fn take_partition(
    found: &Found,
    partition: &FoundPartition,
    log_dir: &Path,
    how: How,
    taken: &mut impl FnMut(u64),
) -> Result<(), ImportError> {
    let name = format!("{}-{}", found.topics[&partition.topic].name, partition.index);
    let dir = log_dir.join(name);
    fs::create_dir(&dir).map_err(ImportError::io(&dir))?;
    let active = partition.segments.last().copied();
    for &base in &partition.segments {
        let (from, to) = (file_path(&partition.path, base, "log"), file_path(&dir, base, "log"));
        match how {
            How::Link if Some(base) != active => link(&from, &to)?,
            _ => copy(&from, &to)?,
        }
        taken(fs::metadata(&to).map_err(ImportError::io(&to))?.len());
    }
    for name in &partition.small_files {
        copy(&partition.path.join(name), &dir.join(name))?;
    }
    write(&dir.join("partition.metadata"), &partition_metadata(partition.topic))?;
    if let Some(offset) = partition.log_start {
        write(&dir.join(LOG_START_FILE), &offset.to_string())?;
    }
    if let Some(offset) = partition.cleaner_offset {
        write(&dir.join(CLEANER_OFFSET_FILE), &offset.to_string())?;
    }
    sync_dir(&dir)
}

fn link(from: &Path, to: &Path) -> Result<(), ImportError> {
    fs::hard_link(from, to).map_err(|why| match why.kind() {
        std::io::ErrorKind::CrossesDevices => {
            let reason =
                "cannot be linked into another file system: give a --data-dir on the same \
                          one, or use --copy";
            ImportError::refused(from, reason)
        }
        _ => ImportError::io(from)(why),
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), ImportError> {
    fs::copy(from, to).map_err(ImportError::io(from))?;
    let file = fs::File::open(to).map_err(ImportError::io(to))?;
    file.sync_all().map_err(ImportError::io(to))
}

fn write(path: &Path, text: &str) -> Result<(), ImportError> {
    let mut file = fs::File::create(path).map_err(ImportError::io(path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(ImportError::io(path))
}

fn sync_dir(path: &Path) -> Result<(), ImportError> {
    let synced = fs::File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(ImportError::io(path))
}

/// The decisions that make our controller know the topics.
fn records(found: &Found, to: &[PathBuf]) -> Vec<MetadataRecord> {
    let place = |p: &FoundPartition| ((p.topic, p.index), target(p, to));
    let places: HashMap<_, _> = found.partitions.iter().map(place).collect();
    let mut records = Vec::with_capacity(2 * found.topics.len() + 1);
    for (id, topic) in &found.topics {
        let directory = |index: &i32| {
            let place = places.get(&(*id, *index)).copied().unwrap_or(0);
            found.meta[place].directory_id.clone()
        };
        records.push(MetadataRecord::TopicCreated {
            id: id.as_u128(),
            name: topic.name.clone(),
            directories: topic.leader_epochs.keys().map(directory).collect(),
            configs: topic.configs.clone().into_iter().collect(),
        });
        let epochs = topic.leader_epochs.values().copied().collect();
        records.push(MetadataRecord::LeaderEpochs { topic: id.as_u128(), epochs });
    }
    records.push(MetadataRecord::ProducerIds { next: found.next_producer_id });
    records
}
