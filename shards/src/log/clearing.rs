//! Zeros ahead of the tail. A write to blocks that are reserved and were never written costs the
//! file system an entry in its own journal, which a durable write waits for, and cannot be begun
//! without a kernel thread. So where a log is written in small pieces, the blocks that come next are
//! written with zeros, in a pause or, where the pieces are very small, between two of them, beside the
//! log's own writes and never where those are: they find blocks that only have to be overwritten.

use std::rc::Rc;

use super::log::Log;
use super::state::LogState;
use crate::disk::{align_down, align_up, DiskError, HandleKind, WriteBuffer};

/// Larger writes gain little.
const SMALL_WRITE_BYTES: u64 = 64 << 10;
/// The same while batches wait: there is no pause to do it in, and the disk is written to twice as much.
const BUSY_WRITE_BYTES: u64 = 16 << 10;
/// A segment with less in it than a fourth of what would be cleared is left alone: thousands of
/// quiet partitions write nothing ahead.
const LEAST_PART: u64 = 4;

/// Blocks of the active segment to be written with zeros: aligned, behind all that has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClearPlan {
    pub segment: i64,
    pub from: u64,
    pub to: u64,
    /// What is written there will have to be durable, and then these blocks' state as well.
    pub durable: bool,
}

impl LogState {
    /// What to clear next, at most `most` bytes, between writes: when less than half of that is left.
    /// [`LogState::clear_done`] must follow.
    pub fn next_clear(&mut self, most: u64) -> Option<ClearPlan> {
        let stopped = self.clearing_from.is_some() || self.writing || self.full || self.held;
        let busy = self.dirty > 0;
        let small = if busy { BUSY_WRITE_BYTES } else { SMALL_WRITE_BYTES };
        if stopped || self.failure.is_some() || !(1..=small).contains(&self.last_write) {
            return None;
        }
        let durable = self.durable_end >= self.safe_end;
        let active = self.active();
        let end = align_up(active.written);
        // More may come before these are cleared, and would have to wait for it.
        let room = if busy { align_up(most / 2) } else { 0 };
        let from = active.cleared.max(align_up(end + self.dirty_bytes as u64) + room);
        let to = align_down((from + most).min(active.allocated));
        let left = active.cleared.saturating_sub(end);
        if active.written < most / LEAST_PART || left > most / 2 || to <= from {
            return None;
        }
        let plan = ClearPlan { segment: active.base_offset, from, to, durable };
        self.clearing_from = Some((plan.segment, from));
        Some(plan)
    }

    /// A plan has been carried out, or failed: nothing is written there any more.
    pub fn clear_done(&mut self, plan: ClearPlan) {
        self.clearing_from = None;
        self.segment_mut(plan.segment).cleared = plan.to;
    }

    /// Whether zeros are being written ahead.
    pub fn is_clearing(&self) -> bool {
        self.clearing_from.is_some()
    }

    /// Whether what waits to be written could reach blocks that are being cleared.
    pub(super) fn reaches_what_is_cleared(&self) -> bool {
        let Some((segment, from)) = self.clearing_from else { return false };
        let active = self.active();
        let end = active.written + self.dirty_bytes as u64;
        // Where the next segment has begun, it is not known what goes to which.
        align_up(end) > from || active.base_offset != segment
    }
}

impl Log {
    /// Clears what comes next where that pays, and no other log of the shard does.
    pub(super) fn clear_ahead(self: &Rc<Self>) {
        let env = &self.env;
        if env.clear_ahead_bytes == 0 || env.clearing.get() || self.is_closed() {
            return;
        }
        let Some(pass) = env.gate.enter() else { return };
        let Some(plan) = self.state.borrow_mut().next_clear(env.clear_ahead_bytes) else { return };
        env.clearing.set(true);
        let log = Rc::clone(self);
        let clear = async move {
            let cleared = log.clear(plan).await;
            log.state.borrow_mut().clear_done(plan);
            log.env.clearing.set(false);
            match cleared {
                Err(error) if !error.is_no_space() => log.fail(&error),
                _ => log.kick_writer(),
            }
            log.settled.notify();
            drop(pass);
        };
        env.foreground.spawn(clear).detach();
    }

    async fn clear(&self, plan: ClearPlan) -> Result<(), DiskError> {
        let kind = if plan.durable { HandleKind::WriteDurable } else { HandleKind::Write };
        let file = self.file(plan.segment, kind).await?;
        let mut zeros = WriteBuffer::new((plan.to - plan.from) as usize);
        zeros.bytes_mut().fill(0);
        file.write_at(zeros, plan.from).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::LogConfig;
    use super::super::producers::Producers;
    use super::super::segment::Segment;
    use super::*;

    const KIB: u64 = 1 << 10;

    type Change = fn(&mut LogState);

    /// A log with one segment whose last write was a block.
    fn log(written: u64, allocated: u64) -> LogState {
        let segment =
            Segment { size: written, written, synced: written, allocated, ..Segment::new(0) };
        let mut state =
            LogState::new(LogConfig::default(), vec![segment], 0, 9, vec![], Producers::default());
        state.last_write = 4 * KIB;
        state
    }

    #[test]
    fn what_comes_next_is_cleared_when_half_is_used_up() {
        let mut state = log(100 * KIB + 1, 512 * KIB);
        let plan = state.next_clear(256 * KIB).unwrap();
        let all = ClearPlan { segment: 0, from: 104 * KIB, to: 360 * KIB, durable: true };
        assert_eq!(plan, all);
        assert_eq!(state.next_clear(256 * KIB), None, "one at a time");
        state.clear_done(plan);
        assert_eq!(state.next_clear(256 * KIB), None, "there is enough");
        state.segments[0].written = 300 * KIB;
        let next = state.next_clear(256 * KIB).unwrap();
        assert_eq!((next.from, next.to), (360 * KIB, 512 * KIB), "no further than is reserved");
    }

    #[test]
    fn between_two_very_small_writes_what_waits_keeps_its_room() {
        let mut state = log(100 * KIB, 512 * KIB);
        (state.dirty, state.dirty_bytes) = (1, 6 * KIB as usize);
        let plan = state.next_clear(256 * KIB).unwrap();
        assert_eq!((plan.from, plan.to), (236 * KIB, 492 * KIB));
        state.dirty_bytes = 136 * KIB as usize;
        assert!(!state.reaches_what_is_cleared());
        state.dirty_bytes += 1;
        assert!(state.reaches_what_is_cleared());
        state.dirty_bytes = 0;
        state.segments.push(Segment::new(9));
        assert!(state.reaches_what_is_cleared(), "another segment has begun");
        state.segments.pop();
        state.clear_done(plan);
        state.dirty_bytes = 512 * KIB as usize;
        assert!(!state.reaches_what_is_cleared());
        assert_eq!(state.next_clear(256 * KIB), None, "there is enough");
        let mut larger = log(100 * KIB, 512 * KIB);
        (larger.dirty, larger.last_write) = (1, 20 * KIB);
        assert_eq!(larger.next_clear(256 * KIB), None, "only in a pause");
    }

    #[test]
    fn nothing_is_cleared_where_it_gains_nothing_or_is_in_the_way() {
        let cases: [(&str, Change); 6] = [
            ("hardly anything was written", |state| state.segments[0].written = KIB),
            ("large writes", |state| state.last_write = 1 << 20),
            ("nothing is reserved", |state| state.segments[0].allocated = 100 * KIB),
            ("a write is under way", |state| state.writing = true),
            ("nothing may be written", |state| state.held = true),
            ("the log is offline", |state| state.fail("EIO".to_string())),
        ];
        for (why, change) in cases {
            let mut state = log(100 * KIB, 512 * KIB);
            change(&mut state);
            assert_eq!(state.next_clear(256 * KIB), None, "{why}");
            assert!(!state.is_clearing(), "{why}");
        }
        assert_eq!(log(100 * KIB, 512 * KIB).next_clear(0), None, "it is switched off");
    }

    #[test]
    fn a_write_waits_only_where_it_reaches_what_is_being_cleared() {
        let mut state = log(100 * KIB, 512 * KIB);
        let plan = state.next_clear(64 * KIB).unwrap();
        state.dirty_bytes = 1;
        assert!(state.reaches_what_is_cleared(), "nothing is cleared yet");
        state.clear_done(plan);
        state.segments[0].written = 140 * KIB;
        let plan = state.next_clear(64 * KIB).unwrap();
        assert_eq!(plan.from, 164 * KIB);
        state.dirty_bytes = 24 * KIB as usize;
        assert!(!state.reaches_what_is_cleared());
        state.dirty_bytes += 1;
        assert!(state.reaches_what_is_cleared());
    }
}
