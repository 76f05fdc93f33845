//! Brings a shard's partitions in line with a metadata image: opens or creates what it owns now,
//! retires what was deleted.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use corelane_shards::disk;
use corelane_shards::log::{
    recover, JournalReplay, Log, LogConfig, LogError, LogId, NewLog, Opening,
};
use corelane_shards::runtime::{spawn_blocking, spawn_guarded};
use futures_util::stream::{self, StreamExt};

use super::moves::deleted_dir;
use super::Shard;
use crate::clock::now_ms;
use crate::group::{OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTION_TOPIC};
use crate::metadata::{partition_metadata, MetadataImage, TopicImage};
use crate::partition::{Partition, PartitionKey};

/// Partitions that a shard opens at the same time: most of it is waiting for the disk.
const OPENED_AT_ONCE: usize = 16;

/// What an earlier process left in the log directories, in the order of the configuration.
#[derive(Default, Clone, Copy)]
pub struct FoundAtStart<'a> {
    /// Whether each was closed in order.
    pub clean: &'a [bool],
    pub journals: &'a [JournalReplay],
}

/// Names a partition in the journal.
fn log_id(topic: uuid::Uuid, index: usize) -> LogId {
    let mut id = LogId::default();
    id.0[..16].copy_from_slice(topic.as_bytes());
    id.0[16..].copy_from_slice(&(index as u32).to_be_bytes());
    id
}

impl Shard {
    /// Serves `image`: when this returns, every partition of ours in it can be produced to.
    /// A partition that cannot be opened is left out, with an error line; the others go on.
    /// Returns whether all could be.
    pub async fn apply(
        self: &Rc<Self>,
        image: Arc<MetadataImage>,
        found: &FoundAtStart<'_>,
    ) -> bool {
        self.apply_group_settings(&image);
        let before = self.image();
        let (changed, gone) = image.changes_since(&before);
        let mut missing = Vec::new();
        for topic in &changed {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.shard != self.id {
                    continue;
                }
                let key = PartitionKey { topic: topic.id, index: index as i32 };
                match self.table.get(&key) {
                    Some(open) => open.log.set_config(topic.config.log.clone()),
                    None if partition.log_dir >= self.config().log_dirs.len() => {
                        self.table.set_offline(key);
                    }
                    None => missing.push((*topic, index)),
                }
            }
        }
        let opened = self.open_all(&missing, found).await;
        let mut all = true;
        let (mut of_transactions, mut of_shares) = (Vec::new(), Vec::new());
        for ((topic, index), log) in missing.into_iter().zip(opened) {
            let key = PartitionKey { topic: topic.id, index: index as i32 };
            let log = match log {
                Ok(log) => log,
                Err(error) => {
                    all = false;
                    self.table.set_offline(key);
                    tracing::error!(
                        topic = %topic.name, partition = index,
                        "cannot open the partition, it stays offline: {error}"
                    );
                    continue;
                }
            };
            let partition = Rc::new(Partition::new(log, topic.partitions[index].leader_epoch));
            self.table.insert(key, Rc::clone(&partition));
            match topic.name.as_str() {
                OFFSETS_TOPIC => self.load_groups(key, partition),
                TRANSACTION_TOPIC => of_transactions.push((key, partition)),
                SHARE_STATE_TOPIC => of_shares.push((key, partition)),
                _ => {}
            }
        }
        let deleted: Vec<String> = gone.iter().map(|topic| topic.name.to_string()).collect();
        if !deleted.is_empty() {
            self.coordinators.forget_topics(&deleted, now_ms());
        }
        self.set_image(Arc::clone(&image));
        // Not before: prepared transactions look for their partitions in it.
        for (key, partition) in of_transactions {
            self.load_transactions(key, partition);
        }
        // Those of topics that are not in it are forgotten.
        for (key, partition) in of_shares {
            self.load_share_states(key, partition);
        }
        if !deleted.is_empty() {
            self.forget_share_states();
            self.retire_all(&gone).await;
        }
        all
    }

    /// Ends the partitions of deleted topics: their waiters are answered, their directories are renamed,
    /// so that the names are free at once, and removed in the background.
    async fn retire_all(self: &Rc<Self>, gone: &[&Arc<TopicImage>]) {
        let keys: HashSet<PartitionKey> = gone
            .iter()
            .flat_map(|topic| {
                let key = |index| PartitionKey { topic: topic.id, index: index as i32 };
                (0..topic.partitions.len()).map(key)
            })
            .collect();
        self.table.keep_offline(|key| !keys.contains(key));
        let mut renames = Vec::new();
        for key in &keys {
            let Some(partition) = self.table.remove(key) else { continue };
            self.unload_groups(key);
            self.transactions.unload(key);
            self.share_states.unload(key);
            partition.log.retire();
            let dir = partition.log.dir();
            renames.push((dir.to_path_buf(), deleted_dir(&dir, key)));
        }
        if renames.is_empty() {
            return;
        }
        self.shares.remove_if(|shared| keys.contains(&shared.partition()));
        let asides: Vec<PathBuf> = renames.iter().map(|(_, aside)| aside.clone()).collect();
        let renamed = disk::rename_all(renames).await;
        spawn_guarded(&self.gate, "removal of deleted topics", async move {
            for (aside, renamed) in asides.into_iter().zip(renamed) {
                let removed = match renamed {
                    Ok(()) => disk::remove_dir(&aside).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = removed {
                    tracing::warn!("a partition's files stay until the next start: {error}");
                }
            }
        });
    }

    /// Opens partitions of ours, in their order. What comes while we run is new as a rule: all those
    /// are made together.
    async fn open_all(
        &self,
        missing: &[(&Arc<TopicImage>, usize)],
        found: &FoundAtStart<'_>,
    ) -> Vec<Result<Rc<Log>, LogError>> {
        let new = |(topic, index): &(&Arc<TopicImage>, usize)| NewLog {
            dir: self.partition_dir(topic, *index),
            id: log_id(topic.id, *index),
            config: topic.config.log.clone(),
            metadata: partition_metadata(topic.id),
        };
        let starting = !found.clean.is_empty();
        let mut made = match starting {
            true => Vec::new(),
            false => Log::create_all(&self.env, missing.iter().map(new).collect()).await,
        }
        .into_iter();
        let opened = missing.iter().map(|(topic, index)| {
            let made = made.next();
            async move {
                match made {
                    Some(Ok(Some(log))) => Ok(log),
                    Some(Err(error)) => Err(error),
                    Some(Ok(None)) | None => self.open(topic, *index, found).await,
                }
            }
        });
        stream::iter(opened).buffered(OPENED_AT_ONCE).collect().await
    }

    async fn open(
        &self,
        topic: &TopicImage,
        index: usize,
        found: &FoundAtStart<'_>,
    ) -> Result<Rc<Log>, LogError> {
        let dir = self.partition_dir(topic, index);
        let log_dir = topic.partitions[index].log_dir;
        let nothing = JournalReplay::default();
        let opening = Opening {
            id: log_id(topic.id, index),
            clean: found.clean.get(log_dir).copied().unwrap_or(false),
            journal: found.journals.get(log_dir).unwrap_or(&nothing),
        };
        let config = topic.config.log.clone();
        let metadata = partition_metadata(topic.id);
        match disk::read_small(&dir.join("partition.metadata")).await? {
            Some(text) if text.trim_ascii() == metadata.as_bytes() => {
                return self.recover(&dir, config, opening).await;
            }
            // A crash has torn it before there was anything else.
            Some(torn) if torn.len() < metadata.len() && !holds_records(&dir).await? => {}
            Some(_) => self.set_stray_aside(&dir).await?,
            // Whose they are cannot be told any more, but records are never written over.
            None if holds_records(&dir).await? => self.set_stray_aside(&dir).await?,
            None => {}
        }
        Log::create(&self.env, &dir, opening.id, config, metadata).await
    }

    async fn recover(
        &self,
        dir: &Path,
        config: LogConfig,
        opening: Opening<'_>,
    ) -> Result<Rc<Log>, LogError> {
        let (log, report) = recover(&self.env, dir, config, opening).await?;
        if report.scanned_segments > 0 || report.replayed_bytes > 0 {
            tracing::info!(
                log = %dir.display(), segments = report.scanned_segments,
                bytes = report.scanned_bytes, cut_bytes = report.cut_bytes,
                from_journal = report.replayed_bytes,
                log_end_offset = log.log_end(), "recovered"
            );
        }
        Ok(log)
    }

    /// A directory of the same name that is not known to be this topic's (it may be of one that was
    /// deleted while we were down) is kept under another name, as Kafka does.
    async fn set_stray_aside(&self, dir: &Path) -> Result<(), LogError> {
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let aside = dir.with_file_name(format!("{name}.{}-stray", uuid::Uuid::new_v4().simple()));
        tracing::warn!(
            from = %dir.display(), to = %aside.display(),
            "set aside: the directory is not known to belong to this topic"
        );
        Ok(disk::rename(dir, &aside).await?)
    }

    fn partition_dir(&self, topic: &TopicImage, index: usize) -> PathBuf {
        let log_dirs = &self.config().log_dirs;
        let log_dir = &log_dirs[topic.partitions[index].log_dir];
        log_dir.join(MetadataImage::partition_dir(&topic.name, index))
    }
}

/// Whether a directory, if it is there, has a segment that is not empty.
async fn holds_records(dir: &Path) -> Result<bool, LogError> {
    let dir = dir.to_path_buf();
    let holds = move || -> std::io::Result<bool> {
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let is_segment = entry.path().extension().is_some_and(|e| e == "log");
            if is_segment && entry.metadata()?.len() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    };
    // A directory that is not there holds none; what else is wrong shows when it is used.
    Ok(spawn_blocking(holds).await.unwrap_or(false))
}
