//! Record batch v2: one encoder, and the walk a fetch needs.
//!
//! Layout (big-endian): base offset 8, length 4 (what follows), leader epoch 4, magic 1, CRC32C 4
//! (over all that follows it), attributes 2, last offset delta 4, first and last timestamp 8 + 8,
//! producer id 8, producer epoch 2, base sequence 4, record count 4, records.

use super::WireError;

/// Bytes before the first record.
pub const HEADER_LEN: usize = 61;
/// Where the CRC's range begins: the attributes.
const CRC_COVERS_FROM: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const MAGIC_AT: usize = 16;
/// Bytes of base offset and length, which the length field does not count.
const LOG_OVERHEAD: usize = 12;

/// An encoded batch without producer id: it may be sent any number of times.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    pub bytes: Vec<u8>,
    pub records: u32,
}

/// Encodes a batch of as many records of `record_bytes` (the value's size, no key) as fit
/// `batch_bytes`, one at the least. The values are pseudo-random from a fixed seed: they do not
/// compress, and every run sends the same bytes.
pub fn encode(record_bytes: usize, batch_bytes: usize, timestamp_ms: i64) -> EncodedBatch {
    let mut random = Random::new();
    let records = Records::encode(record_bytes, 0, batch_bytes, |_, value| random.fill(value));
    seal(&records.bytes, records.count, 0, timestamp_ms)
}

/// Records one after another, before the header.
#[derive(Debug)]
pub struct Records {
    pub bytes: Vec<u8>,
    pub count: u32,
    /// Where each value begins in `bytes`.
    pub values_at: Vec<usize>,
}

impl Records {
    /// Encodes as many records as fit a batch of `batch_bytes`, one at the least, each with a key
    /// of `key_bytes` (none for 0) and a value of `value_bytes`, which `fill` is given.
    pub fn encode(
        value_bytes: usize,
        key_bytes: usize,
        batch_bytes: usize,
        mut fill: impl FnMut(&mut [u8], &mut [u8]),
    ) -> Self {
        let (mut key, mut value) = (vec![0; key_bytes], vec![0; value_bytes]);
        let mut bytes = Vec::with_capacity(batch_bytes.saturating_sub(HEADER_LEN));
        let mut values_at = Vec::new();
        let mut count = 0u32;
        loop {
            let body_len = record_body_len(count, key_bytes, value_bytes);
            let len = varint_len(body_len as i64) + body_len;
            if count > 0 && HEADER_LEN + bytes.len() + len > batch_bytes {
                return Self { bytes, count, values_at };
            }
            fill(&mut key, &mut value);
            push_record(&mut bytes, count, body_len, &key, &value);
            // Behind the value is the number of its headers, one byte.
            values_at.push(bytes.len() - 1 - value_bytes);
            count += 1;
        }
    }
}

fn record_body_len(offset_delta: u32, key_len: usize, value_len: usize) -> usize {
    // Attributes, timestamp delta 0, offset delta, key and value with their lengths, no headers.
    let key = if key_len == 0 { varint_len(-1) } else { varint_len(key_len as i64) + key_len };
    let value = varint_len(value_len as i64) + value_len;
    1 + 1 + varint_len(i64::from(offset_delta)) + key + value + 1
}

/// Appends a record; an empty key is written as none.
fn push_record(out: &mut Vec<u8>, offset_delta: u32, body_len: usize, key: &[u8], value: &[u8]) {
    push_varint(out, body_len as i64);
    out.push(0);
    push_varint(out, 0);
    push_varint(out, i64::from(offset_delta));
    push_varint(out, if key.is_empty() { -1 } else { key.len() as i64 });
    out.extend_from_slice(key);
    push_varint(out, value.len() as i64);
    out.extend_from_slice(value);
    push_varint(out, 0);
}

/// Puts the header before records, which may be compressed as `attributes` say.
pub fn seal(records: &[u8], count: u32, attributes: i16, timestamp_ms: i64) -> EncodedBatch {
    let len = (HEADER_LEN + records.len() - LOG_OVERHEAD) as i32;
    let mut bytes = Vec::with_capacity(HEADER_LEN + records.len());
    bytes.extend_from_slice(&0i64.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    bytes.push(2);
    bytes.extend_from_slice(&0u32.to_be_bytes());
    bytes.extend_from_slice(&attributes.to_be_bytes());
    bytes.extend_from_slice(&(count - 1).to_be_bytes());
    bytes.extend_from_slice(&timestamp_ms.to_be_bytes());
    bytes.extend_from_slice(&timestamp_ms.to_be_bytes());
    bytes.extend_from_slice(&(-1i64).to_be_bytes());
    bytes.extend_from_slice(&(-1i16).to_be_bytes());
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(records);
    set_crc(&mut bytes);
    EncodedBatch { bytes, records: count }
}

/// Computes and writes the CRC32C of a whole batch.
pub fn set_crc(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[MAGIC_AT + 1..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// What a walk over fetched records found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Bytes of whole batches.
    pub bytes: usize,
    pub records: u64,
    /// The offset after the last whole batch; none if there was no whole batch.
    pub next_offset: Option<i64>,
}

/// Walks the batches of a fetch answer. A last batch cut short is Kafka's right and is left out.
/// With `verify`, each batch's CRC32C is computed and compared.
pub fn walk(records: &[u8], verify: bool) -> Result<Walk, WireError> {
    walk_each(records, verify, |_, _| {})
}

/// As [`walk`], and calls `each` with every whole batch and the number of its records.
pub fn walk_each(
    records: &[u8],
    verify: bool,
    mut each: impl FnMut(&[u8], u64),
) -> Result<Walk, WireError> {
    let mut found = Walk::default();
    while let Some(header) = records[found.bytes..].first_chunk::<HEADER_LEN>() {
        let at = found.bytes;
        let len = i32_at(header, 8);
        let whole = usize::try_from(len).map_or(0, |len| len + LOG_OVERHEAD);
        if whole < HEADER_LEN {
            return Err(WireError::BadBatch { at, what: "length shorter than a batch header" });
        }
        if header[MAGIC_AT] != 2 {
            return Err(WireError::BadBatch { at, what: "magic is not 2" });
        }
        let Some(batch) = records[at..].get(..whole) else { break };
        if verify {
            let said = i32_at(header, MAGIC_AT + 1) as u32;
            if crc32c::crc32c(&batch[CRC_COVERS_FROM..]) != said {
                return Err(WireError::BadBatch { at, what: "CRC32C does not match" });
            }
        }
        let delta = i32_at(header, LAST_OFFSET_DELTA_AT);
        let base = i64::from(i32_at(header, 0)) << 32 | i64::from(i32_at(header, 4) as u32);
        if delta < 0 || base < 0 {
            return Err(WireError::BadBatch { at, what: "negative offset" });
        }
        let count = i32_at(header, HEADER_LEN - 4).max(0) as u64;
        each(batch, count);
        found.records += count;
        found.next_offset = Some(base.saturating_add(i64::from(delta) + 1));
        found.bytes += whole;
    }
    Ok(found)
}

fn i32_at(header: &[u8; HEADER_LEN], at: usize) -> i32 {
    i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn push_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push((zigzag as u8 & 0x7f) | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    let bits = 64 - zigzag.leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

/// xorshift64*: enough for bytes that do not compress.
pub struct Random(u64);

impl Random {
    /// Always the same bytes.
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records "hi" and "ho", no keys, timestamp 1000, as `MemoryRecords.withRecords` of Apache
    /// Kafka 4.0 writes them.
    const FROM_KAFKA: &str = concat!(
        "000000000000000000000043ffffffff02a7f87c7400000000000100000000000003e8",
        "00000000000003e8ffffffffffffffffffffffffffff00000002",
        "100000000104686900100000020104686f00"
    );

    #[test]
    fn batch_is_byte_for_byte_what_kafka_writes() {
        let mut values = [b"hi", b"ho"].into_iter();
        let records = Records::encode(2, 0, HEADER_LEN + 18, |_, value| {
            value.copy_from_slice(values.next().unwrap());
        });
        let batch = seal(&records.bytes, records.count, 0, 1000);
        let hex: String = batch.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, FROM_KAFKA);
    }

    #[test]
    fn batch_fills_the_size_asked_for_and_no_more() {
        for batch_bytes in [65_536, 262_144, 1_048_576] {
            let batch = encode(1024, batch_bytes, 0);
            assert!(batch.bytes.len() <= batch_bytes);
            assert!(batch.bytes.len() > batch_bytes - 1024 - 16);
        }
    }

    #[test]
    fn record_larger_than_the_batch_still_travels_alone() {
        let batch = encode(1000, 100, 0);
        assert_eq!(batch.records, 1);
        assert!(batch.bytes.len() > 1000);
    }

    #[test]
    fn walk_accepts_what_encode_writes() {
        let batch = encode(100, 10_000, 0);
        let twice = [batch.bytes.as_slice(), &batch.bytes].concat();
        let walk = walk(&twice, true).unwrap();
        assert_eq!(walk.bytes, twice.len());
        assert_eq!(walk.records, u64::from(batch.records) * 2);
        assert_eq!(walk.next_offset, Some(i64::from(batch.records)));
    }

    #[test]
    fn every_flipped_byte_under_the_crc_is_noticed() {
        let batch = encode(10, 200, 0).bytes;
        for at in CRC_COVERS_FROM..batch.len() {
            let mut flipped = batch.clone();
            flipped[at] ^= 1;
            assert!(walk(&flipped, true).is_err(), "byte {at}");
        }
    }

    #[test]
    fn batch_cut_short_is_left_out_wherever_it_is_cut() {
        let batch = encode(50, 300, 0).bytes;
        for cut in 0..batch.len() {
            let records = [batch.as_slice(), &batch[..cut]].concat();
            assert_eq!(walk(&records, true).unwrap().bytes, batch.len(), "cut at {cut}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for len in [-1i32, 0, 48, i32::MIN] {
            let mut batch = encode(10, 100, 0).bytes;
            batch[8..12].copy_from_slice(&len.to_be_bytes());
            assert!(walk(&batch, false).is_err(), "{len}");
        }
    }

    #[test]
    fn varint_len_agrees_with_the_encoding() {
        for value in [0, -1, 1, 63, 64, -64, -65, 8191, 8192, 1 << 20, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }
}
