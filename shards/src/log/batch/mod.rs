//! Record batch v2, the unit of the log: its 61-byte header read in place, checked, and patched.
//!
//! Layout: Kafka protocol guide, "Record Batch". The CRC32C covers everything behind itself, so
//! base offset and partition leader epoch may be changed without computing it again.

pub mod build;
mod control;
mod records;

use std::io;

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::compression::compressed;
pub use control::{transactional, Marker};
use records::check_records;
pub(in crate::log) use records::put_varint;
pub use records::{
    check_inside, first_at_or_after, take_varint, undone_records, Record, RecordTimes,
};

/// Bytes of a batch's header; no batch is shorter.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes before the region that the length field counts.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// Bytes before the region that the CRC covers.
pub(in crate::log) const CRC_START: usize = 21;
/// The only record format that is stored.
pub const MAGIC_V2: i8 = 2;

/// The time of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;

const ATTRIBUTE_CODEC: i16 = 0x07;
const ATTRIBUTE_LOG_APPEND_TIME: i16 = 0x08;
const ATTRIBUTE_TRANSACTIONAL: i16 = 0x10;
const ATTRIBUTE_CONTROL: i16 = 0x20;
const ATTRIBUTE_DELETE_HORIZON: i16 = 0x40;

/// The header as it lies in the log, big-endian.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    pub base_offset: I64,
    pub length: I32,
    pub partition_leader_epoch: I32,
    pub magic: i8,
    pub crc: U32,
    pub attributes: I16,
    pub last_offset_delta: I32,
    pub base_timestamp: I64,
    pub max_timestamp: I64,
    pub producer_id: I64,
    pub producer_epoch: I16,
    pub base_sequence: I32,
    pub record_count: I32,
}

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// Its number in a batch's attributes.
    pub fn attribute(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }
}

/// What is wrong with a batch. The words end up in the answer to the producer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{have} bytes are fewer than a batch's header")]
    TooShort { have: usize },
    #[error("the batch says it is {said} bytes long and {have} are there")]
    Length { said: i64, have: usize },
    #[error("the record format is version {0}, only 2 is stored")]
    Magic(i8),
    #[error("the checksum is {computed:#010x} and the batch says {said:#010x}")]
    Checksum { computed: u32, said: u32 },
    #[error("the base offset is {0}, a producer's is 0")]
    BaseOffset(i64),
    #[error("codec {0} does not exist")]
    Codec(i16),
    #[error("the batch counts {count} records and its offsets {offsets}")]
    Count { count: i32, offsets: i64 },
    #[error("record {index} is damaged: {reason}")]
    Record { index: i32, reason: &'static str },
    #[error("the records cannot be decompressed: {0}")]
    Compression(String),
    #[error("producers may not write control records")]
    Control,
    #[error("the batch has a producer id and the sequence number {0}")]
    Sequence(i32),
}

impl BatchHeader {
    /// The header at the start of `bytes`, unchecked but for there being enough of them.
    pub fn peek(bytes: &[u8]) -> Option<BatchHeader> {
        BatchHeader::read_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// Bytes of the whole batch as its header claims, which may be anything.
    pub fn claimed_size(&self) -> i64 {
        i64::from(self.length.get()) + LENGTH_PREFIX_BYTES as i64
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.get().wrapping_add(i64::from(self.last_offset_delta.get()))
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes.get() & ATTRIBUTE_TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes.get() & ATTRIBUTE_CONTROL != 0
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes.get() & ATTRIBUTE_LOG_APPEND_TIME != 0
    }

    /// The times of all records, where they are the header's and not their own.
    pub(in crate::log) fn stamp(&self) -> Option<RecordTimes> {
        let stamp = self.max_timestamp.get();
        self.is_log_append_time().then_some(RecordTimes { least: stamp, greatest: stamp })
    }

    /// From when on the batch's tombstones may go, if that has been decided (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        let decided = self.attributes.get() & ATTRIBUTE_DELETE_HORIZON != 0;
        decided.then(|| self.base_timestamp.get())
    }

    /// Decides from when on the batch's tombstones may go. The timestamp deltas of its records must
    /// be reckoned from `horizon_ms` then.
    pub fn set_delete_horizon(&mut self, horizon_ms: i64) {
        self.attributes.set(self.attributes.get() | ATTRIBUTE_DELETE_HORIZON);
        self.base_timestamp.set(horizon_ms);
    }

    /// # Errors
    /// A codec that does not exist.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        match self.attributes.get() & ATTRIBUTE_CODEC {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            other => Err(BatchError::Codec(other)),
        }
    }
}

/// Checks that `bytes` is exactly one whole batch with the right checksum: what recovery asks of
/// every batch, and the first part of what is asked of a producer's.
///
/// # Errors
/// Short, of another length than it says, of an old format, or damaged.
pub fn check_whole(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::peek(bytes).ok_or(BatchError::TooShort { have: bytes.len() })?;
    if header.magic != MAGIC_V2 {
        return Err(BatchError::Magic(header.magic));
    }
    if header.claimed_size() != bytes.len() as i64 {
        return Err(BatchError::Length { said: header.claimed_size(), have: bytes.len() });
    }
    let computed = crc32c::crc32c(&bytes[CRC_START..]);
    if computed != header.crc.get() {
        return Err(BatchError::Checksum { computed, said: header.crc.get() });
    }
    Ok(header)
}

/// [`check_whole`], and all that Kafka asks of a batch that a producer sends: offsets from zero
/// and without gaps, a known codec, and (where they are not compressed) every record whole. Returns the
/// records' times, where they are not compressed or have the header's.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_produced(bytes: &[u8]) -> Result<Option<RecordTimes>, BatchError> {
    let header = check_whole(bytes)?;
    if header.base_offset.get() != 0 {
        return Err(BatchError::BaseOffset(header.base_offset.get()));
    }
    let count = header.record_count.get();
    let offsets = i64::from(header.last_offset_delta.get()) + 1;
    if count <= 0 || i64::from(count) != offsets {
        return Err(BatchError::Count { count, offsets });
    }
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.producer_id.get() >= 0 && header.base_sequence.get() < 0 {
        return Err(BatchError::Sequence(header.base_sequence.get()));
    }
    match header.codec()? {
        Codec::None => check_records(&header, &bytes[BATCH_HEADER_BYTES..]).map(Some),
        _ => Ok(header.stamp()),
    }
}

/// Writes what the leader decides into a batch: neither field is covered by the checksum.
///
/// # Panics
/// On fewer bytes than a header has: only checked batches are patched.
pub fn assign(bytes: &mut [u8], base_offset: i64, leader_epoch: i32) {
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Puts right what a producer claims of its records' times: which is the last of them, and that they are
/// the producer's. Indexes and retention go by it. The checksum is computed anew where that was not so.
pub fn set_last_time(bytes: &mut [u8], last_ms: i64) {
    let Ok((header, _)) = BatchHeader::mut_from_prefix(bytes) else { return };
    let last_ms = last_ms.max(NO_TIMESTAMP);
    if header.max_timestamp.get() == last_ms && !header.is_log_append_time() {
        return;
    }
    header.max_timestamp.set(last_ms);
    header.attributes.set(header.attributes.get() & !ATTRIBUTE_LOG_APPEND_TIME);
    build::seal(bytes);
}

/// Sets the broker's time on a batch (`message.timestamp.type=LogAppendTime`); the checksum is
/// computed anew, one pass over the batch.
///
/// # Panics
/// On fewer bytes than a header has.
pub fn stamp_append_time(bytes: &mut [u8], now_ms: i64) {
    let attributes = i16::from_be_bytes([bytes[21], bytes[22]]) | ATTRIBUTE_LOG_APPEND_TIME;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[35..43].copy_from_slice(&now_ms.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// The batch of `header` with its records, undone, compressed in another way
/// (`compression.type`).
///
/// # Errors
/// None in practice: memory is written to.
pub fn recompress(header: &BatchHeader, undone: &[u8], codec: Codec) -> io::Result<Vec<u8>> {
    let mut header = *header;
    header.attributes.set(header.attributes.get() & !ATTRIBUTE_CODEC | codec.attribute());
    Ok(reseal(header, &compressed(codec, undone)?))
}

/// A batch of `header` and other records, compressed as it says: length and checksum are set anew.
fn reseal(mut header: BatchHeader, records: &[u8]) -> Vec<u8> {
    let size = BATCH_HEADER_BYTES + records.len();
    header.length.set((size - LENGTH_PREFIX_BYTES) as i32);
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    build::seal(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        build::batch(&[b"one", b"two", b"three"], 1_000, None)
    }

    #[test]
    fn a_well_made_batch_passes() {
        check_produced(&sample()).expect("valid");
        let header = check_whole(&sample()).expect("valid");
        assert_eq!(header.record_count.get(), 3);
        assert_eq!(header.last_offset(), 2);
    }

    #[test]
    fn assigning_offsets_keeps_the_checksum_and_stamping_renews_it() {
        let mut batch = sample();
        assign(&mut batch, 41, 7);
        assert_eq!(check_whole(&batch).expect("still whole").base_offset.get(), 41);
        stamp_append_time(&mut batch, 99);
        let header = check_whole(&batch).expect("checksum renewed");
        assert!(header.is_log_append_time());
        assert_eq!(header.max_timestamp.get(), 99);
    }

    #[test]
    fn every_flipped_bit_behind_the_crc_is_noticed() {
        let batch = sample();
        for bit in CRC_START * 8..batch.len() * 8 {
            let mut damaged = batch.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check_whole(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn each_rule_names_what_is_broken() {
        type Change = fn(&mut Vec<u8>);
        type Expected = fn(&BatchError) -> bool;
        let cases: &[(Change, Expected)] = &[
            (|b| b.truncate(60), |e| matches!(e, BatchError::TooShort { .. })),
            (|b| b.truncate(65), |e| matches!(e, BatchError::Length { .. })),
            (|b| b[16] = 1, |e| matches!(e, BatchError::Magic(1))),
            (|b| b[7] = 5, |e| matches!(e, BatchError::BaseOffset(5))),
            (|b| b[60] = 4, |e| matches!(e, BatchError::Count { .. })),
            (|b| b[22] = 0x20, |e| matches!(e, BatchError::Control)),
            (|b| b[22] = 0x05, |e| matches!(e, BatchError::Codec(5))),
            (|b| b[43..51].fill(0), |e| matches!(e, BatchError::Sequence(-1))),
            (|b| b[61] = 0x7f, |e| matches!(e, BatchError::Record { .. })),
        ];
        for (index, (change, expected)) in cases.iter().enumerate() {
            let mut batch = sample();
            change(&mut batch);
            if batch.len() > CRC_START {
                build::seal(&mut batch);
            }
            let error = check_produced(&batch).expect_err("broken on purpose");
            assert!(expected(&error), "case {index}: {error}");
        }
    }

    #[test]
    fn a_wrong_last_time_is_put_right_and_a_right_one_is_left_alone() {
        let right = build::timed(&[0, 9], 1_000, Codec::None);
        let mut batch = right.clone();
        set_last_time(&mut batch, 1_009);
        assert_eq!(batch, right);
        batch[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
        build::seal(&mut batch);
        set_last_time(&mut batch, 1_009);
        assert_eq!(batch, right);
        stamp_append_time(&mut batch, 5_000);
        set_last_time(&mut batch, 1_009);
        assert_eq!(batch, right);
        set_last_time(&mut batch, -2);
        let header = check_whole(&batch).expect("the checksum is renewed");
        assert_eq!(header.max_timestamp.get(), NO_TIMESTAMP);
        set_last_time(&mut batch[..60], 0);
    }

    #[test]
    fn a_time_finds_its_record() {
        let mut batch = build::batch(&[b"a", b"b"], 500, None);
        assign(&mut batch, 10, 0);
        assert_eq!(first_at_or_after(&batch, 400).expect("reads"), Some((10, 500)));
        assert_eq!(first_at_or_after(&batch, 501).expect("reads"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_checks_panic(bytes: Vec<u8>, at in 0usize..200, value: u8) {
            let _ = check_produced(&bytes);
            let mut batch = sample();
            let at = at % batch.len();
            batch[at] = value;
            build::seal(&mut batch);
            let _ = check_produced(&batch);
            let _ = first_at_or_after(&batch, 0);
        }
    }
}
