//! What the writer does next: the part of the log's state machine that decides about writes, seals
//! and syncs.

use bytes::Bytes;

use super::state::LogState;
use crate::disk::{align_down, align_up};

/// The most bytes one write carries: past this a direct write gains nothing more.
pub const MAX_WRITE_BYTES: u64 = 1 << 20;

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

impl LogState {
    /// What the writer should do next. One write is under way at a time: appends that arrive
    /// meanwhile gather for the next one, which is group commit without a timer.
    pub fn next_step(&mut self) -> WriterStep {
        if self.writing || self.held || self.failure.is_some() {
            return WriterStep::Idle;
        }
        let write = self.is_write_due();
        if self.dirty > 0 && !write {
            return self.next_sync();
        }
        let first = self.tail.len() - self.dirty;
        let target = self.tail.get(first).map_or(self.active().base_offset, |b| b.segment);
        let seal = self.seal_before(target);
        if self.is_clearing() && (seal.is_some() || self.reaches_what_is_cleared()) {
            return WriterStep::Idle; // the writer is told when that is done
        }
        if let Some(step) = seal {
            (self.writing, self.writing_new) = (true, true);
            return step;
        }
        if !write {
            return self.next_sync();
        }
        let plan = self.plan_write(first, target);
        (self.writing, self.writing_new) = (true, plan.end_offset > self.durable_end);
        WriterStep::Write(plan)
    }

    fn next_sync(&mut self) -> WriterStep {
        let end = self.written_end();
        if self.sync_to <= self.synced_end || end <= self.synced_end {
            return WriterStep::Idle;
        }
        (self.writing, self.writing_new) = (true, false);
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
            let journals = self.in_journal && batch.base_offset >= self.durable_end;
            if batch.segment != target || full || journals {
                break;
            }
            plan.end += len;
            // What is durable in the journal needs no more than to be written, unless the journal
            // is to forget it.
            plan.durable |= batch.durable && batch.base_offset >= self.durable_end;
            plan.durable |= batch.base_offset < self.sync_to;
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
        let limit = align_up(self.segment_limit());
        if self.config.preallocate {
            return limit.max(need);
        }
        (need + ahead).min(limit).max(need)
    }

    /// The write of `plan` has completed, durably where it asked for that; `last_block` is what
    /// its last, partly filled block holds. Returns the new end of what is safe.
    pub fn write_done(&mut self, plan: &WritePlan, last_block: Vec<u8>) -> i64 {
        self.writing = false;
        // Large enough by waiting: zeros ahead of those would only be written twice.
        self.last_write = if self.writing_new { plan.len_bytes() as u64 } else { 0 };
        self.partial_block = last_block;
        self.dirty -= plan.parts.len();
        self.dirty_bytes -= plan.parts.iter().map(Bytes::len).sum::<usize>();
        let segment = self.segment_mut(plan.segment);
        segment.written = plan.end;
        segment.cleared = segment.cleared.max(align_up(plan.end));
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
        (segment.allocated, segment.cleared) = (segment.written, 0);
        self.is_synced(self.log_end);
    }
}
