//! What a partition remembers of its idempotent producers (KIP-98): per producer id the epoch and
//! the last five batches, so that a retried batch is recognised and a missing one is noticed.

use std::collections::{BTreeMap, VecDeque};

use super::batch::BatchHeader;

/// Batches remembered per producer: Kafka's clients keep at most five in flight.
const REMEMBERED_BATCHES: usize = 5;
const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEADER_BYTES: usize = 10;
const SNAPSHOT_ENTRY_BYTES: usize = 46;

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
    batches: VecDeque<Remembered>,
}

/// A partition's producers. A pure state machine: owned by the log, fed with batch headers in
/// offset order, at append and again at recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
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
        match producer.batches.back().map(|b| add_sequence(b.last_sequence, 1)) {
            Some(expected) if expected != first => {
                SequenceCheck::OutOfOrder { expected, got: first }
            }
            _ => SequenceCheck::Append,
        }
    }

    /// Notes an appended batch; its header must carry the assigned offset.
    pub fn note(&mut self, header: &BatchHeader) {
        let id = header.producer_id.get();
        if id < 0 || header.is_control() {
            return;
        }
        let epoch = header.producer_epoch.get();
        let fresh = || Producer { epoch, batches: VecDeque::with_capacity(1) };
        let producer = self.by_id.entry(id).or_insert_with(fresh);
        if producer.epoch != epoch {
            *producer = fresh();
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

    /// Whether this is the last batch of its producer, by which a retry would be known.
    pub fn is_last_batch(&self, header: &BatchHeader) -> bool {
        let producer = self.by_id.get(&header.producer_id.get());
        let last = producer.and_then(|producer| producer.batches.back());
        last.is_some_and(|batch| batch.base_offset == header.base_offset.get())
    }

    /// Forgets producers that have been silent since `before_ms` (`producer.id.expiration.ms`).
    pub fn expire(&mut self, before_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.batches.back().is_some_and(|batch| batch.timestamp_ms >= before_ms)
        });
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Kafka's `.snapshot` file: version, CRC32C of what follows, and each producer's last batch.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SNAPSHOT_HEADER_BYTES];
        for (id, producer) in &self.by_id {
            let Some(last) = producer.batches.back() else { continue };
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.extend_from_slice(&last.last_sequence.to_be_bytes());
            out.extend_from_slice(&last.last_offset.to_be_bytes());
            let delta = (last.last_offset - last.base_offset) as i32;
            out.extend_from_slice(&delta.to_be_bytes());
            out.extend_from_slice(&last.timestamp_ms.to_be_bytes());
            out.extend_from_slice(&(-1i32).to_be_bytes());
            out.extend_from_slice(&(-1i64).to_be_bytes());
        }
        let count = ((out.len() - SNAPSHOT_HEADER_BYTES) / SNAPSHOT_ENTRY_BYTES) as i32;
        out[..2].copy_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        out[6..10].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&out[6..]);
        out[2..6].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a `.snapshot` file; `None` where it is damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Producers> {
        let body = bytes.get(6..)?;
        let version = i16::from_be_bytes(bytes[..2].try_into().ok()?);
        let crc = u32::from_be_bytes(bytes[2..6].try_into().ok()?);
        let entries = body.get(4..)?;
        let count = i32::from_be_bytes(body[..4].try_into().ok()?);
        let expected = usize::try_from(count).ok()?.checked_mul(SNAPSHOT_ENTRY_BYTES)?;
        if version != SNAPSHOT_VERSION || crc != crc32c::crc32c(body) || entries.len() != expected {
            return None;
        }
        let mut producers = Producers::default();
        for entry in entries.chunks_exact(SNAPSHOT_ENTRY_BYTES) {
            let long = |at: usize| Some(i64::from_be_bytes(entry[at..at + 8].try_into().ok()?));
            let int = |at: usize| Some(i32::from_be_bytes(entry[at..at + 4].try_into().ok()?));
            let (last_sequence, last_offset, delta) = (int(10)?, long(14)?, int(22)?);
            let batch = Remembered {
                first_sequence: subtract_sequence(last_sequence, delta),
                last_sequence,
                base_offset: last_offset - i64::from(delta),
                last_offset,
                timestamp_ms: long(26)?,
            };
            let epoch = i16::from_be_bytes(entry[8..10].try_into().ok()?);
            let producer = Producer { epoch, batches: VecDeque::from([batch]) };
            producers.by_id.insert(long(0)?, producer);
        }
        Some(producers)
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
            producers.note(&batch);
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
        producers.note(&header(9, 3, 40, 1, 0));
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
        producers.note(&header(9, 0, i32::MAX - 1, 3, 0));
        assert_eq!(producers.check(&header(9, 0, 1, 1, 0)), SequenceCheck::Append);
        let read = Producers::decode(&producers.encode()).expect("round trip");
        let again = read.check(&header(9, 0, i32::MAX - 1, 3, 0));
        assert!(matches!(again, SequenceCheck::Duplicate { base_offset: 0, .. }));
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let mut producers = Producers::default();
        producers.note(&header(9, 0, 0, 3, 5));
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
        producers.note(&header(9, 0, 0, 1, 5));
        producers.expire(1_000);
        assert_eq!(producers.len(), 1);
        producers.expire(1_001);
        assert!(producers.is_empty());
    }
}
