//! The part of a log that goes through its shard's journal: what may, what has become durable there,
//! and how it reaches the segments later.

use std::rc::Rc;

use super::error::LogError;
use super::journal::{Entry, Offer};
use super::log::Log;
use super::state::{LogState, TailBatch};
use crate::disk::DiskError;

/// Batches that are durable in the journal are written to their segment when they are this many
/// bytes, or when the journal wants its file back.
pub(super) const WRITE_BEHIND_BYTES: usize = 256 << 10;

impl LogState {
    /// Batches that are nowhere durable yet, if the log has no others that are not.
    fn fresh(&self) -> Option<std::ops::Range<usize>> {
        // From the end: there are few, and thousands before them. Those that were written but not
        // synced are not looked at: what follows them has to wait for their sync, or be left out.
        let dirty = self.tail.iter().rev().take(self.dirty);
        let new = dirty.take_while(|b| b.base_offset >= self.durable_end);
        let from = self.tail.len() - new.count();
        let first = self.tail.get(from)?;
        (first.base_offset == self.durable_end).then_some(from..self.tail.len())
    }

    /// Whether there are batches that the journal can make durable: few bytes that follow what is
    /// durable already. Segments may be written beside it with what was there before.
    pub fn wants_journal(&self, most_bytes: usize) -> bool {
        let busy = self.writing && self.writing_new || self.failure.is_some() || self.full;
        if busy || self.held || self.past_journal {
            return false;
        }
        let Some(fresh) = self.fresh() else { return false };
        let (mut bytes, mut durable) = (0, false);
        for batch in self.tail.range(fresh) {
            bytes += batch.bytes.len();
            durable |= batch.durable;
            if bytes > most_bytes {
                return false;
            }
        }
        durable
    }

    /// Hands out what [`LogState::wants_journal`] spoke of, and the end of it.
    pub fn take_for_journal(&self, take: impl FnMut(&TailBatch)) -> Option<i64> {
        let fresh = self.fresh()?;
        self.tail.range(fresh).for_each(take);
        Some(self.log_end)
    }

    /// Everything below `end` is durable in the journal. Returns the end of what is safe.
    pub fn journaled(&mut self, end: i64) -> i64 {
        self.in_journal = false;
        self.durable_end = self.durable_end.max(end);
        self.safe_end = self.safe_end.max(end);
        self.safe_end
    }

    /// Has everything below `end` written, and synced if `durably`, by the next steps.
    pub fn ask_for(&mut self, end: i64, durably: bool) {
        self.write_to = self.write_to.max(end);
        if durably {
            self.sync_to = self.sync_to.max(end);
        }
    }

    /// End of what has been written to segments.
    pub(super) fn written_end(&self) -> i64 {
        self.tail.get(self.tail.len() - self.dirty).map_or(self.log_end, |b| b.base_offset)
    }

    /// Everything below is durable in the segments' files.
    pub fn synced_end(&self) -> i64 {
        self.synced_end
    }

    /// Whether batches have to go to their segment now: somebody waits for them, they have been
    /// asked for, or they are many. Those that the journal has or is to have wait for it.
    pub(super) fn is_write_due(&self) -> bool {
        let may_to = if self.in_journal { self.durable_end } else { self.log_end };
        let written_end = self.written_end();
        written_end < may_to
            && (!self.in_journal && self.safe_end < self.log_end
                || written_end < self.write_to
                || self.dirty_bytes >= WRITE_BEHIND_BYTES)
    }

    /// Whether a writer would find something to do.
    pub(super) fn needs_writer(&self) -> bool {
        self.is_write_due() || self.synced_end < self.sync_to
    }
}

impl Log {
    /// Leaves what there is to be made durable to the journal, if it takes it.
    pub(super) fn offer_to_journal(self: &Rc<Self>) -> Offer {
        let most = self.env.journals.most_bytes();
        let may = most > 0 && !self.closed.get() && !self.past_journal.get();
        let mut state = self.state.borrow_mut();
        if state.in_journal {
            return Offer::Taken;
        }
        if !may || !state.wants_journal(most) {
            return Offer::Refused;
        }
        let offer = self.env.journals.offer(&self.env, self);
        state.in_journal = offer == Offer::Taken;
        offer
    }

    /// What the journal writes of this log now, appended to `entries`, and its end. `None`: it had
    /// better go to the segment.
    pub(super) fn take_for_journal(&self, entries: &mut Vec<Entry>) -> Option<i64> {
        let mut state = self.state.borrow_mut();
        if !state.wants_journal(self.env.journals.most_bytes()) {
            state.in_journal = false;
            return None;
        }
        let first = entries.len();
        state.take_for_journal(|batch| {
            let bytes = batch.bytes.clone();
            match entries[first..].last_mut() {
                Some(entry) if entry.segment == batch.segment => entry.batches.push(bytes),
                _ => entries.push(Entry {
                    log: self.journal_id,
                    segment: batch.segment,
                    batches: vec![bytes],
                }),
            }
        })
    }

    /// What was taken last is durable.
    pub(super) fn journaled(self: &Rc<Self>, end: i64) {
        let (before, safe_end) = {
            let mut state = self.state.borrow_mut();
            (state.safe_end(), state.journaled(end))
        };
        if safe_end > before {
            self.advance_watchers(self.bytes_between(before, safe_end));
        }
        self.tell(safe_end);
        self.go_on();
    }

    /// The journal has no room: the segments may have.
    pub(super) fn not_journaled(self: &Rc<Self>) {
        self.past_journal.set(true);
        self.state.borrow_mut().in_journal = false;
        self.go_on();
    }

    pub(super) fn journal_failed(&self, error: &DiskError) {
        self.state.borrow_mut().in_journal = false;
        self.fail(error);
    }

    fn go_on(self: &Rc<Self>) {
        self.settled.notify();
        let more = {
            let state = self.state.borrow();
            state.needs_writer() || state.safe_end() < state.log_end()
        };
        if more {
            self.kick_writer();
        }
    }

    fn bytes_between(&self, from: i64, to: i64) -> u64 {
        let state = self.state.borrow();
        let new = state.tail().rev().take_while(|batch| batch.base_offset >= from);
        new.filter(|batch| batch.last_offset < to).map(|batch| batch.bytes.len() as u64).sum()
    }

    /// Writes everything below `end` to the segments, durably. Returns whether it is there, or
    /// belongs to a log that was deleted. Waits while there is no space.
    pub(super) async fn write_out(self: &Rc<Self>, end: i64) -> bool {
        self.settle(end, || self.closed.get()).await;
        self.deleted.get() || self.state.borrow().synced_end() >= end
    }

    async fn settle(self: &Rc<Self>, end: i64, not_when_full: impl Fn() -> bool) {
        self.state.borrow_mut().ask_for(end, true);
        self.kick_writer();
        let is_settled = || {
            let state = self.state.borrow();
            let failed = state.failure().is_some() || (state.is_full() && not_when_full());
            state.synced_end() >= end || failed
        };
        self.settled.until(is_settled).await;
    }

    /// Has what the journal holds written to the segments soon, so that memory can let it go.
    pub(super) fn write_behind(self: &Rc<Self>) {
        let end = self.log_end();
        self.state.borrow_mut().ask_for(end, false);
        self.kick_writer();
    }

    /// Makes everything that was appended so far durable.
    ///
    /// # Errors
    /// The log is offline, or goes offline now, or there is no space.
    pub async fn flush(self: &Rc<Self>) -> Result<(), LogError> {
        let end = self.log_end();
        self.settle(end, || true).await;
        match self.failure() {
            Some(failure) => Err(LogError::Offline(failure)),
            None if self.state.borrow().synced_end() < end => Err(LogError::NoSpace),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::config::LogConfig;
    use super::super::planning::WriterStep;
    use super::super::producers::Producers;
    use super::super::segment::Segment;
    use super::*;

    const MOST: usize = 1 << 10;

    fn log() -> LogState {
        let segments = vec![Segment::new(0)];
        LogState::new(LogConfig::default(), segments, 0, 0, vec![], Producers::default())
    }

    /// A durable batch of one record.
    fn append(state: &mut LogState) {
        let bytes = Bytes::from_static(&[7; 100]);
        let (base_offset, position) = (state.log_end, state.segments[0].size);
        state.segments[0].size += bytes.len() as u64;
        state.dirty_bytes += bytes.len();
        (state.dirty, state.log_end) = (state.dirty + 1, base_offset + 1);
        let last_offset = base_offset;
        let (segment, durable) = (0, true);
        let batch = TailBatch { base_offset, last_offset, segment, position, durable, bytes };
        state.tail.push_back(batch);
    }

    /// Leaves what is fresh to the journal, and returns the offsets that it got.
    fn take(state: &mut LogState) -> Vec<i64> {
        assert!(state.wants_journal(MOST));
        state.in_journal = true;
        let mut taken = Vec::new();
        state.take_for_journal(|batch| taken.push(batch.base_offset)).unwrap();
        taken
    }

    fn plan(state: &mut LogState) -> super::super::planning::WritePlan {
        let WriterStep::Write(plan) = state.next_step() else { panic!("a write is due") };
        plan
    }

    #[test]
    fn what_the_journal_has_is_written_while_it_takes_what_follows() {
        let mut state = log();
        append(&mut state);
        assert_eq!(take(&mut state), [0]);
        assert_eq!(state.journaled(1), 1);
        state.ask_for(1, true);
        let first = plan(&mut state);
        assert_eq!((first.parts.len(), first.end_offset, first.durable), (1, 1, true));
        append(&mut state);
        assert_eq!(take(&mut state), [1]);
        assert_eq!((state.journaled(2), state.synced_end()), (2, 0));
        assert_eq!(state.write_done(&first, vec![7; 100]), 2);
        assert_eq!((state.synced_end(), state.written_end(), state.dirty), (1, 1, 1));
        assert!(!state.needs_writer(), "nobody asked for the other");
    }

    #[test]
    fn a_write_leaves_out_what_the_journal_is_to_have() {
        let mut state = log();
        append(&mut state);
        take(&mut state);
        state.journaled(1);
        append(&mut state);
        take(&mut state);
        assert!(!state.needs_writer());
        state.ask_for(2, true);
        let first = plan(&mut state);
        assert_eq!((first.parts.len(), first.end_offset), (1, 1));
        state.write_done(&first, vec![7; 100]);
        assert!(matches!(state.next_step(), WriterStep::Idle), "the journal has not answered");
        state.journaled(2);
        let second = plan(&mut state);
        assert_eq!((second.parts.len(), second.end_offset, second.durable), (1, 2, true));
    }

    #[test]
    fn the_journal_waits_for_a_write_of_what_is_nowhere_durable() {
        let mut state = log();
        append(&mut state);
        let first = plan(&mut state);
        append(&mut state);
        assert!(!state.wants_journal(MOST));
        state.write_done(&first, vec![7; 100]);
        assert_eq!(take(&mut state), [1]);
    }
}
