//! Records of `__share_group_state`, in Kafka's formats: `ShareSnapshot` (key version 0), which is all
//! that is known, and `ShareUpdate` (1), which is what has changed. Snapshots alone are written: the
//! topic is compacted, which keeps the last record of a key.

use bytes::{BufMut, Bytes};

use crate::partition::share::{Saved, SavedRun, ShareKey, ShareState};
use crate::wire::{Reader, WireError, Writer};

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;
const VALUE_VERSION: i16 = 0;
/// Bytes of a run, its tagged fields included.
const RUN_BYTES: usize = 20;

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Snapshot,
    Update,
}

pub fn encode_key(key: &ShareKey) -> Vec<u8> {
    let mut out = Writer::new(false, 24 + key.group.len());
    out.buf.put_i16(SNAPSHOT);
    out.nullable_string(Some(&key.group));
    out.buf.put_u128(key.topic.as_u128());
    out.buf.put_i32(key.index);
    out.buf.to_vec()
}

/// `None`: of a kind that is not known here.
///
/// # Errors
/// The key is cut off or no text.
pub fn decode_key(bytes: &[u8]) -> Result<Option<(Kind, ShareKey)>, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let kind = match reader.i16()? {
        SNAPSHOT => Kind::Snapshot,
        UPDATE => Kind::Update,
        _ => return Ok(None),
    };
    let (group, topic) = (reader.string()?.to_string(), reader.uuid()?);
    Ok(Some((kind, ShareKey { group, topic, index: reader.i32()? })))
}

/// A snapshot; times in ms.
pub fn encode(state: &ShareState, leader_epoch: i32, now_ms: i64) -> Vec<u8> {
    let mut out = Writer::new(true, 48 + state.runs.len() * RUN_BYTES);
    out.buf.put_i16(VALUE_VERSION);
    out.buf.put_i32(0); // its own epoch, which updates would refer to
    out.buf.put_i32(state.epoch);
    out.buf.put_i32(leader_epoch);
    out.buf.put_i64(state.start);
    out.buf.put_i64(now_ms);
    out.buf.put_i64(now_ms);
    out.count(Some(state.runs.len()));
    for run in &state.runs {
        out.buf.put_i64(run.first);
        out.buf.put_i64(run.last);
        out.buf.put_i8(run.state as i8);
        out.buf.put_i16(run.deliveries);
        out.no_tags();
    }
    out.no_tags();
    out.buf.to_vec()
}

/// Takes a record's value in: instead of what is known, or into it.
///
/// # Errors
/// The value is not what Kafka's format says, or of a version that is not known here.
pub fn apply(known: Option<ShareState>, kind: Kind, bytes: &[u8]) -> Result<ShareState, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), true);
    let version = reader.i16()?;
    if version != VALUE_VERSION {
        return Err(WireError::Malformed(format!("share group state value version {version}")));
    }
    reader.i32()?;
    match kind {
        Kind::Snapshot => {
            let epoch = reader.i32()?;
            reader.i32()?;
            let start = reader.i64()?;
            reader.i64()?;
            reader.i64()?;
            Ok(ShareState { epoch, start, runs: read_runs(&mut reader)? })
        }
        Kind::Update => {
            let mut state = known.unwrap_or_default();
            reader.i32()?;
            let start = reader.i64()?;
            if start >= 0 {
                state.start = start;
            }
            for run in read_runs(&mut reader)? {
                put(&mut state.runs, run);
            }
            let start = state.start;
            state.runs.retain(|run| run.last >= start);
            Ok(state)
        }
    }
}

fn read_runs(reader: &mut Reader<Bytes>) -> Result<Vec<SavedRun>, WireError> {
    let mut runs = Vec::new();
    let mut next = i64::MIN;
    for _ in 0..reader.count(RUN_BYTES)?.unwrap_or(0) {
        let (first, last, state) = (reader.i64()?, reader.i64()?, reader.i8()?);
        let state = match state {
            0 => Saved::Available,
            2 => Saved::Accepted,
            4 => Saved::Archived,
            other => return Err(WireError::Malformed(format!("delivery state {other}"))),
        };
        let deliveries = reader.i16()?;
        reader.skip_tags()?;
        if first < next || last < first {
            return Err(WireError::Malformed("state batches out of order".to_string()));
        }
        next = last.saturating_add(1);
        runs.push(SavedRun { first, last, state, deliveries });
    }
    Ok(runs)
}

/// A run in place of what others say of its records.
fn put(runs: &mut Vec<SavedRun>, run: SavedRun) {
    let mut kept = Vec::with_capacity(runs.len() + 2);
    for other in runs.drain(..) {
        if other.first < run.first {
            kept.push(SavedRun { last: other.last.min(run.first - 1), ..other });
        }
        if other.last > run.last {
            kept.push(SavedRun { first: other.first.max(run.last + 1), ..other });
        }
    }
    let at = kept.partition_point(|other| other.first < run.first);
    kept.insert(at, run);
    *runs = kept;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn run(first: i64, last: i64, state: Saved) -> SavedRun {
        SavedRun { first, last, state, deliveries: 2 }
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let key = ShareKey { group: "g".to_string(), topic: Uuid::from_u128(7), index: 3 };
        assert_eq!(decode_key(&encode_key(&key)), Ok(Some((Kind::Snapshot, key))));
        let runs = vec![run(5, 9, Saved::Available), run(12, 12, Saved::Accepted)];
        let state = ShareState { epoch: 4, start: 5, runs };
        let bytes = encode(&state, 1, 99);
        assert_eq!(bytes.len(), 2 + 36 + 1 + 2 * RUN_BYTES + 1);
        assert_eq!(apply(None, Kind::Snapshot, &bytes), Ok(state));
        assert!(apply(None, Kind::Snapshot, &bytes[..bytes.len() - 3]).is_err());
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let state = ShareState { epoch: 1, start: 5, runs: vec![run(5, 20, Saved::Available)] };
        let mut update = Writer::new(true, 64);
        update.buf.put_i16(0);
        update.buf.put_i32(0);
        update.buf.put_i32(0);
        update.buf.put_i64(8);
        update.count(Some(1));
        update.buf.put_i64(10);
        update.buf.put_i64(12);
        update.buf.put_i8(2);
        update.buf.put_i16(2);
        update.no_tags();
        update.no_tags();
        let changed = apply(Some(state), Kind::Update, &update.buf).expect("applies");
        let runs = [
            run(5, 9, Saved::Available),
            run(10, 12, Saved::Accepted),
            run(13, 20, Saved::Available),
        ];
        assert_eq!((changed.start, &changed.runs[..]), (8, &runs[..]));
    }
}
