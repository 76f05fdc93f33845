//! Which records a member gets.

use std::rc::Rc;

use super::{InFlight, State};
use crate::partition::share::Acquired;

/// A batch of the log, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBatch {
    pub first: i64,
    pub last: i64,
    /// Whether its records are for consumers: those of markers and aborted transactions are not.
    pub is_data: bool,
}

/// What is still to be had, and what was.
struct Taking {
    /// Of what it takes.
    state: State,
    /// Records that this member may have yet.
    left: i64,
    batch_size: i64,
    acquired: Vec<Acquired>,
    /// The next records are another part for the member: Kafka's parts end with a batch of the log.
    new_part: bool,
    /// Something was not there.
    archived: bool,
}

impl Taking {
    fn note(&mut self, first: i64, last: i64, deliveries: i16) {
        self.left -= last - first + 1;
        match self.acquired.last_mut() {
            Some(part)
                if part.last + 1 == first && part.deliveries == deliveries && !self.new_part =>
            {
                part.last = last;
            }
            _ => self.acquired.push(Acquired { first, last, deliveries }),
        }
        self.new_part = false;
    }

    /// A batch of the log has ended.
    fn end_batch(&mut self) {
        let part = self.acquired.last().map_or(0, |part| part.last - part.first + 1);
        self.new_part = part >= self.batch_size;
    }
}

impl InFlight {
    /// From where the log is to be read for whoever wants records; `None`: nothing may be had now.
    pub fn next_fetch(&self) -> Option<i64> {
        let free = self.runs.iter().find(|(_, run)| run.state == State::Available);
        match free {
            Some((first, _)) => Some(*first),
            None => (self.end - self.start < self.limits.max_locks).then_some(self.end),
        }
    }

    /// Gives a member what is free among `batches`, which are all that the log has in `from..to`: as many
    /// as `max_records` and a batch's rest, in parts of about `batch_size`.
    pub fn acquire(
        &mut self,
        now_ms: i64,
        member: &str,
        (from, to): (i64, i64),
        batches: &[LogBatch],
        (max_records, batch_size): (usize, usize),
    ) -> Vec<Acquired> {
        self.tick(now_ms);
        if from > self.end {
            return Vec::new();
        }
        let until_ms = now_ms + i64::from(self.limits.lock_ms);
        let mut taking = Taking {
            state: State::Acquired { member: Rc::from(member), until_ms },
            left: i64::try_from(max_records).unwrap_or(i64::MAX),
            batch_size: i64::try_from(batch_size).unwrap_or(i64::MAX).max(1),
            acquired: Vec::new(),
            new_part: false,
            archived: false,
        };
        let took_all = self.take_batches(from, batches, &mut taking);
        if took_all {
            let next = batches.last().map_or(from, |batch| batch.last + 1);
            self.archive(next, to - 1, &mut taking);
        }
        if !taking.acquired.is_empty() {
            self.due_ms = Some(self.due_ms.map_or(until_ms, |due_ms| due_ms.min(until_ms)));
            self.merge();
        }
        if taking.archived {
            self.note();
        }
        taking.acquired
    }

    /// Whether there was room for all.
    fn take_batches(&mut self, from: i64, batches: &[LogBatch], taking: &mut Taking) -> bool {
        let mut next = from;
        for batch in batches {
            if taking.left <= 0 {
                return false;
            }
            self.archive(next, batch.first - 1, taking);
            let first = batch.first.max(next);
            match batch.is_data {
                true if !self.take(first, batch.last, taking) => return false,
                true => taking.end_batch(),
                false => self.archive(first, batch.last, taking),
            }
            next = batch.last + 1;
        }
        true
    }

    /// Records that are not there, or for nobody.
    fn archive(&mut self, first: i64, last: i64, taking: &mut Taking) {
        let there = self.change_free(first, last, &State::Archived, 0);
        let new = first <= last && last >= self.end;
        self.extend(if new { last } else { self.end - 1 }, State::Archived, 0);
        taking.archived |= new || !there.is_empty();
    }

    /// Takes what is free in `first..=last`; whether there was room for it.
    fn take(&mut self, first: i64, last: i64, taking: &mut Taking) -> bool {
        for (first, last, deliveries) in self.change_free(first, last, &taking.state, 1) {
            taking.note(first, last, deliveries);
        }
        let most = self.start.saturating_add(self.limits.max_locks);
        let to = last.min(most - 1);
        if to >= self.end {
            taking.note(self.end, to, 1);
            self.extend(to, taking.state.clone(), 1);
        }
        last < self.end
    }

    /// Gives what is free in `first..=last` another state; what that was, with its deliveries now.
    fn change_free(
        &mut self,
        first: i64,
        last: i64,
        state: &State,
        more: i16,
    ) -> Vec<(i64, i64, i16)> {
        if first > last {
            return Vec::new();
        }
        self.split(first);
        self.split(last + 1);
        let mut changed = Vec::new();
        for (at, run) in self.runs.range_mut(first..=last) {
            if run.state == State::Available {
                run.state = state.clone();
                run.deliveries += more;
                changed.push((*at, run.last, run.deliveries));
            }
        }
        changed
    }
}
