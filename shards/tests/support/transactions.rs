//! Transactions in a story: what of it is stable and what was aborted, reckoned from all that was
//! appended.

use std::collections::BTreeMap;

use corelane_shards::log::batch::{transactional, BatchHeader, Marker};
use corelane_shards::log::Aborted;

use super::random::Draw;
use super::world::{Appended, Story};

/// Transactions as they must be after some batches.
#[derive(Clone, Default)]
pub struct Transactions {
    /// First offsets by producer.
    open: BTreeMap<i64, i64>,
    /// First offset and marker of those that have ended.
    ended: Vec<(i64, i64)>,
    aborted: Vec<Aborted>,
}

impl Transactions {
    fn note(&mut self, batch: &Appended) {
        let header = BatchHeader::peek(&batch.bytes).expect("a header");
        let producer_id = header.producer_id.get();
        let Some(marker) = Marker::of(&header, &batch.bytes) else {
            if header.is_transactional() {
                self.open.entry(producer_id).or_insert(batch.base);
            }
            return;
        };
        let Some(first_offset) = self.open.remove(&producer_id) else { return };
        self.ended.push((first_offset, batch.base));
        let open = self.open.values().min().copied();
        if !marker.commit {
            self.aborted.push(Aborted {
                producer_id,
                first_offset,
                last_offset: batch.base,
                last_stable_offset: open.unwrap_or(batch.end),
            });
        }
    }

    fn first_unstable(&self, safe_end: i64) -> Option<i64> {
        let ended = self.ended.iter().filter(|(_, marker)| *marker >= safe_end);
        self.open.values().copied().chain(ended.map(|(first, _)| *first)).min()
    }
}

impl Story {
    fn transactions(&self) -> Transactions {
        let mut transactions = self.before.clone();
        self.appended.iter().for_each(|batch| transactions.note(batch));
        transactions
    }

    /// A batch of one of two producers' transactions, or a marker where one is open.
    pub fn draw_transactional(&self, draw: &mut Draw) -> (Vec<u8>, usize) {
        let id = 100 + 2 * self.producer + draw.below(2) as i64;
        if self.transactions().open.contains_key(&id) && draw.below(3) == 0 {
            let marker = Marker { commit: draw.below(2) == 0, coordinator_epoch: 0 };
            return (marker.batch(id, 0, 1_000), 1);
        }
        let value = vec![7; draw.below(400) as usize];
        (transactional(&[(Some(b"key"), Some(&value))], 1_000, id, 0, false), 1)
    }

    /// What the log says of transactions follows from what is in it.
    pub fn check_transactions(&self) {
        let (transactions, end) = (self.transactions(), self.log.safe_end());
        let first = transactions.first_unstable(end);
        let stable = first.map_or(end, |first| first.max(self.log.log_start()).min(end));
        assert_eq!(self.log.last_stable(), stable, "{} is stable so far", self.name);
        let start = self.log.log_start();
        for (from, to) in [(start, end), ((start + end) / 2, end), (start, (start + end) / 2)] {
            let mut expected = transactions.aborted.clone();
            expected.retain(|one| one.last_offset >= from && one.first_offset < to);
            let found = self.log.aborted_between(from, to);
            assert_eq!(found, expected, "{} aborted in {from}..{to}", self.name);
        }
    }

    /// The crash took back all there was: what is open cannot be told from the batches any more.
    pub fn forget_transactions(&mut self) {
        let open = self.log.producers().into_iter();
        let open = open.filter_map(|producer| Some((producer.id, producer.open_since?)));
        self.before = Transactions { open: open.collect(), ..Transactions::default() };
    }
}
