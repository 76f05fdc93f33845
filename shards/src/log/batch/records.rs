//! The records within a batch: checked, walked, and searched by time.

use std::io::{self, BufReader, Read};

use super::{BatchError, BatchHeader, BATCH_HEADER_BYTES};
use crate::log::compression::decompressed;

/// The times of a batch's records, in ms; -1 is a record without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTimes {
    /// No record's time is less. It is some record's where one is before the batch's own.
    pub least: i64,
    /// That of the last record in time.
    pub greatest: i64,
}

/// Walks uncompressed records: each must lie within the batch and have the next offset. Returns their
/// times, which are not always what the header claims.
pub(super) fn check_records(
    header: &BatchHeader,
    mut rest: &[u8],
) -> Result<RecordTimes, BatchError> {
    let count = header.record_count.get();
    // Of all deltas, as they are written: the greatest, and in the lowest bit whether one is below zero.
    let (mut greatest, mut all) = (0, 0);
    let whole = rest;
    for index in 0..count {
        let damaged = |reason| BatchError::Record { index, reason };
        let length = take_varint(&mut rest).ok_or_else(|| damaged("its length is cut off"))?;
        let length = usize::try_from(length).map_err(|_| damaged("its length is negative"))?;
        if length > rest.len() {
            return Err(damaged("it reaches beyond the batch"));
        }
        let (mut body, after) = rest.split_at(length);
        if body.is_empty() {
            return Err(damaged("it has no attributes"));
        }
        body = &body[1..];
        let delta = take_raw(&mut body).ok_or_else(|| damaged("its timestamp is cut off"))?;
        (greatest, all) = (delta.max(greatest), delta | all);
        let delta = take_raw(&mut body).ok_or_else(|| damaged("its offset is cut off"))?;
        if delta != u64::from(index.unsigned_abs()) << 1 {
            return Err(damaged("its offset is not the next one"));
        }
        check_key_value_headers(body).map_err(damaged)?;
        rest = after;
    }
    if !rest.is_empty() {
        return Err(BatchError::Record { index: count, reason: "bytes follow the last record" });
    }
    Ok(header
        .stamp()
        .unwrap_or_else(|| times_of(header.base_timestamp.get(), greatest, all, whole)))
}

/// The times of records that were walked. They are walked again where one is before the batch's own time, or
/// the sum of time and delta is none that can be compared.
fn times_of(base: i64, greatest: u64, all: u64, mut records: &[u8]) -> RecordTimes {
    if let (0, Some(greatest)) = (all & 1, base.checked_add(zigzag(greatest))) {
        return RecordTimes { least: base, greatest };
    }
    let mut times = RecordTimes { least: i64::MAX, greatest: i64::MIN };
    while let Some(record) = Record::take(&mut records) {
        let time = base.wrapping_add(record.timestamp_delta);
        times = RecordTimes { least: times.least.min(time), greatest: times.greatest.max(time) };
    }
    times
}

fn check_key_value_headers(mut body: &[u8]) -> Result<(), &'static str> {
    skip_bytes(&mut body, true).ok_or("its key is cut off")?;
    skip_bytes(&mut body, true).ok_or("its value is cut off")?;
    let headers = take_varint(&mut body).ok_or("its headers are cut off")?;
    if headers < 0 || headers > body.len() as i64 {
        return Err("its number of headers is impossible");
    }
    for _ in 0..headers {
        skip_bytes(&mut body, false).ok_or("a header's key is cut off")?;
        skip_bytes(&mut body, true).ok_or("a header's value is cut off")?;
    }
    if body.is_empty() {
        Ok(())
    } else {
        Err("bytes follow its headers")
    }
}

fn skip_bytes(body: &mut &[u8], may_be_null: bool) -> Option<()> {
    let length = take_varint(body)?;
    if length == -1 && may_be_null {
        return Some(());
    }
    *body = body.get(usize::try_from(length).ok()?..)?;
    Some(())
}

/// A zigzag varint, as records use them; at most ten bytes. Nearly all are of one byte or two: deltas,
/// and lengths of what is small.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    take_raw(bytes).map(zigzag)
}

/// A varint as it is written: what zigzag makes of a number.
#[inline]
fn take_raw(bytes: &mut &[u8]) -> Option<u64> {
    match **bytes {
        [one, ref rest @ ..] if one < 0x80 => {
            *bytes = rest;
            Some(u64::from(one))
        }
        [one, two, ref rest @ ..] if two < 0x80 => {
            *bytes = rest;
            Some(u64::from(one & 0x7f) | u64::from(two) << 7)
        }
        _ => take_long_raw(bytes),
    }
}

fn take_long_raw(bytes: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The bytes of a batch's records, undone.
///
/// # Errors
/// They cannot be: another codec, damage, or more than is read of any batch.
pub fn undone_records(header: &BatchHeader, batch: &[u8]) -> io::Result<Vec<u8>> {
    let codec = header.codec().map_err(io::Error::other)?;
    let bytes = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let mut out = Vec::new();
    decompressed(codec, bytes)?.take(MAX_DECOMPRESSED).read_to_end(&mut out)?;
    Ok(out)
}

/// Checks the records of a compressed batch as those of an uncompressed one are when it is produced.
/// Returns them undone, and their times.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_inside(
    header: &BatchHeader,
    batch: &[u8],
) -> Result<(Vec<u8>, RecordTimes), BatchError> {
    let undone =
        undone_records(header, batch).map_err(|e| BatchError::Compression(e.to_string()))?;
    let times = check_records(header, &undone)?;
    Ok((undone, times))
}

/// A record, by its parts in a batch's undone bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// All of it, its length in front included.
    pub raw: &'a [u8],
    pub attributes: u8,
    pub timestamp_delta: i64,
    /// What follows the timestamp.
    pub from_offset: &'a [u8],
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Their number and what they are.
    pub headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes the first record off `bytes`; `None` where it is cut off.
    pub fn take(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
        let whole = *bytes;
        let length = usize::try_from(take_varint(bytes)?).ok()?;
        let body = bytes.get(..length)?;
        *bytes = &bytes[length..];
        let raw = &whole[..whole.len() - bytes.len()];
        let (attributes, mut body) = body.split_first()?;
        let timestamp_delta = take_varint(&mut body)?;
        let from_offset = body;
        let offset_delta = take_varint(&mut body)?;
        let key = take_bytes(&mut body)?;
        let value = take_bytes(&mut body)?;
        Some(Record {
            raw,
            attributes: *attributes,
            timestamp_delta,
            from_offset,
            offset_delta,
            key,
            value,
            headers: body,
        })
    }
}

/// Takes bytes with their length in front; `Some(None)`: null.
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_varint(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    let taken = bytes.get(..length)?;
    *bytes = &bytes[length..];
    Some(Some(taken))
}

/// Appends a zigzag varint.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push((zigzag as u8) | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// More than this is not read of a compressed batch's records.
pub const MAX_DECOMPRESSED: u64 = 256 << 20;

/// Finds the first record at or after `timestamp_ms` in a batch, compressed or not: its offset and
/// timestamp. `None` where there is none. Reads all records before it: not for a shard's own thread
/// where the batch is compressed.
///
/// # Errors
/// The records cannot be read.
pub fn first_at_or_after(batch: &[u8], timestamp_ms: i64) -> io::Result<Option<(i64, i64)>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let header = BatchHeader::peek(batch).ok_or_else(damaged)?;
    if header.is_log_append_time() {
        let stamp = header.max_timestamp.get();
        return Ok((stamp >= timestamp_ms).then_some((header.base_offset.get(), stamp)));
    }
    let codec = header.codec().map_err(io::Error::other)?;
    let records = decompressed(codec, &batch[BATCH_HEADER_BYTES..])?;
    let mut records = BufReader::new(records.take(MAX_DECOMPRESSED));
    for _ in 0..header.record_count.get() {
        let length = u64::try_from(read_varint(&mut records)?).map_err(|_| damaged())?;
        let mut body = (&mut records).take(length);
        body.read_exact(&mut [0])?;
        let timestamp = header.base_timestamp.get().wrapping_add(read_varint(&mut body)?);
        let offset = header.base_offset.get().wrapping_add(read_varint(&mut body)?);
        if timestamp >= timestamp_ms {
            return Ok(Some((offset, timestamp)));
        }
        io::copy(&mut body, &mut io::sink())?;
    }
    Ok(None)
}

fn read_varint(from: &mut impl Read) -> io::Result<i64> {
    let mut bytes = [0; 10];
    for at in 0..bytes.len() {
        from.read_exact(&mut bytes[at..=at])?;
        if bytes[at] & 0x80 == 0 {
            return take_varint(&mut &bytes[..=at]).ok_or(io::ErrorKind::InvalidData.into());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::super::{build, check_produced, stamp_append_time, Codec};
    use super::*;

    #[test]
    fn times_of_records_are_theirs_and_not_the_headers() {
        let batch = build::timed(&[0, -7, 9, 1], 1_000, Codec::None);
        let times = check_produced(&batch).expect("valid");
        let expected = RecordTimes { least: 993, greatest: 1_009 };
        assert_eq!(times, Some(expected));
        let compressed = build::timed(&[0, -7, 9, 1], 1_000, Codec::Zstd);
        assert_eq!(check_produced(&compressed), Ok(None), "not undone here");
        let header = BatchHeader::peek(&compressed).expect("a header");
        let (_, times) = check_inside(&header, &compressed).expect("valid");
        assert_eq!(times, expected);
        let times = |deltas: &[i64]| {
            check_produced(&build::timed(deltas, 1_000, Codec::None)).expect("valid")
        };
        assert_eq!(times(&[3, 5]), Some(RecordTimes { least: 1_000, greatest: 1_005 }));
        let beyond = 1_000i64.wrapping_add(i64::MAX);
        assert_eq!(times(&[3, i64::MAX]), Some(RecordTimes { least: beyond, greatest: 1_003 }));
        let mut stamped = batch.clone();
        stamp_append_time(&mut stamped, 5_000);
        let times = check_produced(&stamped).expect("valid");
        assert_eq!(
            times,
            Some(RecordTimes { least: 5_000, greatest: 5_000 }),
            "the header's count"
        );
    }
}
