//! Transactions in a log that is compacted: aborted records go and stand for no key; a marker stays
//! as long as records of its transaction do, and `delete.retention.ms` after (KIP-98, KIP-534).

use std::collections::{BTreeMap, HashSet};

use super::rewrite::{with_horizon, Kept};
use crate::log::aborted::Aborted;
use crate::log::batch::{BatchHeader, BATCH_HEADER_BYTES};

/// What a pass knows of the transactions it comes through, in the order of the log.
#[derive(Default)]
pub struct Transactions {
    /// First offset by producer and marker.
    aborted: BTreeMap<(i64, i64), i64>,
    /// Producers of whose present transaction a record stays.
    with_records: HashSet<i64>,
}

impl Transactions {
    pub fn new(aborted: &[Aborted]) -> Self {
        let entry = |one: &Aborted| ((one.producer_id, one.last_offset), one.first_offset);
        Transactions { aborted: aborted.iter().map(entry).collect(), with_records: HashSet::new() }
    }

    /// Whether a batch's records were taken back.
    pub fn is_aborted(&self, header: &BatchHeader) -> bool {
        let (producer, offset) = (header.producer_id.get(), header.base_offset.get());
        if !header.is_transactional() || header.is_control() {
            return false;
        }
        // Transactions of one producer do not overlap: the next marker is this one's.
        let next = self.aborted.range((producer, offset)..).next();
        next.is_some_and(|((of, _), first)| *of == producer && *first <= offset)
    }

    /// Notes what became of a batch that is no marker.
    pub fn judged(&mut self, header: &BatchHeader, kept: &Kept) {
        let stays = match kept {
            Kept::All => header.record_count.get() > 0,
            Kept::Some(rebuilt) => rebuilt.len_bytes() > 0,
            Kept::None => false,
        };
        if header.is_transactional() && stays {
            self.with_records.insert(header.producer_id.get());
        }
    }

    /// What becomes of a marker. `is_last`: nothing later is known of its producer.
    pub fn marker(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        now_ms: i64,
        horizon_ms: i64,
        is_last: bool,
    ) -> Kept {
        if self.with_records.remove(&header.producer_id.get()) {
            return Kept::All;
        }
        match header.delete_horizon_ms() {
            None => match batch.get(BATCH_HEADER_BYTES..) {
                Some(records) => with_horizon(*header, records, horizon_ms),
                None => Kept::All,
            },
            Some(horizon) if horizon <= now_ms && !is_last => Kept::None,
            Some(_) => Kept::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::{assign, transactional, Marker};

    fn header(batch: &mut [u8], offset: i64) -> BatchHeader {
        assign(batch, offset, 0);
        BatchHeader::peek(batch).expect("a header")
    }

    fn data(producer: i64, offset: i64) -> BatchHeader {
        header(&mut transactional(&[(Some(b"k"), None)], 9, producer, 0, false), offset)
    }

    #[test]
    fn only_what_lies_in_an_aborted_transaction_is_aborted() {
        let one = |producer_id, first_offset, last_offset| Aborted {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: last_offset + 1,
        };
        let transactions = Transactions::new(&[one(1, 10, 20), one(1, 40, 50), one(2, 5, 60)]);
        let aborted = [(1, 10), (1, 15), (1, 45), (2, 6)];
        let committed = [(1, 9), (1, 30), (1, 51), (2, 4), (2, 61), (3, 12)];
        assert!(aborted.iter().all(|(of, at)| transactions.is_aborted(&data(*of, *at))));
        assert!(!committed.iter().any(|(of, at)| transactions.is_aborted(&data(*of, *at))));
    }

    #[test]
    fn a_marker_goes_some_time_after_its_records() {
        let mut batch = Marker { commit: true, coordinator_epoch: 3 }.batch(1, 0, 1_000);
        let at = header(&mut batch, 12);
        let mut transactions = Transactions::default();
        transactions.judged(&data(1, 11), &Kept::All);
        assert_eq!(transactions.marker(&at, &batch, 5_000, 6_000, false), Kept::All);
        let Kept::Some(marked) = transactions.marker(&at, &batch, 5_000, 6_000, false) else {
            panic!("its records have gone")
        };
        let marked = marked.batch().expect("no codec");
        let again = BatchHeader::peek(&marked).expect("a header");
        assert_eq!((again.delete_horizon_ms(), again.base_offset.get()), (Some(6_000), 12));
        assert_eq!(Marker::of(&again, &marked), Marker::of(&at, &batch));
        assert_eq!(transactions.marker(&again, &marked, 5_999, 9_000, false), Kept::All);
        assert_eq!(transactions.marker(&again, &marked, 6_000, 9_000, true), Kept::All);
        assert_eq!(transactions.marker(&again, &marked, 6_000, 9_000, false), Kept::None);
    }
}
