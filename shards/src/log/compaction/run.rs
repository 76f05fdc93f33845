//! A pass of compaction over one log, in the background: two readings of its segments, one writing.

use std::rc::Rc;

use bytes::Bytes;

use super::files::{Batches, Output};
use super::keys::KeyOffsets;
use super::plan::CompactionPlan;
use super::rewrite::{Judgement, Kept, Rebuilt, Rewriter};
use super::transactions::Transactions;
use crate::log::batch::{undone_records, BatchHeader, Codec, Record};
use crate::log::error::LogError;
use crate::log::log::Log;
use crate::log::throttle::{Pace, Throttle};
use crate::runtime::spawn_blocking;

/// Records judged before others get a turn: some ten microseconds.
const RECORDS_AT_ONCE: i32 = 64;

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

/// What bounds a shard's passes, beside the topics' own settings.
#[derive(Debug, Clone, Copy)]
pub struct Cleaner {
    /// Memory for the keys of one pass.
    pub key_bytes: usize,
    pub pace: Pace,
}

impl Log {
    /// Share of bytes never compacted where a compaction is due now, for choosing the most needy.
    pub async fn compaction_due(&self, now_ms: i64) -> Result<Option<f64>, LogError> {
        if self.moving.borrow().is_some() {
            return Ok(None);
        }
        let first_dirty = self.first_dirty().await?;
        let state = self.state.borrow();
        let plan = state.compaction_plan(first_dirty, now_ms);
        Ok(plan.filter(|plan| state.is_due(plan)).map(|plan| plan.dirty_ratio()))
    }

    /// Compacts what may be compacted at `now_ms`. One at a time for a log, and nothing while it is
    /// moved.
    ///
    /// # Errors
    /// The disk fails, or a batch is damaged: nothing is changed then.
    pub async fn compact(
        self: &Rc<Self>,
        cleaner: &Cleaner,
        now_ms: i64,
    ) -> Result<Compacted, LogError> {
        if self.moving.borrow().is_some() {
            return Ok(Compacted::default());
        }
        self.compacting.set(true);
        let done = self.compact_now(cleaner, now_ms).await;
        self.compacting.set(false);
        self.settled.notify();
        done
    }

    async fn compact_now(
        self: &Rc<Self>,
        cleaner: &Cleaner,
        now_ms: i64,
    ) -> Result<Compacted, LogError> {
        let first_dirty = self.first_dirty().await?;
        let plan = self.state.borrow().compaction_plan(first_dirty, now_ms);
        let Some(plan) = plan else { return Ok(Compacted::default()) };
        let throttle = Throttle::new(cleaner.pace);
        let keys = KeyOffsets::new(cleaner.key_bytes);
        let done = Compacted::default();
        let aborted = self.state.borrow().aborted_between(self.log_start(), plan.end);
        let transactions = Transactions::new(&aborted);
        let mut pass = Pass { log: self, plan, throttle, keys, transactions, now_ms, done };
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
    transactions: Transactions,
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
            let mut batches = Batches::open(&self.log.dir(), self.plan.segments[at]).await?;
            while let Some((header, batch)) = batches.next(&mut self.throttle).await? {
                let dirty = header.last_offset() >= self.plan.first_dirty;
                if !dirty || header.is_control() || self.transactions.is_aborted(&header) {
                    continue;
                }
                if !self.note_keys(&batches, &header, &batch, first).await? {
                    // Keys of this batch that were noted are right all the same.
                    return Ok(header.base_offset.get());
                }
                first = false;
            }
            self.done.read_bytes += batches.position;
        }
        Ok(self.plan.end)
    }

    /// Notes a batch's keys; `false`: memory does not suffice.
    async fn note_keys(
        &mut self,
        batches: &Batches,
        header: &BatchHeader,
        batch: &Bytes,
        in_any_case: bool,
    ) -> Result<bool, LogError> {
        let undone = undone(batches, header, batch).await?;
        let mut rest = &undone[..];
        for number in 0..header.record_count.get() {
            let record = Record::take(&mut rest);
            let record = record.ok_or_else(|| batches.damaged(header, "a record is cut off"))?;
            let offset = header.base_offset.get() + record.offset_delta;
            if !record.key.is_none_or(|key| self.keys.note(key, offset, in_any_case)) {
                return Ok(false);
            }
            if number % RECORDS_AT_ONCE == 0 {
                self.throttle.breathe().await;
            }
        }
        Ok(true)
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
        let mut out = Output::create(&self.log.dir(), base, interval).await?;
        let mut before = 0;
        for &segment in group {
            let mut batches = Batches::open(&self.log.dir(), segment).await?;
            while let Some((header, batch)) = batches.next(&mut self.throttle).await? {
                let kept = self.judge(&batches, &header, &batch, end).await?;
                self.transactions.judged(&header, &kept);
                match kept {
                    Kept::All => out.append(&batch, &mut self.throttle).await?,
                    Kept::Some(rebuilt) => {
                        let batch = compress(rebuilt, &header).await;
                        let batch = batch.map_err(|e| batches.damaged(&header, &e.to_string()))?;
                        out.append(&batch, &mut self.throttle).await?;
                    }
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

    async fn judge(
        &mut self,
        batches: &Batches,
        header: &BatchHeader,
        batch: &Bytes,
        end: i64,
    ) -> Result<Kept, LogError> {
        if header.base_offset.get() >= end {
            // Its keys are not known: a tombstone must not go before what it deletes.
            return Ok(Kept::All);
        }
        let (start, retention, keep_empty) = {
            let state = self.log.state.borrow();
            let keep_empty = state.producers.is_last_batch(header);
            (state.log_start, state.config.delete_retention_ms, keep_empty)
        };
        let (now_ms, horizon_ms) = (self.now_ms, self.now_ms.saturating_add(retention));
        if header.is_control() {
            return Ok(self.transactions.marker(header, batch, now_ms, horizon_ms, keep_empty));
        }
        let undone = undone(batches, header, batch).await?;
        let keys = &self.keys;
        let aborted = self.transactions.is_aborted(header);
        let is_last = |key: &[u8], offset| {
            !aborted && offset >= start && keys.last(key).is_none_or(|last| last <= offset)
        };
        let judgement = Judgement { is_last: &is_last, now_ms, horizon_ms, keep_empty };
        let mut rewriter = Rewriter::new(*header, &undone);
        loop {
            let more = rewriter.step(&judgement, RECORDS_AT_ONCE);
            if !more.map_err(|e| batches.damaged(header, &e.to_string()))? {
                return Ok(rewriter.finish(&judgement));
            }
            self.throttle.breathe().await;
        }
    }
}

/// A batch's records, not compressed any more. What takes long is done on the helper thread.
async fn undone(
    batches: &Batches,
    header: &BatchHeader,
    batch: &Bytes,
) -> Result<Vec<u8>, LogError> {
    let undone = if is_long(header, batch.len()) {
        let (header, batch) = (*header, batch.clone());
        spawn_blocking(move || undone_records(&header, &batch)).await
    } else {
        undone_records(header, batch)
    };
    undone.map_err(|e| batches.damaged(header, &e.to_string()))
}

async fn compress(rebuilt: Rebuilt, header: &BatchHeader) -> std::io::Result<Bytes> {
    match is_long(header, rebuilt.len_bytes()) {
        true => spawn_blocking(move || rebuilt.batch()).await,
        false => rebuilt.batch(),
    }
}

/// Whether undoing or compressing so many bytes would be felt by others on the shard.
fn is_long(header: &BatchHeader, bytes: usize) -> bool {
    header.codec() != Ok(Codec::None) && bytes > 16 << 10
}
