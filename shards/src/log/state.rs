//! The log of one partition as a pure state machine: it assigns offsets, decides where batches go
//! and what is written next. No I/O, no clock, no tasks; the shell around it is `log.rs`.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::batch::{self, BatchHeader};
use super::config::{Durability, LogConfig};
use super::error::LogError;
use super::index::SegmentIndex;
use super::producers::{Producers, SequenceCheck};
use super::segment::Segment;
use crate::disk::{align_down, align_up};

/// The most bytes one write carries: past this a direct write gains nothing more.
pub const MAX_WRITE_BYTES: u64 = 1 << 20;
/// Positions are 32 bits in the index files.
const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;

/// A batch held in memory: still to be written, or kept for tail readers.
#[derive(Debug, Clone)]
pub struct TailBatch {
    pub base_offset: i64,
    pub last_offset: i64,
    pub segment: i64,
    pub position: u64,
    pub durable: bool,
    pub bytes: Bytes,
}

/// A checked batch on its way into a log.
#[derive(Debug)]
pub struct NewBatch {
    pub bytes: BytesMut,
    /// Bytes of memory held by keeping it: as many as it has, or all of a buffer that it is the
    /// first of several to be cut from.
    pub memory: usize,
}

impl From<BytesMut> for NewBatch {
    fn from(bytes: BytesMut) -> Self {
        NewBatch { memory: bytes.len(), bytes }
    }
}

/// Where an appended batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// `true`: the batch was there before, nothing was appended.
    pub duplicate: bool,
}

/// The next thing the writer has to do.
#[derive(Debug)]
pub enum WriterStep {
    /// Nothing: wait for the next append.
    Idle,
    /// Close this segment for good: sync, cut to `size`, write its index files.
    Seal {
        segment: i64,
        size: u64,
        next: i64,
    },
    Write(WritePlan),
    /// Make what was written to this segment durable: `bytes` of it, up to offset `end`.
    Sync {
        segment: i64,
        bytes: u64,
        end: i64,
    },
}

/// One aligned write: part of a block that was written before, then whole batches, then zeros.
#[derive(Debug)]
pub struct WritePlan {
    pub segment: i64,
    /// Aligned position of the write.
    pub start: u64,
    /// End of the batches in the file; the write itself reaches to the next block.
    pub end: u64,
    /// What the first block already holds.
    pub head: Vec<u8>,
    pub parts: Vec<Bytes>,
    /// Log end offset once this write is done.
    pub end_offset: i64,
    pub durable: bool,
    /// Whether everything before `start` is durable in the segment's file, so that a durable write
    /// of this range makes all of it durable. That it is durable in the journal is not enough:
    /// recovery ends at the first hole in the file, whatever lies behind it.
    pub follows_durable: bool,
    /// Size the file must be grown to before, where its space is used up.
    pub allocate: Option<u64>,
}

impl WritePlan {
    pub fn len_bytes(&self) -> usize {
        (align_up(self.end) - self.start) as usize
    }

    /// Fills an aligned buffer of [`WritePlan::len_bytes`]: the one copy of record bytes on the
    /// way to the disk.
    pub fn fill(&self, buffer: &mut [u8]) {
        let mut at = self.head.len();
        buffer[..at].copy_from_slice(&self.head);
        for part in &self.parts {
            buffer[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        buffer[at..].fill(0);
    }
}

/// See the module's head. Lives in its log's `RefCell` on the owning shard.
#[derive(Debug)]
pub struct LogState {
    pub(super) config: LogConfig,
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    /// Everything below is as safe as was asked for when it was appended.
    pub(super) safe_end: i64,
    /// Everything below is durable, in the segments or in the journal.
    pub(super) durable_end: i64,
    /// Everything below is durable in the segments.
    pub(super) synced_end: i64,
    /// What the segments have been asked to hold, and to hold durably.
    pub(super) write_to: i64,
    pub(super) sync_to: i64,
    /// Batches are on their way to the journal.
    pub(super) journaling: bool,
    pub(super) tail: VecDeque<TailBatch>,
    /// Batches of `tail`, from its end, that are not yet written.
    pub(super) dirty: usize,
    pub(super) dirty_bytes: usize,
    /// The bytes of the active segment's last, partly filled block.
    pub(super) partial_block: Vec<u8>,
    pub(super) writing: bool,
    pub(super) producers: Producers,
    pub(super) failure: Option<String>,
    /// There is no space to write to.
    pub(super) full: bool,
    /// Batches that left `tail` although nobody evicted them: they are still counted outside.
    pub(super) unaccounted: usize,
}

impl LogState {
    /// A log as recovery found it: `segments` in order, the last one active, all of it written
    /// and durable; `partial_block` is what the active segment holds behind its last whole block.
    pub fn new(
        config: LogConfig,
        segments: Vec<Segment>,
        log_start: i64,
        log_end: i64,
        partial_block: Vec<u8>,
        producers: Producers,
    ) -> Self {
        assert!(!segments.is_empty(), "a log has an active segment");
        LogState {
            config,
            segments,
            log_start,
            log_end,
            safe_end: log_end,
            durable_end: log_end,
            synced_end: log_end,
            write_to: 0,
            sync_to: 0,
            journaling: false,
            tail: VecDeque::new(),
            dirty: 0,
            dirty_bytes: 0,
            partial_block,
            writing: false,
            producers,
            failure: None,
            full: false,
            unaccounted: 0,
        }
    }

    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    /// The end of what may be shown: see [`Durability`].
    pub fn safe_end(&self) -> i64 {
        self.safe_end
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Bytes of all batches in all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub fn delete_delay_ms(&self) -> u64 {
        self.config.delete_delay_ms
    }

    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Appends one checked batch: assigns its offsets, patches its header and queues it for the
    /// writer. `bytes` must be what [`batch::check_produced`] passed.
    ///
    /// # Errors
    /// The log is offline, or the producer's epoch or sequence number is wrong.
    pub fn append(
        &mut self,
        mut bytes: BytesMut,
        leader_epoch: i32,
        durability: Durability,
        now_ms: i64,
    ) -> Result<Appended, LogError> {
        if let Some(failure) = &self.failure {
            return Err(LogError::Offline(failure.clone()));
        }
        if self.full {
            return Err(LogError::NoSpace);
        }
        let header =
            BatchHeader::peek(&bytes).ok_or(batch::BatchError::TooShort { have: bytes.len() })?;
        if let Some(appended) = self.check_producer(&header)? {
            return Ok(appended);
        }
        self.roll_if_needed(bytes.len() as u64, now_ms);
        let base_offset = self.log_end;
        batch::assign(&mut bytes, base_offset, leader_epoch);
        let bytes = bytes.freeze();
        self.enqueue(bytes, durability == Durability::Durable);
        Ok(Appended { base_offset, last_offset: self.log_end - 1, duplicate: false })
    }

    fn check_producer(&self, header: &BatchHeader) -> Result<Option<Appended>, LogError> {
        if header.producer_id.get() < 0 {
            return Ok(None);
        }
        match self.producers.check(header) {
            SequenceCheck::Append => Ok(None),
            SequenceCheck::Duplicate { base_offset, .. } => Ok(Some(Appended {
                base_offset,
                last_offset: base_offset + i64::from(header.last_offset_delta.get()),
                duplicate: true,
            })),
            SequenceCheck::OutOfOrder { expected, got } => {
                Err(LogError::OutOfOrderSequence { expected, got })
            }
            SequenceCheck::Fenced { current, got } => Err(LogError::Fenced { current, got }),
        }
    }

    fn roll_if_needed(&mut self, len: u64, now_ms: i64) {
        let limit = self.config.segment_bytes.min(MAX_SEGMENT_BYTES);
        let segment_ms = self.config.segment_ms;
        let active = self.active();
        let too_large = active.size + len > limit;
        let too_old = active.opened_ms.is_some_and(|t| now_ms.saturating_sub(t) > segment_ms);
        // Relative offsets in the index are 32 bits, signed in Kafka.
        let too_many = self.log_end - active.base_offset > i64::from(i32::MAX) - (1 << 20);
        if active.size > 0 && (too_large || too_old || too_many) {
            let expire_before = now_ms.saturating_sub(self.config.producer_expiration_ms);
            self.producers.expire(expire_before);
            let mut next = Segment::new(self.log_end);
            next.producers_at_base = Some(self.producers.encode());
            self.segments.push(next);
        }
        let active = self.active_mut();
        active.opened_ms.get_or_insert(now_ms);
    }

    fn enqueue(&mut self, bytes: Bytes, durable: bool) {
        let Some(header) = BatchHeader::peek(&bytes) else { return };
        self.producers.note(&header);
        let interval = self.config.index_interval_bytes;
        let segment = self.active_mut();
        let position = segment.size;
        let index = segment.index.get_or_insert_with(Rc::default);
        Rc::make_mut(index).note(segment.base_offset, &header, position, interval);
        segment.size += bytes.len() as u64;
        let segment = segment.base_offset;
        let last_offset = header.last_offset();
        let base_offset = header.base_offset.get();
        self.log_end = last_offset + 1;
        self.dirty += 1;
        self.dirty_bytes += bytes.len();
        let batch = TailBatch { base_offset, last_offset, segment, position, durable, bytes };
        self.tail.push_back(batch);
    }

    /// What the writer should do next. One write is under way at a time: appends that arrive
    /// meanwhile gather for the next one, which is group commit without a timer.
    pub fn next_step(&mut self) -> WriterStep {
        if self.writing || self.journaling || self.failure.is_some() {
            return WriterStep::Idle;
        }
        let write = self.is_write_due();
        if self.dirty > 0 && !write {
            return self.next_sync();
        }
        let first = self.tail.len() - self.dirty;
        let target = self.tail.get(first).map_or(self.active().base_offset, |b| b.segment);
        if let Some(step) = self.seal_before(target) {
            self.writing = true;
            return step;
        }
        if !write {
            return self.next_sync();
        }
        let plan = self.plan_write(first, target);
        self.writing = true;
        WriterStep::Write(plan)
    }

    fn next_sync(&mut self) -> WriterStep {
        let end = self.written_end();
        if self.sync_to <= self.synced_end || end <= self.synced_end {
            return WriterStep::Idle;
        }
        self.writing = true;
        // Those before were synced when they were sealed.
        let written = self.segments.iter().rev().find(|segment| segment.written > 0);
        let segment = written.unwrap_or(self.active());
        WriterStep::Sync { segment: segment.base_offset, bytes: segment.written, end }
    }

    /// A segment's file is durable as far as a step said.
    pub fn sync_done(&mut self, segment: i64, bytes: u64, end: i64) {
        self.writing = false;
        self.segment_mut(segment).synced = bytes;
        self.is_synced(end);
    }

    fn is_synced(&mut self, end: i64) {
        self.synced_end = self.synced_end.max(end);
        self.durable_end = self.durable_end.max(end);
    }

    /// The segment before `target`, if it is not sealed yet. Whether it has anything left to write
    /// does not matter: one that was recovered whole is sealed, too, before the next one begins.
    fn seal_before(&self, target: i64) -> Option<WriterStep> {
        let at = self.segments.partition_point(|s| s.base_offset < target);
        let previous = self.segments.get(at.checked_sub(1)?)?;
        (!previous.sealed).then_some(WriterStep::Seal {
            segment: previous.base_offset,
            size: previous.size,
            next: target,
        })
    }

    fn plan_write(&mut self, first: usize, target: i64) -> WritePlan {
        let segment = self.segment(target);
        let (written, synced, allocated) = (segment.written, segment.synced, segment.allocated);
        let head = std::mem::take(&mut self.partial_block);
        let mut plan = WritePlan {
            segment: target,
            start: align_down(written),
            end: written,
            head,
            parts: Vec::new(),
            end_offset: self.safe_end,
            durable: false,
            follows_durable: synced == written,
            allocate: None,
        };
        for batch in self.tail.range(first..) {
            let len = batch.bytes.len() as u64;
            let full = !plan.parts.is_empty() && plan.end - plan.start + len > MAX_WRITE_BYTES;
            if batch.segment != target || full {
                break;
            }
            plan.end += len;
            // What is durable in the journal needs no more than to be written.
            plan.durable |= batch.durable && batch.base_offset >= self.durable_end;
            plan.end_offset = batch.last_offset + 1;
            plan.parts.push(batch.bytes.clone());
        }
        if align_up(plan.end) > allocated {
            plan.allocate = Some(self.grown_size(align_up(plan.end)));
        }
        plan
    }

    /// Space ahead doubles with the segment, from 64 KiB to 32 MiB at a time, so that ten
    /// thousand quiet partitions do not fill the disk and a busy one seldom waits for space.
    fn grown_size(&self, need: u64) -> u64 {
        let ahead = need.clamp(64 << 10, 32 << 20);
        let limit = align_up(self.config.segment_bytes.min(MAX_SEGMENT_BYTES));
        (need + ahead).min(limit).max(need)
    }

    /// The write of `plan` has completed, durably where it asked for that; `last_block` is what
    /// its last, partly filled block holds. Returns the new end of what is safe.
    pub fn write_done(&mut self, plan: &WritePlan, last_block: Vec<u8>) -> i64 {
        self.writing = false;
        self.partial_block = last_block;
        self.dirty -= plan.parts.len();
        self.dirty_bytes -= plan.parts.iter().map(Bytes::len).sum::<usize>();
        let segment = self.segment_mut(plan.segment);
        segment.written = plan.end;
        if let Some(size) = plan.allocate {
            segment.allocated = size;
        }
        if plan.durable {
            segment.synced = plan.end;
            self.is_synced(plan.end_offset);
        }
        self.safe_end = self.safe_end.max(plan.end_offset);
        self.safe_end
    }

    /// The producers as they were at the base of a segment that is about to get its file. Later
    /// appends must not be in it: they may be lost while it stays.
    pub fn take_snapshot(&mut self, base_offset: i64) -> Option<Vec<u8>> {
        self.segment_mut(base_offset).producers_at_base.clone()
    }

    /// A segment was sealed: synced, cut to its size, its index files written.
    pub fn seal_done(&mut self, base_offset: i64) {
        self.writing = false;
        self.partial_block = Vec::new();
        let segment = self.segment_mut(base_offset);
        segment.synced = segment.size;
        segment.allocated = segment.size;
        segment.sealed = true;
        let at = self.position_of(base_offset);
        if let Some(next) = self.segments.get_mut(at + 1) {
            // Its snapshot is on disk.
            next.producers_at_base = None;
            let base = next.base_offset;
            self.is_synced(base);
        }
    }

    /// Everything written so far in the active segment is durable, and the file has its true size.
    pub fn trimmed(&mut self) {
        let segment = self.active_mut();
        segment.synced = segment.written;
        segment.allocated = segment.written;
        self.is_synced(self.log_end);
    }

    /// Takes the log offline: nothing unwritten will be written any more.
    pub fn fail(&mut self, reason: String) {
        self.writing = false;
        self.failure.get_or_insert(reason);
    }

    /// Drops the oldest batch kept in memory if it has been written; returns whether it was.
    pub fn evict_oldest(&mut self) -> bool {
        if self.unaccounted > 0 {
            self.unaccounted -= 1;
            return true;
        }
        self.tail.len() > self.dirty && self.tail.pop_front().is_some()
    }

    /// Batches in memory from the one that holds `offset`, up to `end`, until `max_bytes` are
    /// reached; the first is taken whatever its size where `at_least_one`. `None`: not in memory.
    pub fn read_tail(
        &self,
        offset: i64,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Vec<Bytes>> {
        if self.tail.front()?.base_offset > offset {
            return None;
        }
        let from = self.tail.partition_point(|batch| batch.last_offset < offset);
        let mut out = Vec::new();
        let mut total = 0;
        for batch in self.tail.range(from..) {
            if batch.last_offset >= end {
                break;
            }
            total += batch.bytes.len();
            if total > max_bytes && !(at_least_one && out.is_empty()) {
                break;
            }
            out.push(batch.bytes.clone());
        }
        Some(out)
    }

    /// Batches in memory, oldest first.
    pub fn tail(&self) -> impl DoubleEndedIterator<Item = &TailBatch> {
        self.tail.iter()
    }

    /// The segment that holds `offset` (the last one that starts at or before it).
    pub fn segment_for(&self, offset: i64) -> Option<&Segment> {
        let after = self.segments.partition_point(|s| s.base_offset <= offset);
        self.segments.get(after.checked_sub(1)?)
    }

    pub fn set_index(&mut self, base_offset: i64, index: Rc<SegmentIndex>) {
        self.segment_mut(base_offset).index = Some(index);
    }

    pub fn active(&self) -> &Segment {
        self.segments.last().expect("a log has an active segment")
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has an active segment")
    }

    fn position_of(&self, base_offset: i64) -> usize {
        let found = self.segments.binary_search_by_key(&base_offset, |s| s.base_offset);
        found.expect("plans name segments of this log")
    }

    fn segment(&self, base_offset: i64) -> &Segment {
        &self.segments[self.position_of(base_offset)]
    }

    fn segment_mut(&mut self, base_offset: i64) -> &mut Segment {
        let at = self.position_of(base_offset);
        &mut self.segments[at]
    }
}
