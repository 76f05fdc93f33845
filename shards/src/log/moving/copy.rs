//! Copies what a log has on its disk, again and again until little is new.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{MoveError, Moving, MOVED_AWAY_FILE};
use crate::disk::{self, align_down, align_up, Access, DiskError, File, WriteBuffer};
use crate::log::log::Log;
use crate::log::segment::{file_path, Segment, SEGMENT_FILES};
use crate::log::throttle::{Pace, Throttle};

const CHUNK_BYTES: u64 = 256 << 10;

/// Ends of names that are not copied as they are: segments, whose indexes are in memory, what the log
/// is done with, and what is not whole.
const NOT_SMALL: [&str; 8] =
    [".log", ".index", ".timeindex", ".deleted", ".cleaned", ".swap", ".tmp", MOVED_AWAY_FILE];

/// A segment as it was when it was looked at.
struct Part {
    base: i64,
    written: u64,
    sealed: bool,
}

pub(super) struct Copy<'a> {
    log: &'a Rc<Log>,
    moving: &'a Moving,
    throttle: Throttle,
    /// Segments that are whole in the new directory, durably.
    whole: Vec<i64>,
    /// The small files as they were copied.
    small: BTreeMap<String, Vec<u8>>,
}

impl<'a> Copy<'a> {
    pub fn new(log: &'a Rc<Log>, moving: &'a Moving, pace: Pace) -> Self {
        let throttle = Throttle::new(pace);
        Copy { log, moving, throttle, whole: Vec::new(), small: BTreeMap::new() }
    }

    /// Copies until less than `little` bytes came while it was at it.
    pub async fn catch_up(&mut self, little: u64) -> Result<(), MoveError> {
        while self.round(false).await? >= little {}
        Ok(())
    }

    /// Copies the last of what is written: nothing is written meanwhile. Everything is durable then.
    pub async fn finish(&mut self) -> Result<(), MoveError> {
        self.round(true).await?;
        self.small_files().await?;
        self.log_start().await?;
        Ok(disk::sync_dir(&self.moving.future).await?)
    }

    /// Copies what is new; returns how many bytes that were.
    async fn round(&mut self, last: bool) -> Result<u64, MoveError> {
        let (parts, end) = {
            let state = self.log.state.borrow();
            let part =
                |s: &Segment| Part { base: s.base_offset, written: s.written, sealed: s.sealed };
            // The file after one that is not sealed is not there yet: with it, an end would be
            // found behind what was never written.
            let sealed = state.segments().iter().take_while(|s| s.sealed).count();
            let there = state.segments().iter().take(sealed + 1);
            (there.map(part).collect::<Vec<_>>(), state.written_end())
        };
        self.drop_deleted(&parts).await?;
        let mut new = 0;
        for part in &parts {
            if self.whole.contains(&part.base) {
                continue;
            }
            match self.segment(part, last).await {
                Ok(bytes) => new += bytes,
                // Retention may have taken it meanwhile: what there is of it is no segment.
                Err(_) if self.log.state.borrow().find(part.base).is_none() => {
                    self.remove(part.base).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.moving.end_offset.set(end);
        Ok(new)
    }

    async fn segment(&mut self, part: &Part, last: bool) -> Result<u64, MoveError> {
        let from = self.moving.copied.borrow().get(&part.base).copied().unwrap_or(0);
        let to = file_path(&self.moving.future, part.base, "log");
        let to = File::open(&to, Access::Write).await?;
        if from < part.written {
            let source = file_path(&self.log.dir(), part.base, "log");
            let source = File::open(&source, Access::Read).await?;
            self.bytes(&source, &to, align_down(from), part.written).await?;
        }
        self.moving.copied.borrow_mut().insert(part.base, part.written);
        if part.sealed || last {
            to.truncate(part.written).await?;
        }
        to.sync_data().await?;
        if part.sealed || last {
            self.log.write_index_to(&self.moving.future, part.base).await?;
        }
        if part.sealed {
            self.whole.push(part.base);
        }
        Ok(part.written - from)
    }

    async fn bytes(
        &mut self,
        from: &File,
        to: &File,
        start: u64,
        end: u64,
    ) -> Result<(), MoveError> {
        let mut at = start;
        while at < end {
            self.log.may_move_on(self.moving)?;
            let len = CHUNK_BYTES.min(end - at) as usize;
            let read = from.read_at(at, len).await?;
            if read.len() != len {
                return Err(DiskError::short("read", from.path(), read.len(), len).into());
            }
            let mut buffer = WriteBuffer::new(align_up(len as u64) as usize);
            buffer.bytes_mut()[..len].copy_from_slice(&read);
            buffer.bytes_mut()[len..].fill(0);
            to.write_at(buffer, at).await?;
            at += len as u64;
            self.throttle.spend(2 * len as u64).await;
        }
        Ok(())
    }

    /// Copies the small files that are new or not as they were.
    pub async fn small_files(&mut self) -> Result<(), MoveError> {
        let old = self.log.dir();
        let mut gone = std::mem::take(&mut self.small);
        for (name, is_dir) in disk::list_dir(&old).await? {
            if is_dir || NOT_SMALL.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            let Some(content) = disk::read_small(&old.join(&name)).await? else { continue };
            if gone.remove(&name).as_ref() != Some(&content) {
                disk::replace_file(&self.moving.future.join(&name), content.clone()).await?;
            }
            self.small.insert(name, content);
        }
        for name in gone.keys() {
            disk::remove_file(&self.moving.future.join(name)).await?;
        }
        Ok(())
    }

    /// The log start offset as it is in memory: the file may be about to follow.
    async fn log_start(&self) -> Result<(), MoveError> {
        let start = self.log.log_start();
        Ok(self.log.write_log_start(&self.moving.future, start).await?)
    }

    async fn drop_deleted(&mut self, parts: &[Part]) -> Result<(), MoveError> {
        let is_there = |base: &i64| parts.iter().any(|part| part.base == *base);
        let copied: Vec<i64> = self.moving.copied.borrow().keys().copied().collect();
        for base in copied.into_iter().filter(|base| !is_there(base)) {
            self.remove(base).await?;
        }
        self.whole.retain(is_there);
        Ok(())
    }

    /// Removes what was copied of a segment.
    async fn remove(&self, base: i64) -> Result<(), MoveError> {
        for extension in SEGMENT_FILES {
            let path = file_path(&self.moving.future, base, extension);
            self.log.env.removals.remove(&path).await?;
        }
        self.moving.copied.borrow_mut().remove(&base);
        Ok(())
    }
}
