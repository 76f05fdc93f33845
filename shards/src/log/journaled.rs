//! The part of a log that goes through its shard's journal: what may, what has become durable there,
//! and how it reaches the segments later.

use std::rc::Rc;

use super::error::LogError;
use super::journal::Entry;
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
    /// durable already.
    pub fn wants_journal(&self, most_bytes: usize) -> bool {
        let busy = self.writing || self.journaling || self.failure.is_some() || self.full;
        if busy || self.held || self.past_journal || self.owes_segment() {
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

    /// Hands out what [`LogState::wants_journal`] spoke of, as (segment, batches), and the end of it.
    pub fn take_for_journal(&mut self, mut take: impl FnMut(&TailBatch)) -> Option<i64> {
        let fresh = self.fresh()?;
        self.tail.range(fresh).for_each(&mut take);
        self.journaling = true;
        Some(self.log_end)
    }

    /// Everything below `end` is durable in the journal. Returns the end of what is safe.
    pub fn journaled(&mut self, end: i64) -> i64 {
        self.journaling = false;
        self.durable_end = self.durable_end.max(end);
        self.safe_end = self.safe_end.max(end);
        self.safe_end
    }

    /// The journal did not take what it was handed.
    pub fn not_journaled(&mut self) {
        self.journaling = false;
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
    /// asked for, or they are many.
    pub(super) fn is_write_due(&self) -> bool {
        self.dirty > 0
            && (self.safe_end < self.log_end
                || self.written_end() < self.write_to
                || self.dirty_bytes >= WRITE_BEHIND_BYTES)
    }

    /// Whether the segments lack something that they have been asked for.
    fn owes_segment(&self) -> bool {
        self.written_end() < self.write_to || self.synced_end < self.sync_to
    }

    /// Whether a writer would find something to do.
    pub(super) fn needs_writer(&self) -> bool {
        self.is_write_due() || self.synced_end < self.sync_to
    }
}

impl Log {
    /// Leaves what there is to be made durable to the journal, if it takes it.
    pub(super) fn offer_to_journal(self: &Rc<Self>) -> bool {
        if self.in_journal.get() {
            return true;
        }
        let most = self.env.journals.most_bytes();
        let may = most > 0 && !self.closed.get() && !self.past_journal.get();
        let wants = may && self.state.borrow().wants_journal(most);
        let taken = wants && self.env.journals.offer(&self.env, self);
        self.in_journal.set(taken);
        taken
    }

    /// What the journal writes of this log now, appended to `entries`, and its end. `None`: it had
    /// better go to the segment.
    pub(super) fn take_for_journal(&self, entries: &mut Vec<Entry>) -> Option<i64> {
        let mut state = self.state.borrow_mut();
        if !state.wants_journal(self.env.journals.most_bytes()) {
            self.in_journal.set(false);
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
        self.in_journal.set(false);
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
        self.in_journal.set(false);
        self.past_journal.set(true);
        self.state.borrow_mut().not_journaled();
        self.go_on();
    }

    pub(super) fn journal_failed(&self, error: &DiskError) {
        self.in_journal.set(false);
        self.state.borrow_mut().not_journaled();
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
