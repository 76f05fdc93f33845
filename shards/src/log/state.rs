//! The log of one partition as a pure state machine: it assigns offsets, decides where batches go
//! and what is written next. No I/O, no clock, no tasks; the shell around it is `log.rs`.

use std::collections::VecDeque;
use std::rc::Rc;

use super::batch::{self, BatchHeader, Marker};
use super::config::{Durability, LogConfig};
use super::error::LogError;
use super::point::RecoveryPoint;
use super::producers::{Producers, SequenceCheck};
use super::segment::Segment;
use crate::disk::FileId;
use bytes::{Bytes, BytesMut};

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
    /// What is nowhere durable yet waits for the journal's next frame, or is in it.
    pub(super) in_journal: bool,
    /// Nothing new goes to the journal.
    pub(super) past_journal: bool,
    /// Nothing is written: what is appended gathers.
    pub(super) held: bool,
    pub(super) tail: VecDeque<TailBatch>,
    /// Batches of `tail`, from its end, that are not yet written.
    pub(super) dirty: usize,
    pub(super) dirty_bytes: usize,
    /// The bytes of the active segment's last, partly filled block.
    pub(super) partial_block: Vec<u8>,
    pub(super) writing: bool,
    /// The step under way is about what is nowhere durable yet, or closes a segment.
    pub(super) writing_new: bool,
    /// Bytes of the last write; 0: of what was durable before.
    pub(super) last_write: u64,
    /// From where on, in which segment, zeros are being written ahead of the tail.
    pub(super) clearing_from: Option<(i64, u64)>,
    pub(super) producers: Producers,
    /// The next recovery point, and the (segment, position) of the last one taken.
    pub(super) point: Option<RecoveryPoint>,
    pub(super) last_point: (i64, u64),
    /// Another for every log of a shard.
    pub(super) seed: u64,
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
            in_journal: false,
            past_journal: false,
            held: false,
            tail: VecDeque::new(),
            dirty: 0,
            dirty_bytes: 0,
            partial_block,
            writing: false,
            writing_new: false,
            last_write: 0,
            clearing_from: None,
            producers,
            point: None,
            last_point: (0, 0),
            seed: 0,
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
        if let Some(appended) = self.check_producer(&header, &bytes)? {
            return Ok(appended);
        }
        self.roll_if_needed(bytes.len() as u64, now_ms);
        let base_offset = self.log_end;
        batch::assign(&mut bytes, base_offset, leader_epoch);
        let bytes = bytes.freeze();
        let unflushed = header.last_offset_delta.get() as i64 + 1 + base_offset - self.durable_end;
        let flush = unflushed >= self.config.flush_messages;
        self.enqueue(bytes, flush || durability == Durability::Durable);
        if durability == Durability::Memory && !flush && self.safe_end == base_offset {
            self.safe_end = self.log_end;
        }
        Ok(Appended { base_offset, last_offset: self.log_end - 1, duplicate: false })
    }

    fn check_producer(
        &self,
        header: &BatchHeader,
        batch: &[u8],
    ) -> Result<Option<Appended>, LogError> {
        if header.producer_id.get() < 0 {
            return Ok(None);
        }
        let checked = match Marker::of(header, batch) {
            Some(marker) => self.producers.check_marker(header, marker),
            None => self.producers.check(header),
        };
        match checked {
            SequenceCheck::Append => Ok(None),
            // Safe as soon as all that was appended is.
            SequenceCheck::Ended => Ok(Some(Appended {
                base_offset: self.log_end - 1,
                last_offset: self.log_end - 1,
                duplicate: true,
            })),
            SequenceCheck::Duplicate { base_offset, .. } => Ok(Some(Appended {
                base_offset,
                last_offset: base_offset + i64::from(header.last_offset_delta.get()),
                duplicate: true,
            })),
            SequenceCheck::OutOfOrder { expected, got } => {
                Err(LogError::OutOfOrderSequence { expected, got })
            }
            SequenceCheck::Fenced { current, got } => Err(LogError::Fenced { current, got }),
            SequenceCheck::OutsideTransaction => Err(LogError::OutsideTransaction),
            SequenceCheck::CoordinatorFenced { current, got } => {
                Err(LogError::CoordinatorFenced { current, got })
            }
        }
    }

    fn enqueue(&mut self, bytes: Bytes, durable: bool) {
        let Some(header) = BatchHeader::peek(&bytes) else { return };
        let aborted = self.producers.note(&header, &bytes);
        if header.is_control() {
            self.producers.settle(self.safe_end);
        }
        let interval = self.config.index_interval_bytes;
        let segment = self.active_mut();
        if let Some(aborted) = aborted {
            Rc::make_mut(&mut segment.aborted).push(aborted);
        }
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

    /// The producers as they were at the base of a segment that is about to get its file. Later
    /// appends must not be in it: they may be lost while it stays.
    pub fn take_snapshot(&mut self, base_offset: i64) -> Option<Vec<u8>> {
        self.segment_mut(base_offset).producers_at_base.clone()
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

    pub(super) fn find(&self, base_offset: i64) -> Option<&Segment> {
        self.segment_for(base_offset).filter(|segment| segment.base_offset == base_offset)
    }

    /// Whether a segment is still there, in this very file.
    pub fn has_file(&self, file: FileId) -> bool {
        self.find(file.0).is_some_and(|segment| segment.version == file.1)
    }

    pub(super) fn version_of(&self, base_offset: i64) -> u32 {
        self.find(base_offset).map_or(0, |segment| segment.version)
    }

    /// The files of these segments as they are now.
    pub(super) fn files_of(&self, bases: &[i64]) -> Vec<FileId> {
        bases.iter().map(|base| (*base, self.version_of(*base))).collect()
    }

    /// Bytes that a segment may have.
    pub(super) fn segment_limit(&self) -> u64 {
        self.config.segment_bytes.min(MAX_SEGMENT_BYTES)
    }

    pub fn active(&self) -> &Segment {
        self.segments.last().expect("a log has an active segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has an active segment")
    }

    pub(super) fn position_of(&self, base_offset: i64) -> usize {
        let found = self.segments.binary_search_by_key(&base_offset, |s| s.base_offset);
        found.expect("plans name segments of this log")
    }

    pub(super) fn segment(&self, base_offset: i64) -> &Segment {
        &self.segments[self.position_of(base_offset)]
    }

    pub(super) fn segment_mut(&mut self, base_offset: i64) -> &mut Segment {
        let at = self.position_of(base_offset);
        &mut self.segments[at]
    }
}
