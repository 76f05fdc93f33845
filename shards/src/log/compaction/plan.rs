//! Whether a log is worth compacting now, and how much of it may be.

use std::rc::Rc;

use crate::log::index::SegmentIndex;
use crate::log::segment::Segment;
use crate::log::state::LogState;

/// One pass over a log: keys are gathered from `first_dirty` on, records judged from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionPlan {
    /// Base offsets of the segments from the log's start up to the last that may be compacted.
    pub segments: Vec<i64>,
    /// Everything below was compacted before.
    pub first_dirty: i64,
    /// Where the last of `segments` ends.
    pub end: i64,
    pub dirty_bytes: u64,
    pub clean_bytes: u64,
    /// The oldest dirty record has waited for longer than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl CompactionPlan {
    /// Share of the bytes that were never compacted: what `min.cleanable.dirty.ratio` is about.
    pub fn dirty_ratio(&self) -> f64 {
        let all = self.dirty_bytes + self.clean_bytes;
        if all == 0 {
            0.0
        } else {
            self.dirty_bytes as f64 / all as f64
        }
    }
}

impl LogState {
    /// What a compaction at `now_ms` would do; `None` where the topic is not compacted or there is
    /// nothing to do. The active segment is never compacted, nor what is not stable yet, nor
    /// segments with a record younger than `min.compaction.lag.ms`.
    pub fn compaction_plan(&self, first_dirty: i64, now_ms: i64) -> Option<CompactionPlan> {
        if !self.config.compact || self.failure.is_some() {
            return None;
        }
        let first_dirty = first_dirty.clamp(self.log_start, self.log_end);
        let mut plan = CompactionPlan {
            segments: Vec::new(),
            first_dirty,
            end: first_dirty,
            dirty_bytes: 0,
            clean_bytes: 0,
            overdue: false,
        };
        for pair in self.segments.windows(2) {
            let [segment, next] = pair else { break };
            let end = next.base_offset;
            if !segment.sealed || end > self.last_stable() || self.is_young(segment, now_ms) {
                break;
            }
            plan.segments.push(segment.base_offset);
            plan.end = end;
            if end <= first_dirty {
                plan.clean_bytes += segment.size;
            } else {
                plan.dirty_bytes += segment.size;
                plan.overdue |= self.is_overdue(segment, now_ms);
            }
        }
        (plan.dirty_bytes > 0).then_some(plan)
    }

    fn is_young(&self, segment: &Segment, now_ms: i64) -> bool {
        let lag = self.config.min_compaction_lag_ms;
        lag > 0 && newest(segment).is_some_and(|time| time > now_ms.saturating_sub(lag))
    }

    fn is_overdue(&self, segment: &Segment, now_ms: i64) -> bool {
        let oldest = segment.index.as_ref().and_then(|index| index.first_timestamp());
        let lag = self.config.max_compaction_lag_ms;
        oldest.is_some_and(|time| time >= 0 && now_ms.saturating_sub(time) > lag)
    }

    /// Puts one compacted segment in the place of `group`, which must be there.
    pub(super) fn replace(&mut self, group: &[i64], size: u64, index: SegmentIndex) {
        let mut new = Segment::new(group[0]);
        new.version = self.version_of(group[0]) + 1;
        (new.size, new.written, new.synced, new.allocated) = (size, size, size, size);
        new.sealed = true;
        new.index = Some(Rc::new(index));
        new.aborted = Rc::new(self.aborted_in(group));
        let at = self.position_of(group[0]);
        self.segments.splice(at..at + group.len(), [new]);
    }

    /// Whether a compaction as planned is due.
    pub fn is_due(&self, plan: &CompactionPlan) -> bool {
        plan.overdue || plan.dirty_ratio() > self.config.min_cleanable_dirty_ratio
    }
}

fn newest(segment: &Segment) -> Option<i64> {
    segment.index.as_ref().and_then(|index| index.max_timestamp()).map(|(time, _)| time)
}
