//! One batch, and what of it stays.

use std::io;

use bytes::Bytes;

use crate::log::batch::{put_varint, recompress, undone_records, BatchHeader, Codec, Record};

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its records are damaged")
}

/// Hands each record's offset and key to `visit` until it answers `false`; whether it never did.
///
/// # Errors
/// The records cannot be read.
pub fn visit_keys(
    batch: &Bytes,
    mut visit: impl FnMut(i64, Option<&[u8]>) -> bool,
) -> io::Result<bool> {
    let header = BatchHeader::peek(batch).ok_or_else(damaged)?;
    let undone = undone_records(&header, batch)?;
    let mut rest = &undone[..];
    for _ in 0..header.record_count.get() {
        let record = Record::take(&mut rest).ok_or_else(damaged)?;
        if !visit(header.base_offset.get() + record.offset_delta, record.key) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is asked about each record.
pub struct Judgement<'a> {
    /// Whether `key` has no later record than the one at the offset.
    pub is_last: &'a dyn Fn(&[u8], i64) -> bool,
    /// Time now, and when a tombstone that is met for the first time may go (ms).
    pub now_ms: i64,
    pub horizon_ms: i64,
    /// Whether the batch is the last of an idempotent producer: it stays, were it without records.
    pub keep_empty: bool,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    All,
    None,
    /// Another batch in its place: same offsets, fewer records.
    Some(Bytes),
}

/// Decides about every record of `batch` and makes what stays into a batch.
///
/// # Errors
/// The records cannot be read.
pub fn rewrite(batch: &Bytes, judgement: &Judgement<'_>) -> io::Result<Kept> {
    let header = BatchHeader::peek(batch).ok_or_else(damaged)?;
    if header.is_control() {
        return Ok(Kept::All);
    }
    let undone = undone_records(&header, batch)?;
    let horizon = header.delete_horizon_ms();
    let expired = horizon.is_some_and(|horizon| horizon <= judgement.now_ms);
    let mut rest = &undone[..];
    let mut kept = Vec::new();
    let mut tombstones = false;
    for _ in 0..header.record_count.get() {
        let record = Record::take(&mut rest).ok_or_else(damaged)?;
        let offset = header.base_offset.get() + record.offset_delta;
        // Records without a key are not accepted; of an earlier policy there may be some.
        let last = record.key.is_some_and(|key| (judgement.is_last)(key, offset));
        if last && (record.value.is_some() || !expired) {
            tombstones |= record.value.is_none();
            kept.push(record);
        }
    }
    if kept.is_empty() && !judgement.keep_empty {
        return Ok(Kept::None);
    }
    let new_horizon = tombstones && horizon.is_none();
    if kept.len() == header.record_count.get() as usize && !new_horizon {
        return Ok(Kept::All);
    }
    let horizon = if new_horizon { Some(judgement.horizon_ms) } else { None };
    build(&header, &kept, horizon).map(Kept::Some)
}

fn build(header: &BatchHeader, kept: &[Record<'_>], horizon: Option<i64>) -> io::Result<Bytes> {
    let base = header.base_timestamp.get();
    let shift = horizon.map_or(0, |horizon| base.wrapping_sub(horizon));
    let mut records = Vec::new();
    for record in kept {
        if shift == 0 {
            records.extend_from_slice(record.raw);
            continue;
        }
        let mut body = vec![record.attributes];
        put_varint(&mut body, record.timestamp_delta.wrapping_add(shift));
        body.extend_from_slice(record.from_offset);
        put_varint(&mut records, body.len() as i64);
        records.extend_from_slice(&body);
    }
    let mut header = *header;
    if !header.is_log_append_time() {
        let newest = kept.iter().map(|record| base.wrapping_add(record.timestamp_delta)).max();
        header.max_timestamp.set(newest.unwrap_or(-1));
    }
    if let Some(horizon) = horizon {
        header.set_delete_horizon(horizon);
    }
    header.record_count.set(kept.len() as i32);
    let codec = match kept {
        // As Kafka: clients do not expect nothing to be compressed.
        [] => Codec::None,
        _ => header.codec().map_err(io::Error::other)?,
    };
    recompress(&header, &records, codec).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::{assign, build::keyed, check_whole};

    type Pair<'a> = (&'a str, Option<&'a str>);

    fn batch(records: &[Pair<'_>], codec: Codec) -> Bytes {
        let records: Vec<_> =
            records.iter().map(|(k, v)| (Some(k.as_bytes()), v.map(str::as_bytes))).collect();
        let mut batch = keyed(&records, 1_000, None, codec);
        assign(&mut batch, 100, 4);
        Bytes::from(batch)
    }

    fn judged(batch: &Bytes, gone: &[i64], now_ms: i64, keep_empty: bool) -> Kept {
        let is_last = |_: &[u8], offset: i64| !gone.contains(&offset);
        let judgement =
            Judgement { is_last: &is_last, now_ms, horizon_ms: now_ms + 50, keep_empty };
        rewrite(batch, &judgement).expect("reads")
    }

    fn keys(batch: &Bytes) -> Vec<(i64, String)> {
        check_whole(batch).expect("whole");
        let mut keys = Vec::new();
        let all = visit_keys(batch, |offset, key| {
            keys.push((offset, String::from_utf8_lossy(key.expect("a key")).into_owned()));
            true
        });
        assert!(all.expect("reads"));
        keys
    }

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn what_stays_keeps_its_offset_in_every_codec() {
        for codec in CODECS {
            let batch = batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))], codec);
            assert_eq!(judged(&batch, &[], 0, false), Kept::All);
            assert_eq!(judged(&batch, &[100, 101, 102], 0, false), Kept::None);
            let Kept::Some(kept) = judged(&batch, &[100], 0, false) else { panic!("{codec:?}") };
            assert_eq!(keys(&kept), [(101, "b".to_string()), (102, "c".to_string())]);
            let (before, after) =
                (BatchHeader::peek(&batch).expect("one"), BatchHeader::peek(&kept).expect("one"));
            assert_eq!(before.base_offset, after.base_offset);
            assert_eq!(before.last_offset(), after.last_offset());
            assert_eq!(before.codec(), after.codec());
        }
    }

    #[test]
    fn a_producers_last_batch_stays_without_records() {
        let batch = batch(&[("a", Some("1"))], Codec::Zstd);
        let Kept::Some(kept) = judged(&batch, &[100], 0, true) else { panic!("is kept") };
        assert_eq!(keys(&kept), []);
        let header = BatchHeader::peek(&kept).expect("one");
        assert_eq!((header.record_count.get(), header.last_offset()), (0, 100));
        assert_eq!(header.codec(), Ok(Codec::None), "librdkafka dies of nothing, compressed");
        assert_eq!(judged(&kept, &[], 0, true), Kept::All);
        assert_eq!(judged(&kept, &[], 0, false), Kept::None, "it has sent another since");
    }

    #[test]
    fn tombstones_stay_until_their_horizon() {
        for codec in CODECS {
            let batch = batch(&[("a", None), ("b", Some("2"))], codec);
            let Kept::Some(marked) = judged(&batch, &[], 2_000, false) else { panic!("marked") };
            assert_eq!(keys(&marked).len(), 2);
            let header = BatchHeader::peek(&marked).expect("one");
            assert_eq!(header.delete_horizon_ms(), Some(2_050));
            assert_eq!(header.max_timestamp.get(), 1_000, "records keep their times");
            assert_eq!(judged(&marked, &[], 2_049, false), Kept::All);
            let Kept::Some(later) = judged(&marked, &[], 2_050, false) else { panic!("gone") };
            assert_eq!(keys(&later), [(101, "b".to_string())]);
        }
    }
}
