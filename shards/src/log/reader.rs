//! Reads: from memory where the batches are still there, else from the segments by sparse index,
//! in large aligned blocks that are kept for the next reader.

use std::rc::Rc;

use bytes::Bytes;

use super::batch::{BatchHeader, BATCH_HEADER_BYTES};
use super::blocks::BLOCK_LEN;
use super::checked::{keep_whole, Origin};
use super::error::LogError;
use super::index::SegmentIndex;
use super::loads::Load;
use super::log::Log;
use super::segment::file_path;
use crate::disk::{DiskError, File, FileId, HandleKind};

/// Record bytes of consecutive whole batches, in pieces.
pub type Records = Vec<Bytes>;

/// A place in a segment file, taken out of the log's state so that no borrow lives across I/O.
struct SegmentView {
    base_offset: i64,
    file: FileId,
    /// Bytes that may be read.
    limit: u64,
    index: Option<Rc<SegmentIndex>>,
}

enum Near {
    Here(Bytes),
    Coming(Load),
}

impl Log {
    /// Batches in memory from `offset` up to `end`: `None` where they have to be read from disk.
    ///
    /// # Errors
    /// The offset is outside of the log.
    pub fn read_cached(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Records>, LogError> {
        self.check_dir()?;
        let state = self.state.borrow();
        let (start, log_end) = (state.log_start(), state.log_end());
        if offset < start || offset > log_end {
            return Err(LogError::OffsetOutOfRange { offset, start, end: log_end });
        }
        if offset >= end {
            return Ok(Some(Vec::new()));
        }
        Ok(state.read_tail(offset, end, max_bytes, at_least_one))
    }

    /// Batches from the one that holds `offset` up to `end` (at most [`Log::safe_end`]), about
    /// `max_bytes` of them; the first is returned whole whatever its size where `at_least_one`.
    ///
    /// # Errors
    /// The offset is outside of the log, the disk fails, or what it holds is damaged.
    pub async fn read(
        self: &Rc<Self>,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Records, LogError> {
        if let Some(records) = self.read_cached(offset, end, max_bytes, at_least_one)? {
            return Ok(records);
        }
        let read = loop {
            let read = self.read_segments(offset, end, max_bytes, at_least_one).await;
            if !matches!(read, Err(LogError::Moved)) {
                break read;
            }
        };
        let start = self.log_start();
        match read {
            // Deleted while we were on our way to it.
            Err(LogError::Disk(_)) if offset < start => {
                Err(LogError::OffsetOutOfRange { offset, start, end: self.log_end() })
            }
            read => read,
        }
    }

    async fn read_segments(
        self: &Rc<Self>,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Records, LogError> {
        let Some(mut view) = self.view(offset) else { return Ok(Vec::new()) };
        loop {
            let index = self.index(&view).await?;
            let relative = (offset - view.base_offset).clamp(0, i64::from(u32::MAX)) as u32;
            let from = index.position_before(relative);
            if let Some((position, header)) =
                self.find(&view, from, |header| header.last_offset() >= offset).await?
            {
                let first = header.claimed_size() as u64;
                if first > max_bytes as u64 && !at_least_one {
                    return Ok(Vec::new());
                }
                let to = (position + first.max(max_bytes as u64)).min(view.limit);
                return self.batches(&view, position, to, end).await;
            }
            // The offset was compacted away at this segment's end.
            match self.view_after(view.base_offset) {
                Some(next) => view = next,
                None => return Ok(Vec::new()),
            }
        }
    }

    /// The first batch with a record at or after `timestamp_ms`, whole; `None` where there is
    /// none before `end`.
    ///
    /// # Errors
    /// The disk fails, or what it holds is damaged.
    pub async fn batch_at_time(
        self: &Rc<Self>,
        timestamp_ms: i64,
        end: i64,
    ) -> Result<Option<Bytes>, LogError> {
        loop {
            let found = self.find_at_time(timestamp_ms, end).await;
            if !matches!(found, Err(LogError::Moved)) {
                return found;
            }
        }
    }

    async fn find_at_time(
        self: &Rc<Self>,
        timestamp_ms: i64,
        end: i64,
    ) -> Result<Option<Bytes>, LogError> {
        let start = self.log_start();
        let mut view = self.view(start);
        while let Some(segment) = view {
            let index = self.index(&segment).await?;
            if index.max_timestamp().is_some_and(|(max, _)| max >= timestamp_ms) {
                let from = index.position_before_time(timestamp_ms);
                let late = |header: &BatchHeader| {
                    header.max_timestamp.get() >= timestamp_ms && header.last_offset() >= start
                };
                if let Some((position, header)) = self.find(&segment, from, late).await? {
                    if header.base_offset.get() >= end {
                        return Ok(None);
                    }
                    let to = position + header.claimed_size() as u64;
                    let pieces = self.batches(&segment, position, to, end).await?;
                    return Ok(Some(Bytes::from(pieces.concat())));
                }
            }
            view = self.view_after(segment.base_offset);
        }
        Ok(self.tail_batch_at_time(timestamp_ms, end))
    }

    /// The largest timestamp in the log, if it holds any batch.
    ///
    /// # Errors
    /// An index has to be built anew and the disk fails.
    pub async fn max_timestamp(&self) -> Result<Option<i64>, LogError> {
        let mut max = None;
        let mut view = self.view(self.log_start());
        while let Some(segment) = view {
            let index = self.index(&segment).await?;
            max = max.max(index.max_timestamp().map(|(timestamp, _)| timestamp));
            view = self.view_after(segment.base_offset);
        }
        Ok(max)
    }

    fn tail_batch_at_time(&self, timestamp_ms: i64, end: i64) -> Option<Bytes> {
        let start = self.log_start();
        let state = self.state.borrow();
        let found = state.tail().find(|batch| {
            let header = BatchHeader::peek(&batch.bytes);
            (start..end).contains(&batch.last_offset)
                && header.is_some_and(|h| h.max_timestamp.get() >= timestamp_ms)
        });
        found.map(|batch| batch.bytes.clone())
    }

    fn view(&self, offset: i64) -> Option<SegmentView> {
        let state = self.state.borrow();
        state.segment_for(offset).map(|segment| SegmentView {
            base_offset: segment.base_offset,
            file: segment.file(),
            limit: segment.written,
            index: segment.index.clone(),
        })
    }

    fn view_after(&self, base_offset: i64) -> Option<SegmentView> {
        let next = {
            let state = self.state.borrow();
            let at = state.segments().partition_point(|s| s.base_offset <= base_offset);
            state.segments().get(at).map(|s| s.base_offset)
        };
        next.and_then(|base| self.view(base))
    }

    async fn index(&self, view: &SegmentView) -> Result<Rc<SegmentIndex>, LogError> {
        match &view.index {
            Some(index) => Ok(Rc::clone(index)),
            None => {
                let path = file_path(&self.dir(), view.base_offset, "index");
                let reason = "the segment has no index".to_string();
                let path = path.display().to_string();
                Err(LogError::Corrupt { path, position: 0, offset: view.base_offset, reason })
            }
        }
    }

    /// The first batch from `position` on that `wanted` accepts.
    async fn find(
        self: &Rc<Self>,
        view: &SegmentView,
        mut position: u64,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(u64, BatchHeader)>, LogError> {
        while position + BATCH_HEADER_BYTES as u64 <= view.limit {
            let to = position + BATCH_HEADER_BYTES as u64;
            let pieces = self.slices(view, position, to).await?;
            let header = match &pieces[..] {
                [whole] => BatchHeader::peek(whole),
                pieces => BatchHeader::peek(&pieces.concat()),
            };
            let Some(header) = header.filter(|h| {
                let size = h.claimed_size();
                size >= BATCH_HEADER_BYTES as i64 && position + size as u64 <= view.limit
            }) else {
                return Err(self.corrupt(
                    view,
                    position,
                    view.base_offset,
                    "no whole batch where one must begin",
                ));
            };
            if wanted(&header) {
                return Ok(Some((position, header)));
            }
            position += header.claimed_size() as u64;
        }
        Ok(None)
    }

    /// The whole batches from `from` to `to` of a segment that begin before `end`, checked.
    async fn batches(
        self: &Rc<Self>,
        view: &SegmentView,
        from: u64,
        to: u64,
        end: i64,
    ) -> Result<Records, LogError> {
        let mut pieces = self.slices(view, from, to).await?;
        let origin = Origin { blocks: &self.env.blocks, log: self.id(), file: view.file };
        match keep_whole(&origin, &mut pieces, from, end) {
            Ok(()) => Ok(pieces),
            Err(damage) => {
                // The next read asks the disk again: it may have been the way, not the platter.
                self.env.blocks.forget(self.id());
                Err(self.corrupt(view, damage.position, damage.offset, damage.reason))
            }
        }
    }

    /// The bytes from `from` to `to` of a segment, in pieces of the blocks they lie in.
    async fn slices(
        self: &Rc<Self>,
        view: &SegmentView,
        from: u64,
        to: u64,
    ) -> Result<Vec<Bytes>, LogError> {
        let mut pieces = Vec::with_capacity(2);
        let mut at = from;
        while at < to {
            let number = at / BLOCK_LEN;
            let block = self.block(view, number, to).await?;
            let start = (at - number * BLOCK_LEN) as usize;
            let end = ((to - number * BLOCK_LEN).min(BLOCK_LEN) as usize).min(block.len());
            if start >= end {
                return Err(self.corrupt(
                    view,
                    at,
                    view.base_offset,
                    "the file is shorter than its batches",
                ));
            }
            pieces.push(block.slice(start..end));
            at += (end - start) as u64;
        }
        Ok(pieces)
    }

    /// One block, from memory or from disk. For a reader that wants more than this one, or that goes
    /// on from the block before, those behind it are read ahead.
    async fn block(
        self: &Rc<Self>,
        view: &SegmentView,
        number: u64,
        to: u64,
    ) -> Result<Bytes, LogError> {
        let whole = view.limit / BLOCK_LEN;
        if number >= whole {
            // Still being appended to: what is kept of it would be out of date at once.
            let (start, end) = (number * BLOCK_LEN, view.limit);
            let file = self.file_to_read(view.file).await;
            let file = file.map_err(|error| self.or_moved(view, error))?;
            return Ok(file.read_at(start, (end - start) as usize).await?);
        }
        let near = match self.env.blocks.get(&(self.id(), view.file, number)) {
            Some(block) => Near::Here(block),
            None => Near::Coming(self.load(view.file, number)),
        };
        let sequential = number > 0 && self.is_near(view.file, number - 1);
        let ahead = if sequential {
            number + self.env.blocks.read_ahead()
        } else {
            to.div_ceil(BLOCK_LEN) - 1
        };
        for next in number + 1..=ahead.min(whole - 1) {
            if !self.is_near(view.file, next) {
                let _goes_on_by_itself = self.load(view.file, next);
            }
        }
        Ok(match near {
            Near::Here(block) => block,
            Near::Coming(load) => load.await.map_err(|error| self.or_moved(view, error))?,
        })
    }

    /// A segment's open file, for reading. Waits while a compaction exchanges files.
    pub(super) async fn file_to_read(&self, id: FileId) -> Result<Rc<File>, DiskError> {
        loop {
            self.settled.until(|| !self.swapping.get()).await;
            if !self.state.borrow().has_file(id) {
                let path = file_path(&self.dir(), id.0, "log");
                return Err(DiskError::new("open", &path, std::io::ErrorKind::NotFound.into()));
            }
            let log = self.id();
            let file = self.open_file(id, HandleKind::Read).await;
            // The name may have come to mean another file while it was opened.
            let same = self.id() == log && self.state.borrow().has_file(id);
            if same && !self.swapping.get() {
                return file;
            }
            self.env.handles.forget(log, id);
        }
    }

    /// A read that failed because its segment was compacted meanwhile is made again.
    fn or_moved(&self, view: &SegmentView, error: DiskError) -> LogError {
        let state = self.state.borrow();
        let gone = !state.has_file(view.file);
        match gone && state.segment_for(view.base_offset).is_some() {
            true => LogError::Moved,
            false => LogError::Disk(error),
        }
    }

    fn corrupt(&self, view: &SegmentView, position: u64, offset: i64, reason: &str) -> LogError {
        let path = file_path(&self.dir(), view.base_offset, "log").display().to_string();
        let reason = reason.to_string();
        LogError::Corrupt { path, position, offset, reason }
    }
}
