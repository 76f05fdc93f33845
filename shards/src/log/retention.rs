//! What is deleted of a log, and when: whole segments, oldest first, for their age, for the log's
//! size, or because they lie before its start (KIP-107). [`LogState::expired`] decides; the shell
//! renames the files first, so that a crash leaves no segment half there, and removes them later.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::error::LogError;
use super::log::Log;
use super::segment::{file_path, SEGMENT_FILES};
use super::state::LogState;
use crate::disk::{self, DiskError, FileId};
use crate::runtime::sleep;

/// Ends the name of a deleted segment's file until it is gone, as in Kafka.
pub(super) const DELETED_SUFFIX: &str = "deleted";
/// Holds the log start offset where it lies within a segment.
pub const LOG_START_FILE: &str = "log-start-offset";

/// What a look at a log's age and size comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expired {
    /// Base offsets of the segments to delete, oldest first.
    pub segments: Vec<i64>,
    /// Whether the active segment is to be closed, so that it can be deleted next time.
    pub roll: bool,
}

impl LogState {
    /// What may be deleted at `now_ms`. Nothing that is not written, or that consumers may not see
    /// yet, and never the active segment.
    pub fn expired(&mut self, now_ms: i64) -> Expired {
        let total = self.size_bytes();
        let limit = u64::try_from(self.config.retention_bytes).ok().filter(|_| self.config.delete);
        let mut excess = limit.map_or(0, |limit| total.saturating_sub(limit));
        let mut expired = Expired::default();
        for at in 0..self.segments.len() {
            let old = self.is_old(at, now_ms);
            let Some(next) = self.segments.get(at + 1) else {
                let segment = &self.segments[at];
                expired.roll = old && segment.size > 0 && segment.written == segment.size;
                break;
            };
            let (next, segment) = (next.base_offset, &self.segments[at]);
            let large = segment.size > 0 && excess >= segment.size;
            let settled = segment.sealed && next <= self.safe_end;
            if !settled || !(old || large || next <= self.log_start) {
                break;
            }
            excess = excess.saturating_sub(segment.size);
            expired.segments.push(segment.base_offset);
        }
        expired
    }

    fn is_old(&mut self, at: usize, now_ms: i64) -> bool {
        let retention_ms = self.config.retention_ms;
        if !self.config.delete || retention_ms < 0 {
            return false;
        }
        let segment = &mut self.segments[at];
        let newest = segment.index.as_ref().and_then(|index| index.max_timestamp());
        // Without timestamps a segment is as old as we have known it.
        let newest = match newest {
            Some((timestamp, _)) if timestamp >= 0 => timestamp,
            _ => *segment.opened_ms.get_or_insert(now_ms),
        };
        now_ms.saturating_sub(newest) > retention_ms
    }

    /// Takes segments out of the log, which then starts behind them.
    pub fn drop_segments(&mut self, bases: &[i64]) {
        self.segments.retain(|segment| !bases.contains(&segment.base_offset));
        let first = self.segments.first().map_or(self.log_end, |s| s.base_offset);
        self.log_start = self.log_start.max(first);
        while self.tail.len() > self.dirty
            && self.tail.front().is_some_and(|batch| batch.last_offset < self.log_start)
        {
            self.unaccounted += 1;
            self.tail.pop_front();
        }
    }

    /// Moves the log start offset up.
    ///
    /// # Errors
    /// `offset` lies beyond what consumers may see.
    pub fn raise_log_start(&mut self, offset: i64) -> Result<(), LogError> {
        if offset > self.safe_end || offset < 0 {
            let (start, end) = (self.log_start, self.safe_end);
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        self.log_start = self.log_start.max(offset);
        Ok(())
    }
}

impl Log {
    /// Deletes what is too old or too much at `now_ms`; returns how many segments that were.
    ///
    /// # Errors
    /// A file cannot be renamed: its segment is back after the next start.
    pub async fn delete_expired(self: &Rc<Self>, now_ms: i64) -> Result<usize, LogError> {
        let _names = self.use_names().await;
        let expired = self.state.borrow_mut().expired(now_ms);
        let files = self.state.borrow().files_of(&expired.segments);
        if expired.roll {
            self.state.borrow_mut().roll();
            self.kick_writer();
        }
        // Out of the log first, so that nobody begins to read what is about to go.
        expired.segments.iter().for_each(|base| self.forget_files(*base));
        self.state.borrow_mut().drop_segments(&expired.segments);
        for file in files {
            self.set_aside(file).await?;
            self.remove_later(file);
        }
        if let (Some(first), Some(last)) = (expired.segments.first(), expired.segments.last()) {
            tracing::info!(
                log = %self.dir().display(), first, last, log_start_offset = self.log_start(),
                "deleted {} segments", expired.segments.len()
            );
        }
        Ok(expired.segments.len())
    }

    /// Moves the log start offset up to `offset`, durably, and deletes what lies before it.
    ///
    /// # Errors
    /// `offset` lies beyond the high watermark, or the disk fails.
    pub async fn delete_records(self: &Rc<Self>, offset: i64) -> Result<i64, LogError> {
        let _names = self.use_names().await;
        if let Some(failure) = self.failure() {
            return Err(LogError::Offline(failure));
        }
        self.state.borrow_mut().raise_log_start(offset)?;
        let start = self.log_start();
        self.write_log_start(&self.dir(), start).await?;
        Ok(start)
    }

    pub(super) async fn write_log_start(&self, dir: &Path, start: i64) -> Result<(), DiskError> {
        disk::replace_file(&dir.join(LOG_START_FILE), start.to_string().into_bytes()).await
    }

    pub(super) async fn set_aside(&self, file: FileId) -> Result<(), DiskError> {
        for extension in SEGMENT_FILES {
            let path = file_path(&self.dir(), file.0, extension);
            disk::rename_if_there(&path, &deleted_path(&self.dir(), file, extension)).await?;
        }
        Ok(())
    }

    pub(super) fn remove_later(self: &Rc<Self>, file: FileId) {
        let delay = Duration::from_millis(self.state.borrow().delete_delay_ms());
        let log = Rc::downgrade(self);
        let dir = self.dir();
        let remove = async move {
            sleep(delay).await;
            // A deleted partition's directory has gone as a whole.
            let Some(log) = log.upgrade() else { return };
            for extension in SEGMENT_FILES {
                let path = deleted_path(&dir, file, extension);
                if let Err(error) = log.env.removals.remove(&path).await {
                    tracing::warn!("a deleted segment stays until the next start: {error}");
                }
            }
        };
        self.env.background.spawn(remove).detach();
    }
}

/// Where a deleted segment's file waits: another name for each time that the segment was written
/// anew, so that none is written over. That would free its space at once, which others feel.
fn deleted_path(dir: &Path, file: FileId, extension: &str) -> PathBuf {
    let times = if file.1 == 0 { String::new() } else { format!(".{}", file.1) };
    file_path(dir, file.0, &format!("{extension}{times}.{DELETED_SUFFIX}"))
}
