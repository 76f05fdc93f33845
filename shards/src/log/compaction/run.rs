//! A pass of compaction over one log, in the background: two readings of its segments, one writing.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::keys::KeyOffsets;
use super::plan::{CompactionLimits, CompactionPlan};
use super::rewrite::{rewrite, visit_keys, Judgement, Kept};
use crate::disk::{align_down, align_up, Access, File, WriteBuffer};
use crate::log::batch::{check_whole, BatchHeader, BATCH_HEADER_BYTES};
use crate::log::error::LogError;
use crate::log::index::SegmentIndex;
use crate::log::log::Log;
use crate::log::segment::file_path;
use crate::runtime::{sleep, yield_now};

/// Bytes read or written at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    pub read_bytes: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub keys: usize,
    /// Everything below is compacted now.
    pub clean_end: i64,
}

/// Keeps passes to a rate, and to one at a time, on one shard.
pub struct Cleaner {
    pub limits: CompactionLimits,
    /// Bytes read and written a second; 0: as many as the background's share of the core allows.
    pub bytes_per_second: u64,
}

/// How far a pass is ahead of its rate.
struct Throttle {
    since: Instant,
    bytes: u64,
    bytes_per_second: u64,
}

impl Throttle {
    async fn spend(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes_per_second == 0 {
            return yield_now().await;
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        sleep(due.saturating_sub(self.since.elapsed())).await;
    }
}

impl Log {
    /// Share of bytes never compacted where a compaction is due now, for choosing the most needy.
    pub async fn compaction_due(&self, now_ms: i64) -> Result<Option<f64>, LogError> {
        let first_dirty = self.first_dirty().await?;
        let state = self.state.borrow();
        let plan = state.compaction_plan(first_dirty, now_ms);
        Ok(plan.filter(|plan| state.is_due(plan)).map(|plan| plan.dirty_ratio()))
    }

    /// Compacts what may be compacted at `now_ms`. One at a time for a log.
    ///
    /// # Errors
    /// The disk fails, or a batch is damaged: nothing is changed then.
    pub async fn compact(
        self: &Rc<Self>,
        cleaner: &Cleaner,
        now_ms: i64,
    ) -> Result<Compacted, LogError> {
        let first_dirty = self.first_dirty().await?;
        let plan = self.state.borrow().compaction_plan(first_dirty, now_ms);
        let Some(plan) = plan else { return Ok(Compacted::default()) };
        let throttle = Throttle {
            since: Instant::now(),
            bytes: 0,
            bytes_per_second: cleaner.bytes_per_second,
        };
        let keys = KeyOffsets::new(cleaner.limits.key_bytes);
        let done = Compacted::default();
        let mut pass = Pass { log: self, plan, throttle, keys, now_ms, done };
        let end = pass.gather_keys().await?;
        pass.rewrite_segments(end).await?;
        let mut done = pass.done;
        (done.keys, done.clean_end) = (pass.keys.len(), end);
        self.set_first_dirty(end).await?;
        Ok(done)
    }
}

struct Pass<'a> {
    log: &'a Rc<Log>,
    plan: CompactionPlan,
    throttle: Throttle,
    keys: KeyOffsets,
    now_ms: i64,
    done: Compacted,
}

impl Pass<'_> {
    /// Notes the last offset of every key in the dirty part; returns how far memory sufficed. One
    /// batch is taken in any case, or nothing would ever become clean.
    async fn gather_keys(&mut self) -> Result<i64, LogError> {
        let mut first = true;
        for at in 0..self.plan.segments.len() {
            let next = self.plan.segments.get(at + 1).copied().unwrap_or(self.plan.end);
            if next <= self.plan.first_dirty {
                continue;
            }
            let mut batches = Batches::open(&self.log.dir, self.plan.segments[at]).await?;
            while let Some((header, batch)) = batches.next(&mut self.throttle).await? {
                if header.is_control() || header.last_offset() < self.plan.first_dirty {
                    continue;
                }
                let keys = &mut self.keys;
                let noted =
                    visit_keys(&batch, |at, key| key.is_none_or(|key| keys.note(key, at, first)));
                first = false;
                if !noted.map_err(|e| batches.damaged(&header, &e.to_string()))? {
                    // Keys of this batch that were noted are right all the same.
                    return Ok(header.base_offset.get());
                }
            }
            self.done.read_bytes += batches.position;
        }
        Ok(self.plan.end)
    }

    /// Writes the segments below `end` anew, as many together as fit one, and puts them in place.
    async fn rewrite_segments(&mut self, end: i64) -> Result<(), LogError> {
        let limit = self.log.state.borrow().segment_limit();
        let mut group: Vec<i64> = Vec::new();
        let mut group_bytes = 0;
        let below: Vec<i64> = self.plan.segments.iter().copied().filter(|b| *b < end).collect();
        for base in below {
            let Some(size) = self.log.state.borrow().find(base).map(|s| s.size) else { continue };
            let first = group.first().copied().unwrap_or(base);
            let wide = self.end_of(base) - first > i64::from(i32::MAX);
            if !group.is_empty() && (group_bytes + size > limit || wide) {
                self.rewrite_group(&std::mem::take(&mut group), end).await?;
                group_bytes = 0;
            }
            group.push(base);
            group_bytes += size;
        }
        if !group.is_empty() {
            self.rewrite_group(&group, end).await?;
        }
        Ok(())
    }

    fn end_of(&self, base: i64) -> i64 {
        let after = self.plan.segments.iter().find(|next| **next > base);
        after.copied().unwrap_or(self.plan.end)
    }

    async fn rewrite_group(&mut self, group: &[i64], end: i64) -> Result<(), LogError> {
        let base = group[0];
        let interval = self.log.state.borrow().config.index_interval_bytes;
        let mut out = Output::create(&self.log.dir, base, interval).await?;
        let mut before = 0;
        for &segment in group {
            let mut batches = Batches::open(&self.log.dir, segment).await?;
            while let Some((header, batch)) = batches.next(&mut self.throttle).await? {
                let kept = self.judge(&header, &batch, end);
                match kept.map_err(|e| batches.damaged(&header, &e.to_string()))? {
                    Kept::All => out.append(&batch, &mut self.throttle).await?,
                    Kept::Some(other) => out.append(&other, &mut self.throttle).await?,
                    Kept::None => {}
                }
            }
            before += batches.position;
        }
        let (size, index) = out.finish(&mut self.throttle).await?;
        self.done.bytes_before += before;
        self.done.bytes_after += size;
        self.log.swap_in(group, size, index).await
    }

    fn judge(&self, header: &BatchHeader, batch: &Bytes, end: i64) -> std::io::Result<Kept> {
        if header.base_offset.get() >= end {
            // Its keys are not known: a tombstone must not go before what it deletes.
            return Ok(Kept::All);
        }
        let state = self.log.state.borrow();
        let (start, retention) = (state.log_start, state.config.delete_retention_ms);
        let judgement = Judgement {
            is_last: &|key, offset| {
                offset >= start && self.keys.last(key).is_none_or(|last| last <= offset)
            },
            now_ms: self.now_ms,
            horizon_ms: self.now_ms.saturating_add(retention),
            keep_empty: state.producers.is_last_batch(header),
        };
        rewrite(batch, &judgement)
    }
}

/// Reads a segment batch by batch.
struct Batches {
    file: File,
    size: u64,
    read_to: u64,
    bytes: BytesMut,
    /// Where the next batch begins.
    position: u64,
}

impl Batches {
    async fn open(dir: &Path, base: i64) -> Result<Batches, LogError> {
        let file = File::open(&file_path(dir, base, "log"), Access::Read).await?;
        let size = file.size().await?;
        Ok(Batches { file, size, read_to: 0, bytes: BytesMut::new(), position: 0 })
    }

    async fn next(
        &mut self,
        throttle: &mut Throttle,
    ) -> Result<Option<(BatchHeader, Bytes)>, LogError> {
        self.fill(BATCH_HEADER_BYTES, throttle).await?;
        let Some(header) = BatchHeader::peek(&self.bytes) else {
            return match self.bytes.is_empty() {
                true => Ok(None),
                false => Err(self.damaged_at(-1, "bytes that are no batch")),
            };
        };
        let offset = header.base_offset.get();
        let size = usize::try_from(header.claimed_size()).unwrap_or(usize::MAX);
        if size > (self.size - self.position) as usize {
            return Err(self.damaged_at(offset, "a batch is cut off"));
        }
        self.fill(size, throttle).await?;
        if self.bytes.len() < size {
            return Err(self.damaged_at(offset, "a batch is cut off"));
        }
        let batch = self.bytes.split_to(size).freeze();
        check_whole(&batch).map_err(|e| self.damaged(&header, &e.to_string()))?;
        self.position += size as u64;
        Ok(Some((header, batch)))
    }

    async fn fill(&mut self, want: usize, throttle: &mut Throttle) -> Result<(), LogError> {
        while self.bytes.len() < want && self.read_to < self.size {
            let room = (self.size - self.read_to).min(CHUNK_BYTES);
            let read = self.file.read_at(self.read_to, room as usize).await?;
            if read.is_empty() {
                break;
            }
            self.read_to += read.len() as u64;
            self.bytes.extend_from_slice(&read);
            throttle.spend(read.len() as u64).await;
        }
        Ok(())
    }

    fn damaged(&self, header: &BatchHeader, reason: &str) -> LogError {
        self.damaged_at(header.base_offset.get(), reason)
    }

    fn damaged_at(&self, offset: i64, reason: &str) -> LogError {
        LogError::Corrupt {
            path: self.file.path().display().to_string(),
            position: self.position,
            offset,
            reason: reason.to_string(),
        }
    }
}

/// The new segment, under a name that recovery removes.
struct Output {
    file: File,
    base: i64,
    interval: u64,
    index: SegmentIndex,
    size: u64,
    /// What is not written yet; it begins at a block.
    pending: Vec<u8>,
}

impl Output {
    async fn create(dir: &Path, base: i64, interval: u64) -> Result<Output, LogError> {
        let path = file_path(dir, base, "log.cleaned");
        let file = File::open(&path, Access::Write).await?;
        file.truncate(0).await?;
        let (index, pending) = (SegmentIndex::default(), Vec::new());
        Ok(Output { file, base, interval, index, size: 0, pending })
    }

    async fn append(&mut self, batch: &Bytes, throttle: &mut Throttle) -> Result<(), LogError> {
        if let Some(header) = BatchHeader::peek(batch) {
            self.index.note(self.base, &header, self.size, self.interval);
        }
        self.size += batch.len() as u64;
        self.pending.extend_from_slice(batch);
        if self.pending.len() as u64 >= CHUNK_BYTES {
            self.write(align_down(self.pending.len() as u64) as usize, throttle).await?;
        }
        Ok(())
    }

    async fn write(&mut self, len: usize, throttle: &mut Throttle) -> Result<(), LogError> {
        let position = self.size - self.pending.len() as u64;
        let mut buffer = WriteBuffer::new(align_up(len as u64) as usize);
        buffer.bytes_mut()[..len].copy_from_slice(&self.pending[..len]);
        buffer.bytes_mut()[len..].fill(0);
        self.file.write_at(buffer, position).await?;
        self.pending.drain(..len);
        throttle.spend(len as u64).await;
        Ok(())
    }

    /// Makes it durable, of its true size.
    async fn finish(mut self, throttle: &mut Throttle) -> Result<(u64, SegmentIndex), LogError> {
        if !self.pending.is_empty() {
            self.write(self.pending.len(), throttle).await?;
        }
        self.file.truncate(self.size).await?;
        self.file.sync_data().await?;
        Ok((self.size, self.index))
    }
}
