//! What becomes of records that a member had.

use std::ops::Bound::{Excluded, Included};

use super::{freed, InFlight, Run, State};
use crate::partition::share::{Verdict, Verdicts};
use crate::wire::ErrorCode;

impl InFlight {
    /// Takes what a member says of records that it has: all of it, or nothing. `said` was
    /// [checked](check).
    ///
    /// # Errors
    /// `INVALID_RECORD_STATE`: it does not have them all (any more); `INVALID_REQUEST`: they were never
    /// delivered.
    pub fn acknowledge(
        &mut self,
        now_ms: i64,
        member: &str,
        said: &[Verdicts],
    ) -> Result<(), ErrorCode> {
        self.tick(now_ms);
        said.iter().try_for_each(|said| self.may(member, said))?;
        for Verdicts { first, last, verdicts } in said {
            let (start, last) = (self.start, *last);
            match verdicts[..] {
                [verdict] => self.judge((*first).max(start), last, verdict),
                // Neighbours of the same verdict are judged together.
                _ => {
                    let mut at = *first;
                    for alike in verdicts.chunk_by(|one, next| one == next) {
                        let next = at + alike.len() as i64;
                        self.judge(at.max(start), next - 1, alike[0]);
                        at = next;
                    }
                }
            }
        }
        if !said.is_empty() {
            self.find_due();
            self.note();
        }
        Ok(())
    }

    /// Whether a member has these records. Those that the log has lost are let pass.
    fn may(&self, member: &str, said: &Verdicts) -> Result<(), ErrorCode> {
        let (first, last) = (said.first.max(self.log_start), said.last);
        if first > last {
            return Ok(());
        }
        if first < self.start {
            return Err(ErrorCode::InvalidRecordState);
        }
        if last >= self.end {
            return Err(ErrorCode::InvalidRequest);
        }
        let holds =
            |run: &Run| matches!(&run.state, State::Acquired { member: of, .. } if **of == *member);
        let before = self.runs.range(..=first).next_back();
        let all = before.into_iter().chain(self.runs.range((Excluded(first), Included(last))));
        match all.map(|(_, run)| run).all(holds) {
            true => Ok(()),
            false => Err(ErrorCode::InvalidRecordState),
        }
    }

    fn judge(&mut self, first: i64, last: i64, verdict: Verdict) {
        if first > last {
            return;
        }
        self.split(first);
        self.split(last + 1);
        for (_, run) in self.runs.range_mut(first..=last) {
            run.state = match verdict {
                Verdict::Accept => State::Accepted,
                Verdict::Reject | Verdict::Gap => State::Archived,
                Verdict::Release => freed(&self.limits, run.deliveries),
            };
        }
    }

    fn find_due(&mut self) {
        let until = |run: &Run| match run.state {
            State::Acquired { until_ms, .. } => Some(until_ms),
            _ => None,
        };
        self.due_ms = self.runs.values().filter_map(until).min();
    }
}

/// Whether what a member says of a partition makes sense by itself.
///
/// # Errors
/// `INVALID_REQUEST`.
pub fn check(said: &[Verdicts]) -> Result<(), ErrorCode> {
    let mut next = i64::MIN;
    for Verdicts { first, last, verdicts } in said {
        let records = last.checked_sub(*first).and_then(|records| records.checked_add(1));
        let fits = verdicts.len() == 1 || records == i64::try_from(verdicts.len()).ok();
        if *first < next.max(0) || last < first || verdicts.is_empty() || !fits {
            return Err(ErrorCode::InvalidRequest);
        }
        next = last.saturating_add(1);
    }
    Ok(())
}
