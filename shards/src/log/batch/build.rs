//! Batches made here and not by a client: those of the broker's own topics, and of tests.

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};

use super::{put_varint, reseal, BatchHeader, Codec, CRC_START, MAGIC_V2};
use crate::log::compression::compressed;

/// A producer's identity in a batch: id, epoch and first sequence number.
#[derive(Debug, Clone, Copy)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// A key, if any, and a value; null is a tombstone.
pub type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// An uncompressed batch with one record per value, as a producer would send it.
pub fn batch(values: &[&[u8]], timestamp_ms: i64, producer: Option<Producer>) -> Vec<u8> {
    let pairs: Vec<Pair<'_>> = values.iter().map(|value| (None, Some(*value))).collect();
    keyed(&pairs, timestamp_ms, producer, Codec::None)
}

/// A batch with keys, compressed, as a producer would send it.
///
/// # Panics
/// The records cannot be compressed; without a codec that cannot be.
pub fn keyed(
    pairs: &[Pair<'_>],
    timestamp_ms: i64,
    producer: Option<Producer>,
    codec: Codec,
) -> Vec<u8> {
    let records: Vec<_> = pairs.iter().map(|pair| (0, *pair)).collect();
    of(&records, timestamp_ms, producer, codec)
}

/// A batch of records of these times after the batch's own, without keys and values; its header claims
/// the last of them.
///
/// # Panics
/// As [`keyed`].
pub fn timed(deltas: &[i64], timestamp_ms: i64, codec: Codec) -> Vec<u8> {
    let records: Vec<_> = deltas.iter().map(|delta| (*delta, (None, None))).collect();
    of(&records, timestamp_ms, None, codec)
}

fn of(
    records: &[(i64, Pair<'_>)],
    timestamp_ms: i64,
    producer: Option<Producer>,
    codec: Codec,
) -> Vec<u8> {
    let producer = producer.unwrap_or(Producer { id: -1, epoch: -1, sequence: -1 });
    let last_delta = records.iter().map(|(delta, _)| *delta).max().unwrap_or(0);
    let (count, mut bytes) = (records.len() as i32, Vec::new());
    for (index, (time_delta, (key, value))) in records.iter().enumerate() {
        let mut body = vec![0];
        put_varint(&mut body, *time_delta);
        put_varint(&mut body, index as i64);
        for part in [key, value] {
            put_varint(&mut body, part.map_or(-1, |bytes| bytes.len() as i64));
            body.extend_from_slice(part.unwrap_or_default());
        }
        put_varint(&mut body, 0);
        put_varint(&mut bytes, body.len() as i64);
        bytes.extend_from_slice(&body);
    }
    let header = BatchHeader {
        base_offset: I64::ZERO,
        length: I32::ZERO,
        partition_leader_epoch: I32::new(-1),
        magic: MAGIC_V2,
        crc: U32::ZERO,
        attributes: I16::new(codec.attribute()),
        last_offset_delta: I32::new(count - 1),
        base_timestamp: I64::new(timestamp_ms),
        max_timestamp: I64::new(timestamp_ms.saturating_add(last_delta)),
        producer_id: I64::new(producer.id),
        producer_epoch: I16::new(producer.epoch),
        base_sequence: I32::new(producer.sequence),
        record_count: I32::new(count),
    };
    reseal(header, &compressed(codec, &bytes).expect("compresses"))
}

/// Computes the checksum of a batch that was changed by hand.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
