//! What a partition remembers of its producers (KIP-98): per producer id the epoch and the last five
//! batches, so that a retried batch is recognised and a missing one is noticed; `transactions` are
//! those that are open, `snapshot` is Kafka's file of it all.

mod snapshot;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

use super::aborted::Aborted;
use super::batch::{BatchHeader, Marker};
use transactions::Undecided;

/// Batches remembered per producer: Kafka's clients keep at most five in flight.
const REMEMBERED_BATCHES: usize = 5;

/// Why a producer's batch is not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCheck {
    /// It is the next one, or the producer is new here.
    Append,
    /// It was appended before; the answer is the offset it got then.
    Duplicate { base_offset: i64, timestamp_ms: i64 },
    /// A batch before it is missing.
    OutOfOrder { expected: i32, got: i32 },
    /// A newer instance of the producer has written since.
    Fenced { current: i16, got: i16 },
    /// The producer is in a transaction, and the batch is in none.
    OutsideTransaction,
    /// A newer transaction coordinator has spoken since.
    CoordinatorFenced { current: i32, got: i32 },
    /// The transaction that a marker is to end has been ended.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
    timestamp_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Of the transaction coordinator whose marker came last; −1: none.
    coordinator_epoch: i32,
    /// Time of its last batch or marker.
    last_ms: i64,
    /// First record of the transaction that is open here.
    open_since: Option<i64>,
    batches: VecDeque<Remembered>,
}

impl Producer {
    fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: -1,
            last_ms: -1,
            open_since: None,
            batches: VecDeque::new(),
        }
    }

    /// What is remembered belongs to one epoch.
    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches = VecDeque::new();
            self.epoch = epoch;
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }
}

/// A producer as it is shown (DescribeProducers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerView {
    pub id: i64,
    pub epoch: i16,
    /// −1: none.
    pub last_sequence: i32,
    pub last_ms: i64,
    pub coordinator_epoch: i32,
    pub open_since: Option<i64>,
}

/// A partition's producers. A pure state machine: owned by the log, fed with batch headers in
/// offset order, at append and again at recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
    undecided: Undecided,
}

impl Producers {
    /// What to do with a batch that a producer sends now.
    pub fn check(&self, header: &BatchHeader) -> SequenceCheck {
        let Some(producer) = self.by_id.get(&header.producer_id.get()) else {
            return SequenceCheck::Append;
        };
        let (epoch, first) = (header.producer_epoch.get(), header.base_sequence.get());
        if epoch < producer.epoch {
            return SequenceCheck::Fenced { current: producer.epoch, got: epoch };
        }
        if producer.open_since.is_some() && !header.is_transactional() {
            return SequenceCheck::OutsideTransaction;
        }
        if first < 0 {
            return SequenceCheck::Append; // the broker's own, for a producer
        }
        if epoch > producer.epoch {
            return match first {
                0 => SequenceCheck::Append,
                got => SequenceCheck::OutOfOrder { expected: 0, got },
            };
        }
        let last = add_sequence(first, header.last_offset_delta.get());
        let same = |b: &&Remembered| b.first_sequence == first && b.last_sequence == last;
        if let Some(batch) = producer.batches.iter().find(same) {
            let (base_offset, timestamp_ms) = (batch.base_offset, batch.timestamp_ms);
            return SequenceCheck::Duplicate { base_offset, timestamp_ms };
        }
        // After a marker alone a new epoch begins at 0.
        match producer.batches.back().map_or(0, |b| add_sequence(b.last_sequence, 1)) {
            expected if expected != first => SequenceCheck::OutOfOrder { expected, got: first },
            _ => SequenceCheck::Append,
        }
    }

    /// Notes an appended batch, whose header must carry the assigned offset; returns the transaction
    /// that it aborts.
    pub fn note(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<Aborted> {
        if header.producer_id.get() < 0 {
            return None;
        }
        match Marker::of(header, batch) {
            Some(marker) => self.note_marker(header, marker),
            None if header.is_control() => None,
            None => {
                self.note_data(header);
                None
            }
        }
    }

    fn note_data(&mut self, header: &BatchHeader) {
        let (id, epoch) = (header.producer_id.get(), header.producer_epoch.get());
        let producer = self.by_id.entry(id).or_insert_with(|| Producer::new(epoch));
        producer.set_epoch(epoch);
        producer.last_ms = header.max_timestamp.get();
        if header.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset.get());
            self.undecided.begin(header.base_offset.get());
        }
        if header.base_sequence.get() < 0 {
            return;
        }
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        let first_sequence = header.base_sequence.get();
        producer.batches.push_back(Remembered {
            first_sequence,
            last_sequence: add_sequence(first_sequence, header.last_offset_delta.get()),
            base_offset: header.base_offset.get(),
            last_offset: header.last_offset(),
            timestamp_ms: header.max_timestamp.get(),
        });
    }

    /// Whether this is the last batch of its producer, by which a retry would be known, or the marker
    /// that is all there is of it.
    pub fn is_last_batch(&self, header: &BatchHeader) -> bool {
        let Some(producer) = self.by_id.get(&header.producer_id.get()) else { return false };
        match producer.batches.back() {
            Some(batch) => batch.base_offset == header.base_offset.get(),
            None => header.is_control() && header.producer_epoch.get() == producer.epoch,
        }
    }

    /// Forgets producers that have been silent since `before_ms` (`producer.id.expiration.ms`), but
    /// for those in a transaction.
    pub fn expire(&mut self, before_ms: i64) {
        self.by_id
            .retain(|_, producer| producer.open_since.is_some() || producer.last_ms >= before_ms);
    }

    /// All of them, by id.
    pub fn views(&self) -> impl Iterator<Item = ProducerView> + '_ {
        self.by_id.iter().map(|(id, producer)| ProducerView {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.last_sequence(),
            last_ms: producer.last_ms,
            coordinator_epoch: producer.coordinator_epoch,
            open_since: producer.open_since,
        })
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// Sequence numbers go from `i32::MAX` on to 0.
fn add_sequence(sequence: i32, by: i32) -> i32 {
    sequence.checked_add(by).unwrap_or_else(|| by - (i32::MAX - sequence) - 1)
}

fn subtract_sequence(sequence: i32, by: i32) -> i32 {
    if sequence >= by {
        sequence - by
    } else {
        i32::MAX - (by - sequence) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{assign, build};
    use super::*;

    fn header(id: i64, epoch: i16, sequence: i32, records: usize, offset: i64) -> BatchHeader {
        let values: Vec<&[u8]> = vec![b"v"; records];
        let producer = build::Producer { id, epoch, sequence };
        let mut bytes = build::batch(&values, 1_000, Some(producer));
        assign(&mut bytes, offset, 0);
        BatchHeader::peek(&bytes).expect("a header")
    }

    #[test]
    fn the_last_five_batches_are_recognised_and_older_ones_are_out_of_order() {
        let mut producers = Producers::default();
        for n in 0..7 {
            let batch = header(9, 0, n * 2, 2, i64::from(n) * 10);
            assert_eq!(producers.check(&batch), SequenceCheck::Append);
            producers.note(&batch, &[]);
        }
        for n in 2..7 {
            let again = producers.check(&header(9, 0, n * 2, 2, 0));
            let (base_offset, timestamp_ms) = (i64::from(n) * 10, 1_000);
            assert_eq!(again, SequenceCheck::Duplicate { base_offset, timestamp_ms });
        }
        let too_old = producers.check(&header(9, 0, 2, 2, 0));
        assert_eq!(too_old, SequenceCheck::OutOfOrder { expected: 14, got: 2 });
        let gap = producers.check(&header(9, 0, 16, 2, 0));
        assert_eq!(gap, SequenceCheck::OutOfOrder { expected: 14, got: 16 });
    }

    #[test]
    fn epochs_fence_and_start_again_from_zero() {
        let mut producers = Producers::default();
        producers.note(&header(9, 3, 40, 1, 0), &[]);
        let old = producers.check(&header(9, 2, 41, 1, 0));
        assert_eq!(old, SequenceCheck::Fenced { current: 3, got: 2 });
        let gap = producers.check(&header(9, 4, 7, 1, 0));
        assert_eq!(gap, SequenceCheck::OutOfOrder { expected: 0, got: 7 });
        assert_eq!(producers.check(&header(9, 4, 0, 1, 0)), SequenceCheck::Append);
        assert_eq!(producers.check(&header(10, 0, 77, 1, 0)), SequenceCheck::Append, "new here");
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.note(&header(9, 0, i32::MAX - 1, 3, 0), &[]);
        assert_eq!(producers.check(&header(9, 0, 1, 1, 0)), SequenceCheck::Append);
        let read = Producers::decode(&producers.encode()).expect("round trip");
        let again = read.check(&header(9, 0, i32::MAX - 1, 3, 0));
        assert!(matches!(again, SequenceCheck::Duplicate { base_offset: 0, .. }));
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let mut producers = Producers::default();
        producers.note(&header(9, 0, 0, 3, 5), &[]);
        let bytes = producers.encode();
        assert_eq!(Producers::decode(&bytes), Some(producers));
        for cut in 0..bytes.len() {
            assert_eq!(Producers::decode(&bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Producers::decode(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn silent_producers_expire() {
        let mut producers = Producers::default();
        producers.note(&header(9, 0, 0, 1, 5), &[]);
        producers.expire(1_000);
        assert_eq!(producers.len(), 1);
        producers.expire(1_001);
        assert!(producers.is_empty());
    }
}
