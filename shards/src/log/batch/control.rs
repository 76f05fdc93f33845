//! Transaction markers: batches of one control record that end a producer's transaction in a
//! partition (KIP-98). Key: version, kind; value: version, epoch of the coordinator.

use super::build::{keyed, Producer};
use super::{reseal, BatchHeader, Codec, ATTRIBUTE_CONTROL, ATTRIBUTE_TRANSACTIONAL};
use super::{Record, BATCH_HEADER_BYTES};

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a producer's transaction ended in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    pub commit: bool,
    /// Of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// The marker that a batch is; `None` where it is none, or one of a kind that is not known.
    pub fn of(header: &BatchHeader, batch: &[u8]) -> Option<Marker> {
        if !header.is_control() {
            return None;
        }
        let record = Record::take(&mut batch.get(BATCH_HEADER_BYTES..)?)?;
        let key: [u8; 2] = record.key?.get(2..4)?.try_into().ok()?;
        let epoch: [u8; 4] = record.value?.get(2..6)?.try_into().ok()?;
        let commit = match i16::from_be_bytes(key) {
            COMMIT => true,
            ABORT => false,
            _ => return None,
        };
        Some(Marker { commit, coordinator_epoch: i32::from_be_bytes(epoch) })
    }

    /// The marker as a batch to append.
    pub fn batch(&self, producer_id: i64, producer_epoch: i16, now_ms: i64) -> Vec<u8> {
        let kind = if self.commit { COMMIT } else { ABORT };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let mut value = VERSION.to_be_bytes().to_vec();
        value.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        transactional(&[(Some(&key), Some(&value))], now_ms, producer_id, producer_epoch, true)
    }
}

/// A batch that the broker itself appends for a producer's transaction, without a sequence number.
pub fn transactional(
    pairs: &[super::build::Pair<'_>],
    now_ms: i64,
    producer_id: i64,
    producer_epoch: i16,
    control: bool,
) -> Vec<u8> {
    let producer = Producer { id: producer_id, epoch: producer_epoch, sequence: -1 };
    let plain = keyed(pairs, now_ms, Some(producer), Codec::None);
    let Some(mut header) = BatchHeader::peek(&plain) else { return plain };
    let control = if control { ATTRIBUTE_CONTROL } else { 0 };
    header.attributes.set(header.attributes.get() | ATTRIBUTE_TRANSACTIONAL | control);
    reseal(header, &plain[BATCH_HEADER_BYTES..])
}

#[cfg(test)]
mod tests {
    use super::super::check_whole;
    use super::*;

    #[test]
    fn a_marker_is_laid_out_as_kafkas_and_is_read_back() {
        for commit in [true, false] {
            let marker = Marker { commit, coordinator_epoch: 7 };
            let batch = marker.batch(5, 3, 1_000);
            let header = check_whole(&batch).expect("whole");
            assert!(header.is_control() && header.is_transactional());
            assert_eq!((header.producer_id.get(), header.producer_epoch.get()), (5, 3));
            assert_eq!(header.base_sequence.get(), -1);
            assert_eq!(Marker::of(&header, &batch), Some(marker));
            assert_eq!(batch.len(), 78, "Kafka's markers have 78 bytes");
        }
    }

    #[test]
    fn what_is_no_marker_is_none() {
        let data = super::super::build::batch(&[b"v"], 5, None);
        let header = BatchHeader::peek(&data).expect("a header");
        assert_eq!(Marker::of(&header, &data), None);
        let mut cut = Marker { commit: true, coordinator_epoch: 0 }.batch(5, 0, 5);
        let header = BatchHeader::peek(&cut).expect("a header");
        cut.truncate(70);
        assert_eq!(Marker::of(&header, &cut), None);
    }
}
