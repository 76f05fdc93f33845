//! When the active segment is closed and the next one begun: for its size, its age, its index, or
//! because retention asks for it.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use super::segment::Segment;
use super::state::LogState;

/// What one more entry takes in the larger of the index files.
const INDEX_ENTRY_BYTES: u64 = 12;

impl LogState {
    pub(super) fn roll_if_needed(&mut self, len: u64, now_ms: i64) {
        let limit = self.segment_limit();
        let segment_ms = self.config.roll_ms();
        let active = self.active();
        let too_large = active.size + len > limit;
        let too_old = active.opened_ms.is_some_and(|opened| {
            now_ms.saturating_sub(opened) > segment_ms - self.jitter_ms(active.base_offset, opened)
        });
        let index_bytes = active.index.as_ref().map_or(0, |index| index.file_bytes());
        let index_full = index_bytes + INDEX_ENTRY_BYTES > self.config.segment_index_bytes;
        // Relative offsets in the index are 32 bits, signed in Kafka.
        let too_many = self.log_end - active.base_offset > i64::from(i32::MAX) - (1 << 20);
        if active.size > 0 && (too_large || too_old || too_many || index_full) {
            let expire_before = now_ms.saturating_sub(self.config.producer_expiration_ms);
            self.producers.expire(expire_before);
            self.roll();
        }
        let active = self.active_mut();
        active.opened_ms.get_or_insert(now_ms);
    }

    /// By how much a segment is closed early: by chance, but the same whenever it is asked for, so
    /// that the segments of topics made together are not closed together.
    fn jitter_ms(&self, base_offset: i64, opened_ms: i64) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if most <= 0 {
            return 0;
        }
        let mut hasher = FxHasher::default();
        (self.seed, base_offset, opened_ms).hash(&mut hasher);
        (hasher.finish() >> 1) as i64 % most
    }

    /// Closes the active segment; the writer then makes the next one's file.
    pub fn roll(&mut self) {
        if self.active().size > 0 {
            let mut next = Segment::new(self.log_end);
            next.producers_at_base = Some(self.producers.encode());
            self.segments.push(next);
        }
    }
}
