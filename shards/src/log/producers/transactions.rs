//! Transactions of a partition's producers: those that are open, and those whose marker may still be
//! lost. Both keep the last stable offset where they began.

use std::collections::{BTreeMap, BTreeSet};

use super::super::aborted::Aborted;
use super::{BatchHeader, Marker, Producer, Producers, SequenceCheck};

/// First offsets of transactions that are not decided for those who read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undecided {
    open: BTreeSet<i64>,
    /// Ended, with the offset of the marker.
    ended: BTreeMap<i64, i64>,
}

impl Undecided {
    pub fn begin(&mut self, first_offset: i64) {
        self.open.insert(first_offset);
    }
}

impl Producers {
    /// Whether a producer has a transaction open here with this epoch: a later one's records belong to
    /// a later transaction, though the marker of this one may not have come yet (KIP-890).
    pub fn is_open(&self, producer_id: i64, epoch: i16) -> bool {
        let producer = self.by_id.get(&producer_id);
        producer.is_some_and(|producer| producer.open_since.is_some() && producer.epoch == epoch)
    }

    /// The first offset of a transaction that is open, or whose marker lies at or behind `safe_end`.
    pub fn first_unstable(&self, safe_end: i64) -> Option<i64> {
        let Undecided { open, ended } = &self.undecided;
        let ended = ended.iter().find(|(_, marker)| **marker >= safe_end).map(|(first, _)| *first);
        match (open.first().copied(), ended) {
            (Some(open), Some(ended)) => Some(open.min(ended)),
            (open, ended) => open.or(ended),
        }
    }

    /// Forgets ended transactions whose markers are safe.
    pub fn settle(&mut self, safe_end: i64) {
        self.undecided.ended.retain(|_, marker| *marker >= safe_end);
    }

    /// What to do with a marker that is to be appended now.
    pub fn check_marker(&self, header: &BatchHeader, marker: Marker) -> SequenceCheck {
        let Some(producer) = self.by_id.get(&header.producer_id.get()) else {
            return SequenceCheck::Append;
        };
        let (current, got) = (producer.epoch, header.producer_epoch.get());
        if got < current {
            return SequenceCheck::Fenced { current, got };
        }
        let (current_coordinator, its) = (producer.coordinator_epoch, marker.coordinator_epoch);
        if its < current_coordinator {
            return SequenceCheck::CoordinatorFenced { current: current_coordinator, got: its };
        }
        // A coordinator that does not know whether its marker arrived sends it again.
        match got == current && producer.open_since.is_none() {
            true => SequenceCheck::Ended,
            false => SequenceCheck::Append,
        }
    }

    pub(super) fn note_marker(&mut self, header: &BatchHeader, marker: Marker) -> Option<Aborted> {
        let (producer_id, epoch) = (header.producer_id.get(), header.producer_epoch.get());
        let last_offset = header.last_offset();
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer::new(epoch));
        producer.set_epoch(epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_ms = header.max_timestamp.get();
        let first_offset = producer.open_since.take()?;
        self.undecided.open.remove(&first_offset);
        self.undecided.ended.insert(first_offset, last_offset);
        let last_stable_offset = self.undecided.open.first().copied().unwrap_or(last_offset + 1);
        (!marker.commit).then_some(Aborted {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::batch::{assign, transactional};
    use super::*;

    /// A batch of a transaction, or its marker, at an offset.
    fn note(producers: &mut Producers, id: i64, offset: i64, end: Option<bool>) -> Option<Aborted> {
        let mut batch = match end {
            Some(commit) => Marker { commit, coordinator_epoch: 0 }.batch(id, 0, 9),
            None => transactional(&[(Some(b"k"), None)], 9, id, 0, false),
        };
        assign(&mut batch, offset, 0);
        let header = BatchHeader::peek(&batch).expect("a header");
        producers.note(&header, &batch)
    }

    #[test]
    fn what_is_open_or_not_safe_yet_holds_the_stable_end_back() {
        let mut producers = Producers::default();
        assert_eq!(note(&mut producers, 1, 10, None), None);
        assert_eq!(note(&mut producers, 2, 11, None), None);
        assert_eq!(note(&mut producers, 1, 12, None), None);
        assert_eq!(producers.first_unstable(13), Some(10));
        assert_eq!(note(&mut producers, 1, 13, Some(true)), None);
        assert_eq!(producers.first_unstable(13), Some(10), "the marker may be lost");
        assert_eq!(producers.first_unstable(14), Some(11));
        producers.settle(14);
        assert_eq!(producers.first_unstable(0), Some(11));
        let aborted = note(&mut producers, 2, 14, Some(false)).expect("aborted");
        assert_eq!((aborted.first_offset, aborted.last_offset), (11, 14));
        assert_eq!(aborted.last_stable_offset, 15);
        assert_eq!(producers.first_unstable(15), None);
    }

    #[test]
    fn a_marker_that_comes_again_is_known_and_old_ones_are_fenced() {
        let mut producers = Producers::default();
        note(&mut producers, 1, 10, None);
        let header = |epoch: i16| {
            let batch = Marker { commit: true, coordinator_epoch: 4 }.batch(1, epoch, 9);
            BatchHeader::peek(&batch).expect("a header")
        };
        let marker = |coordinator_epoch| Marker { commit: true, coordinator_epoch };
        assert_eq!(producers.check_marker(&header(1), marker(4)), SequenceCheck::Append);
        let mut batch = marker(4).batch(1, 1, 9);
        assign(&mut batch, 11, 0);
        producers.note(&BatchHeader::peek(&batch).expect("one"), &batch);
        assert_eq!(producers.check_marker(&header(1), marker(4)), SequenceCheck::Ended);
        let fenced = SequenceCheck::Fenced { current: 1, got: 0 };
        assert_eq!(producers.check_marker(&header(0), marker(4)), fenced);
        let fenced = SequenceCheck::CoordinatorFenced { current: 4, got: 3 };
        assert_eq!(producers.check_marker(&header(1), marker(3)), fenced);
    }

    #[test]
    fn open_transactions_are_in_the_snapshot() {
        let mut producers = Producers::default();
        note(&mut producers, 1, 10, None);
        note(&mut producers, 2, 11, None);
        note(&mut producers, 2, 12, Some(false));
        let read = Producers::decode(&producers.encode()).expect("reads");
        assert_eq!(read.first_unstable(13), Some(10));
        assert!(read.is_open(1, 0) && !read.is_open(1, 1) && !read.is_open(2, 0));
        assert_eq!(read.views().count(), 2);
    }
}
