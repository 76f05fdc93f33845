//! What records hold: random bytes or text, keys, compression, and the moment they were due.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::batch::{self, EncodedBatch, Random, Records, HEADER_LEN};

/// How a batch's records are compressed; the numbers are those of the batch's attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    None = 0,
    Lz4 = 3,
    Zstd = 4,
}

/// What values are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// Bytes that do not compress.
    #[default]
    Random,
    /// Fields and numbers as JSON has them, which compress to about a fifth.
    Text,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    pub value_bytes: usize,
    /// Bytes of each random key; 0 for no keys.
    pub key_bytes: usize,
    /// Largest size of a batch before it is compressed.
    pub batch_bytes: usize,
    pub values: Values,
    pub compression: Compression,
}

impl Content {
    /// Encodes the batch: the same bytes in every run.
    pub fn encode(&self, timestamp_ms: i64) -> std::io::Result<EncodedBatch> {
        let records = self.records();
        let bytes = match self.compression {
            Compression::None => records.bytes,
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(&records.bytes)?;
                encoder.finish().map_err(std::io::Error::other)?
            }
            Compression::Zstd => zstd::encode_all(&records.bytes[..], 0)?,
        };
        Ok(batch::seal(&bytes, records.count, self.compression as i16, timestamp_ms))
    }

    /// Encodes a batch whose records can be stamped; it is not compressed.
    pub fn encode_stamped(&self, timestamp_ms: i64) -> StampedBatch {
        let records = self.records();
        let values_at = records.values_at.iter().map(|at| HEADER_LEN + at).collect();
        StampedBatch {
            batch: batch::seal(&records.bytes, records.count, 0, timestamp_ms),
            values_at,
        }
    }

    fn records(&self) -> Records {
        let mut random = Random::new();
        Records::encode(self.value_bytes, self.key_bytes, self.batch_bytes, |key, value| {
            random.fill(key);
            match self.values {
                Values::Random => random.fill(value),
                Values::Text => fill_text(&mut random, value),
            }
        })
    }
}

/// Fills `value` with fields of random numbers.
fn fill_text(random: &mut Random, value: &mut [u8]) {
    const NAMES: [&str; 8] =
        ["account", "amount", "currency", "venue", "status", "created", "customer", "reference"];
    let mut text = String::with_capacity(value.len() + 64);
    text.push('{');
    while text.len() < value.len() {
        let mut number = [0; 4];
        random.fill(&mut number);
        let name = NAMES[usize::from(number[0]) % NAMES.len()];
        let digits = u32::from_be_bytes(number) % 100_000;
        text.push_str(&format!("\"{name}\":\"{digits}\","));
    }
    value.copy_from_slice(&text.as_bytes()[..value.len()]);
}

/// Bytes of a stamp, at the front of each value.
pub const STAMP_BYTES: usize = 8;

/// A batch whose records carry a moment, set anew before each sending.
#[derive(Debug, Clone)]
pub struct StampedBatch {
    batch: EncodedBatch,
    values_at: Vec<usize>,
}

impl StampedBatch {
    pub fn records(&self) -> u32 {
        self.batch.records
    }

    /// Bytes of the batch.
    pub fn bytes_len(&self) -> usize {
        self.batch.bytes.len()
    }

    /// Writes the moment, in nanoseconds, to the front of each value, and the CRC that follows.
    pub fn stamped(&mut self, nanos: u64) -> &[u8] {
        for &at in &self.values_at {
            self.batch.bytes[at..at + STAMP_BYTES].copy_from_slice(&nanos.to_be_bytes());
        }
        batch::set_crc(&mut self.batch.bytes);
        &self.batch.bytes
    }
}

/// The stamp of a batch's first record; none where the bytes are not as [`StampedBatch`] has them.
pub fn first_stamp(batch: &[u8]) -> Option<u64> {
    let mut rest = batch.get(HEADER_LEN..)?;
    take_varint(&mut rest)?;
    rest = rest.get(1..)?;
    take_varint(&mut rest)?;
    take_varint(&mut rest)?;
    let key_len = usize::try_from(take_varint(&mut rest)?).unwrap_or(0);
    rest = rest.get(key_len..)?;
    let value_len = usize::try_from(take_varint(&mut rest)?).ok()?;
    let value = rest.get(..value_len)?;
    value.first_chunk::<STAMP_BYTES>().map(|stamp| u64::from_be_bytes(*stamp))
}

/// Takes a zigzag number of at most ten bytes.
fn take_varint(from: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        zigzag |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(key_bytes: usize, values: Values, compression: Compression) -> Content {
        Content { value_bytes: 200, key_bytes, batch_bytes: 20_000, values, compression }
    }

    #[test]
    fn every_kind_is_a_whole_batch() {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            for (key_bytes, values) in [(0, Values::Random), (16, Values::Text)] {
                let batch = content(key_bytes, values, compression).encode(7).unwrap();
                let walk = batch::walk(&batch.bytes, true).unwrap();
                assert_eq!(walk.records, u64::from(batch.records), "{compression:?}");
                assert_eq!(walk.bytes, batch.bytes.len());
            }
        }
    }

    #[test]
    fn text_compresses_and_random_bytes_do_not() {
        let len =
            |values, compression| content(0, values, compression).encode(0).unwrap().bytes.len();
        for compression in [Compression::Lz4, Compression::Zstd] {
            assert!(len(Values::Text, compression) < len(Values::Text, Compression::None) / 2);
            assert!(len(Values::Random, compression) > 19_000);
        }
    }

    #[test]
    fn compressed_records_are_those_that_went_in() {
        let plain = content(16, Values::Text, Compression::None).encode(0).unwrap();
        let lz4 = content(16, Values::Text, Compression::Lz4).encode(0).unwrap();
        let zstd = content(16, Values::Text, Compression::Zstd).encode(0).unwrap();
        let mut unpacked = Vec::new();
        let mut decoder = lz4_flex::frame::FrameDecoder::new(&lz4.bytes[HEADER_LEN..]);
        std::io::copy(&mut decoder, &mut unpacked).unwrap();
        assert_eq!(unpacked, plain.bytes[HEADER_LEN..]);
        assert_eq!(zstd::decode_all(&zstd.bytes[HEADER_LEN..]).unwrap(), plain.bytes[HEADER_LEN..]);
    }

    #[test]
    fn stamp_is_read_back_and_the_crc_follows_it() {
        for key_bytes in [0, 16, 100] {
            let mut batch = content(key_bytes, Values::Random, Compression::None).encode_stamped(0);
            for nanos in [0, 12_345_678_901, u64::MAX] {
                let bytes = batch.stamped(nanos).to_vec();
                assert!(batch::walk(&bytes, true).is_ok());
                assert_eq!(first_stamp(&bytes), Some(nanos));
            }
        }
    }

    #[test]
    fn batch_cut_short_has_no_stamp_and_does_not_panic() {
        let mut batch = content(16, Values::Random, Compression::None).encode_stamped(0);
        let bytes = batch.stamped(1).to_vec();
        for cut in 0..HEADER_LEN + 20 {
            assert_eq!(first_stamp(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(first_stamp(&[0xff; 200]), None);
    }
}
