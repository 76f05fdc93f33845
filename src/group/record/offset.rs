//! `OffsetCommitKey` (versions 0 and 1), `OffsetCommitValue` (versions 0 to 4); version 1 and 3 are
//! written.

use bytes::{BufMut, Bytes};

use super::put_string;
use crate::partition::Committed;
use crate::wire::{Reader, WireError};

/// What an offset is committed for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

const KEY_VERSION: i16 = 1;
const VALUE_VERSION: i16 = 3;

/// Reads a key of version 0 or 1.
///
/// # Errors
/// It is not what the format says.
pub fn decode_key(bytes: &[u8]) -> Result<Place, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    match reader.i16()? {
        0 | KEY_VERSION => Ok(Place {
            group: reader.string()?.to_string(),
            topic: reader.string()?.to_string(),
            partition: reader.i32()?,
        }),
        version => Err(WireError::Malformed(format!("offset commit key version {version}"))),
    }
}

pub fn encode_key(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(10 + group.len() + topic.len());
    out.put_i16(KEY_VERSION);
    put_string(&mut out, group);
    put_string(&mut out, topic);
    out.put_i32(partition);
    out
}

pub fn decode_value(bytes: &[u8]) -> Result<Committed, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(WireError::Malformed(format!("offset commit value version {version}")));
    }
    let mut reader = reader.into_flexible(version >= 4);
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
    let metadata = reader.string()?.to_string();
    Ok(Committed { offset, leader_epoch, metadata, commit_ms: reader.i64()? })
}

pub fn encode_value(committed: &Committed) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + committed.metadata.len());
    out.put_i16(VALUE_VERSION);
    out.put_i64(committed.offset);
    out.put_i32(committed.leader_epoch);
    put_string(&mut out, &committed.metadata);
    out.put_i64(committed.commit_ms);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let key = encode_key("g", "t", 3);
        assert_eq!(key, [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 3]);
        let read = decode_key(&key).expect("reads");
        assert_eq!(read, Place { group: "g".into(), topic: "t".into(), partition: 3 });
        let committed =
            Committed { offset: 7, leader_epoch: 2, metadata: "m".to_string(), commit_ms: 9 };
        assert_eq!(decode_value(&encode_value(&committed)).expect("reads"), committed);
        assert!(decode_key(&[0, 2, 0, 0]).is_err());
        assert!(decode_key(&[0, 1, 0, 9]).is_err());
        assert!(decode_value(&[0, 9]).is_err());
    }
}
