//! One batch, and what of it stays.

use std::io;

use bytes::Bytes;
use zerocopy::IntoBytes;

use crate::log::batch::{put_varint, recompress, BatchHeader, Codec, Record};

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its records are damaged")
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
    Some(Rebuilt),
}

/// A batch to be made of a header and records that are not compressed yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Rebuilt {
    header: Vec<u8>,
    records: Vec<u8>,
}

impl Rebuilt {
    /// Bytes of its records, not compressed.
    pub fn len_bytes(&self) -> usize {
        self.records.len()
    }

    /// The batch: compresses its records, which may take long.
    ///
    /// # Errors
    /// None in practice: memory is written to.
    pub fn batch(&self) -> io::Result<Bytes> {
        let header = BatchHeader::peek(&self.header).ok_or_else(damaged)?;
        let codec = match header.record_count.get() {
            // As Kafka: clients do not expect nothing to be compressed.
            0 => Codec::None,
            _ => header.codec().map_err(io::Error::other)?,
        };
        recompress(&header, &self.records, codec).map(Bytes::from)
    }
}

/// Judges the records of one batch, some at a time.
pub struct Rewriter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    left: i32,
    kept: Vec<Record<'a>>,
    tombstones: bool,
}

impl<'a> Rewriter<'a> {
    /// `undone`: the batch's records, not compressed.
    pub fn new(header: BatchHeader, undone: &'a [u8]) -> Self {
        let left = header.record_count.get();
        Rewriter { header, rest: undone, left, kept: Vec::new(), tombstones: false }
    }

    /// Judges at most `most` records; whether there are more.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn step(&mut self, judgement: &Judgement<'_>, most: i32) -> io::Result<bool> {
        let horizon = self.header.delete_horizon_ms();
        let expired = horizon.is_some_and(|horizon| horizon <= judgement.now_ms);
        for _ in 0..most.min(self.left) {
            let record = Record::take(&mut self.rest).ok_or_else(damaged)?;
            let offset = self.header.base_offset.get() + record.offset_delta;
            // Records without a key are not accepted; of an earlier policy there may be some.
            let last = record.key.is_some_and(|key| (judgement.is_last)(key, offset));
            if last && (record.value.is_some() || !expired) {
                self.tombstones |= record.value.is_none();
                self.kept.push(record);
            }
        }
        self.left -= most.min(self.left);
        Ok(self.left > 0)
    }

    /// What becomes of the batch, once every record has been judged.
    pub fn finish(self, judgement: &Judgement<'_>) -> Kept {
        if self.kept.is_empty() && !judgement.keep_empty {
            return Kept::None;
        }
        let new_horizon = self.tombstones && self.header.delete_horizon_ms().is_none();
        if self.kept.len() == self.header.record_count.get() as usize && !new_horizon {
            return Kept::All;
        }
        let horizon = new_horizon.then_some(judgement.horizon_ms);
        Kept::Some(rebuild(self.header, &self.kept, horizon))
    }
}

/// A batch of control records that may go at `horizon_ms`.
pub fn with_horizon(header: BatchHeader, mut records: &[u8], horizon_ms: i64) -> Kept {
    let mut kept = Vec::new();
    while let Some(record) = Record::take(&mut records) {
        kept.push(record);
    }
    Kept::Some(rebuild(header, &kept, Some(horizon_ms)))
}

fn rebuild(mut header: BatchHeader, kept: &[Record<'_>], horizon: Option<i64>) -> Rebuilt {
    let base = header.base_timestamp.get();
    let shift = horizon.map_or(0, |horizon| base.wrapping_sub(horizon));
    let mut records = Vec::with_capacity(kept.iter().map(|record| record.raw.len() + 10).sum());
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
    if !header.is_log_append_time() {
        let newest = kept.iter().map(|record| base.wrapping_add(record.timestamp_delta)).max();
        header.max_timestamp.set(newest.unwrap_or(-1));
    }
    if let Some(horizon) = horizon {
        header.set_delete_horizon(horizon);
    }
    header.record_count.set(kept.len() as i32);
    Rebuilt { header: header.as_bytes().to_vec(), records }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::{assign, build::keyed, check_whole, undone_records};

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
        let header = BatchHeader::peek(batch).expect("a header");
        let undone = undone_records(&header, batch).expect("reads");
        let mut rewriter = Rewriter::new(header, &undone);
        while rewriter.step(&judgement, 2).expect("reads") {}
        rewriter.finish(&judgement)
    }

    fn some(kept: Kept) -> Bytes {
        match kept {
            Kept::Some(rebuilt) => rebuilt.batch().expect("compresses"),
            other => panic!("{other:?}"),
        }
    }

    fn keys(batch: &Bytes) -> Vec<(i64, String)> {
        let header = check_whole(batch).expect("whole");
        let undone = undone_records(&header, batch).expect("reads");
        let mut rest = &undone[..];
        let mut keys = Vec::new();
        while let Some(record) = Record::take(&mut rest) {
            let key = String::from_utf8_lossy(record.key.expect("a key")).into_owned();
            keys.push((header.base_offset.get() + record.offset_delta, key));
        }
        keys
    }

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn what_stays_keeps_its_offset_in_every_codec() {
        for codec in CODECS {
            let batch = batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))], codec);
            assert_eq!(judged(&batch, &[], 0, false), Kept::All);
            assert_eq!(judged(&batch, &[100, 101, 102], 0, false), Kept::None);
            let kept = some(judged(&batch, &[100], 0, false));
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
        let kept = some(judged(&batch, &[100], 0, true));
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
            let marked = some(judged(&batch, &[], 2_000, false));
            assert_eq!(keys(&marked).len(), 2);
            let header = BatchHeader::peek(&marked).expect("one");
            assert_eq!(header.delete_horizon_ms(), Some(2_050));
            assert_eq!(header.max_timestamp.get(), 1_000, "records keep their times");
            assert_eq!(judged(&marked, &[], 2_049, false), Kept::All);
            let later = some(judged(&marked, &[], 2_050, false));
            assert_eq!(keys(&later), [(101, "b".to_string())]);
        }
    }
}
