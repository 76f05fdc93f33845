//! Reads the journals that a crash left in a log directory, whatever shards wrote them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::read_all;
use super::{LogId, JOURNAL_SUFFIX};
use crate::disk::{self, Access, DiskError, File};

/// Batches of one log and one segment that were durable in a journal, in order and in one piece.
#[derive(Debug, Clone)]
pub struct ReplayedBatches {
    pub segment: i64,
    pub bytes: Bytes,
}

/// What the journals of one log directory hold, by log. Most of it has reached its segment already:
/// recovery takes what goes on where a log ends.
#[derive(Debug, Default)]
pub struct JournalReplay {
    files: Vec<PathBuf>,
    by_log: HashMap<LogId, Vec<ReplayedBatches>>,
}

impl JournalReplay {
    /// Reads all journals in `log_dir`. Must be called on a shard.
    ///
    /// # Errors
    /// What the disk answers. A file that ends in the middle of a frame is as a crash leaves it.
    pub async fn read(log_dir: &Path) -> Result<JournalReplay, DiskError> {
        let names = disk::list_dir(log_dir).await?;
        let mut replay = JournalReplay::default();
        let mut uses = Vec::new();
        for (name, _) in names.iter().filter(|(name, _)| name.ends_with(JOURNAL_SUFFIX)) {
            let path = log_dir.join(name);
            let file = File::open(&path, Access::Read).await?;
            let bytes = file.read_at(0, file.size().await? as usize).await?;
            uses.extend(read_all(&bytes));
            replay.files.push(path);
        }
        uses.sort_by_key(|(generation, _)| *generation);
        for (log, segment, bytes) in uses.into_iter().flat_map(|(_, entries)| entries) {
            let batches = ReplayedBatches { segment, bytes };
            replay.by_log.entry(log).or_default().push(batches);
        }
        Ok(replay)
    }

    /// What there is of a log, in the order in which it was written.
    pub fn of(&self, log: &LogId) -> &[ReplayedBatches] {
        self.by_log.get(log).map_or(&[], Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Removes the files that were read, once every log in them has been recovered.
    ///
    /// # Errors
    /// What the disk answers: they are read once more at the next start.
    pub async fn remove(&self) -> Result<(), DiskError> {
        for file in &self.files {
            disk::remove_file(file).await?;
        }
        Ok(())
    }
}
