//! What a share group has done of a partition, as a pure state machine: which records between the first
//! that is not finished and the last that was delivered are free, whose they are now, or finished.
//! Records are kept as runs of the same state. Time is an argument.

mod acknowledge;
mod acquire;
#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;
use std::rc::Rc;

pub use acknowledge::check;
pub use acquire::LogBatch;

pub use crate::config::ShareLimits;
use crate::partition::share::{Saved, SavedRun, ShareState};

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Anybody may have them.
    Available,
    /// They are a member's, until it says what it did or its time is over.
    Acquired {
        member: Rc<str>,
        until_ms: i64,
    },
    Accepted,
    /// Rejected, delivered too often, or not there.
    Archived,
}

impl State {
    fn is_finished(&self) -> bool {
        matches!(self, State::Accepted | State::Archived)
    }
}

/// Records of one state, up to `last`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    last: i64,
    state: State,
    deliveries: i16,
}

/// See the module's head. Lives on the shard that owns the partition.
#[derive(Debug)]
pub struct InFlight {
    limits: ShareLimits,
    epoch: i32,
    /// Everything below is finished, nothing from `end` on was looked at.
    start: i64,
    end: i64,
    /// What is below is not in the log any more.
    log_start: i64,
    /// By first offset; they cover `start..end` without a gap.
    runs: BTreeMap<i64, Run>,
    /// No member's time is over before; `None`: no member has anything.
    due_ms: Option<i64>,
    /// Counts the changes that a restart must know of.
    version: u64,
    /// Something may be had now that could not be before.
    freed: bool,
}

impl InFlight {
    /// Other limits hold from now on: for records that are delivered next.
    pub fn set_limits(&mut self, limits: ShareLimits) {
        self.limits = limits;
    }

    /// Of a group that begins at `start`.
    pub fn new(limits: ShareLimits, start: i64) -> InFlight {
        InFlight {
            limits,
            epoch: 0,
            start,
            end: start,
            log_start: i64::MIN,
            runs: BTreeMap::new(),
            due_ms: None,
            version: 0,
            freed: false,
        }
    }

    /// What a state comes to in a log that has the offsets `log`: a crash may have cut it.
    pub fn restore(limits: ShareLimits, saved: &ShareState, log: (i64, i64)) -> InFlight {
        let (log_start, log_end) = log;
        let mut made = InFlight::new(limits, saved.start.min(log_end));
        made.epoch = saved.epoch;
        for run in &saved.runs {
            let (first, last) = (run.first.max(made.end), run.last.min(log_end - 1));
            if first > last {
                continue;
            }
            // What is not mentioned was never delivered, or is free as if it was not.
            made.extend(first - 1, State::Available, 0);
            let state = match run.state {
                Saved::Accepted => State::Accepted,
                Saved::Archived => State::Archived,
                Saved::Available if run.deliveries >= limits.delivery_limit => State::Archived,
                Saved::Available => State::Available,
            };
            made.extend(last, state, run.deliveries);
        }
        made.trim(log_start);
        made.advance();
        made
    }

    /// What a restart must know. Records that members have are free then.
    pub fn saved(&self) -> ShareState {
        let runs = self.runs.iter().filter_map(|(first, run)| {
            let state = match run.state {
                State::Accepted => Saved::Accepted,
                State::Archived => Saved::Archived,
                State::Available | State::Acquired { .. } => Saved::Available,
            };
            let news = state != Saved::Available || run.deliveries > 0;
            let deliveries = run.deliveries;
            news.then_some(SavedRun { first: *first, last: run.last, state, deliveries })
        });
        ShareState { epoch: self.epoch, start: self.start, runs: runs.collect() }
    }

    /// Counts the changes that a restart must know of.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everything below is finished.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Whether something may be had since this was asked last that could not be before.
    pub fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// Whether a member has something.
    pub fn is_held(&self) -> bool {
        self.due_ms.is_some()
    }

    /// When [`InFlight::tick`] may have something to do next.
    pub fn due_ms(&self) -> Option<i64> {
        self.due_ms
    }

    /// Takes records from members whose time is over.
    pub fn tick(&mut self, now_ms: i64) {
        if self.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.take_back(false, |_, until_ms| until_ms <= now_ms);
        }
    }

    /// Takes all records from a member that is gone. `unseen`: it has not looked at them.
    pub fn release(&mut self, member: &str, unseen: bool) {
        self.take_back(unseen, |holder, _| holder == member);
    }

    fn take_back(&mut self, unseen: bool, is_it: impl Fn(&str, i64) -> bool) {
        let mut due_ms = None;
        let mut changed = false;
        for run in self.runs.values_mut() {
            let State::Acquired { member, until_ms } = &run.state else { continue };
            if !is_it(member, *until_ms) {
                due_ms = Some(due_ms.map_or(*until_ms, |due: i64| due.min(*until_ms)));
                continue;
            }
            if unseen {
                run.deliveries -= 1;
            }
            run.state = freed(&self.limits, run.deliveries);
            changed = true;
        }
        self.due_ms = due_ms;
        if changed {
            self.note();
        }
    }

    /// The group begins at `start` now, or where the log, with the offsets `log`, is nearest to that: what
    /// members have is not theirs any more, and what was finished comes again.
    pub fn begin_at(&mut self, start: i64, log: (i64, i64)) {
        let (log_start, log_end) = log;
        let start = start.max(log_start).min(log_end);
        self.runs.clear();
        (self.start, self.end, self.log_start, self.due_ms) = (start, start, log_start, None);
        self.epoch = self.epoch.saturating_add(1);
        self.note();
    }

    /// The log begins at `log_start` now: what is below can be finished by nobody else.
    pub fn trim(&mut self, log_start: i64) {
        self.log_start = log_start;
        if log_start <= self.start {
            return;
        }
        if log_start >= self.end {
            self.runs.clear();
            self.due_ms = None;
            (self.start, self.end) = (log_start, log_start);
        } else {
            self.split(log_start);
            self.runs = self.runs.split_off(&log_start);
            self.start = log_start;
        }
        self.note();
    }

    /// A change that a restart must know of, and that may let somebody have something.
    fn note(&mut self) {
        self.version += 1;
        self.freed = true;
        self.merge();
        self.advance();
    }

    /// Drops what is finished from the front.
    fn advance(&mut self) {
        while let Some(first) = self.runs.first_entry().filter(|e| e.get().state.is_finished()) {
            self.start = first.remove().last + 1;
        }
        if self.runs.is_empty() {
            self.start = self.end;
            self.due_ms = None;
        }
    }

    /// A run begins at `offset`, if it is inside of one.
    fn split(&mut self, offset: i64) {
        let Some((first, run)) = self.runs.range_mut(..offset).next_back() else { return };
        if *first < offset && offset <= run.last {
            let behind = run.clone();
            run.last = offset - 1;
            self.runs.insert(offset, behind);
        }
    }

    /// Makes one run of neighbours of the same state.
    fn merge(&mut self) {
        let mut last: Option<(i64, Run)> = None;
        let mut merged = BTreeMap::new();
        for (first, run) in std::mem::take(&mut self.runs) {
            match &mut last {
                Some((_, before))
                    if before.state == run.state && before.deliveries == run.deliveries =>
                {
                    before.last = run.last;
                }
                _ => {
                    if let Some((first, run)) = last.replace((first, run)) {
                        merged.insert(first, run);
                    }
                }
            }
        }
        if let Some((first, run)) = last {
            merged.insert(first, run);
        }
        self.runs = merged;
    }

    /// A new run, up to `last`.
    fn extend(&mut self, last: i64, state: State, deliveries: i16) {
        if last >= self.end {
            self.runs.insert(self.end, Run { last, state, deliveries });
            self.end = last + 1;
        }
    }
}

/// What records are that nobody has any more.
fn freed(limits: &ShareLimits, deliveries: i16) -> State {
    match deliveries >= limits.delivery_limit {
        true => State::Archived,
        false => State::Available,
    }
}
