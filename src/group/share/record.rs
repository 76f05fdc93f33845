//! Records of share groups in `__consumer_offsets`, in Kafka's formats: the key's version is the kind (10
//! to 14), values are flexible messages of version 0.
//!
//! Knowingly not written: `ShareGroupStatePartitionMetadata` (15), which partitions have a state: the
//! state's own topic says that here.

use bytes::{BufMut, Bytes};

use super::super::consumer::{put_assignment, read_assignment, read_names};
use super::{Assignment, Current, Metadata};
use crate::partition::keyed_log::KeyedRecord;
use crate::wire::{Reader, WireError, Writer};

/// What of a group a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// What a member says of itself.
    Member(String),
    /// The group's epoch.
    Group,
    /// The epoch of the targets.
    TargetEpoch,
    /// What a member is to have.
    Target(String),
    /// What a member has.
    Current(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Member(Metadata),
    Epoch(i32),
    Assignment(Assignment),
    Current(Current),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Key,
    pub value: Option<Value>,
}

const MEMBER: i16 = 10;
const GROUP: i16 = 11;
const TARGET_EPOCH: i16 = 12;
const TARGET: i16 = 13;
const CURRENT: i16 = 14;
const VERSION: i16 = 0;

/// A record of a group as it is written.
pub fn encode(group: &str, record: &Record) -> KeyedRecord {
    let (kind, of) = match &record.key {
        Key::Member(id) => (MEMBER, Some(id)),
        Key::Group => (GROUP, None),
        Key::TargetEpoch => (TARGET_EPOCH, None),
        Key::Target(id) => (TARGET, Some(id)),
        Key::Current(id) => (CURRENT, Some(id)),
    };
    let mut key = Writer::new(false, 8 + group.len() + of.map_or(0, String::len));
    key.buf.put_i16(kind);
    key.nullable_string(Some(group));
    if let Some(id) = of {
        key.nullable_string(Some(id));
    }
    let value = record.value.as_ref().map(|value| encode_value(kind, value));
    (key.buf.to_vec(), value)
}

fn encode_value(kind: i16, value: &Value) -> Vec<u8> {
    let mut out = Writer::new(true, 64);
    out.buf.put_i16(VERSION);
    match value {
        Value::Member(metadata) => {
            out.nullable_string(metadata.rack_id.as_deref());
            out.nullable_string(Some(&metadata.client_id));
            out.nullable_string(Some(&metadata.client_host));
            out.count(Some(metadata.topics.len()));
            metadata.topics.iter().for_each(|name| out.nullable_string(Some(name)));
        }
        Value::Epoch(epoch) => {
            out.buf.put_i32(*epoch);
            if kind == GROUP {
                out.buf.put_i64(0); // a hash of the topics: found again after a restart
            }
        }
        Value::Assignment(assignment) => put_assignment(&mut out, assignment),
        Value::Current(current) => {
            out.buf.put_i32(current.epoch);
            out.buf.put_i32(current.previous_epoch);
            out.buf.put_i8(0); // stable: there is nothing to give up
            put_assignment(&mut out, &current.assigned);
        }
    }
    out.no_tags();
    out.buf.to_vec()
}

/// The group that a record is about, and what of it; `None` where it is about something else.
///
/// # Errors
/// The key is not what Kafka's formats say.
pub fn decode_key(bytes: &[u8]) -> Result<Option<(String, Key)>, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let kind = reader.i16()?;
    if !matches!(kind, MEMBER..=CURRENT) {
        return Ok(None);
    }
    let group = reader.string()?.to_string();
    let mut of = || reader.string().map(|text| text.to_string());
    let key = match kind {
        MEMBER => Key::Member(of()?),
        GROUP => Key::Group,
        TARGET_EPOCH => Key::TargetEpoch,
        TARGET => Key::Target(of()?),
        _ => Key::Current(of()?),
    };
    Ok(Some((group, key)))
}

/// Reads what is written behind a key.
///
/// # Errors
/// The bytes are not what Kafka's formats say.
pub fn decode_value(key: &Key, bytes: &[u8]) -> Result<Value, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), true);
    let version = reader.i16()?;
    if version != VERSION {
        return Err(WireError::Malformed(format!("{key:?} of version {version}")));
    }
    Ok(match key {
        Key::Member(_) => Value::Member(Metadata {
            rack_id: reader.nullable_string()?.map(|text| text.to_string()),
            client_id: reader.string()?.to_string(),
            client_host: reader.string()?.to_string(),
            topics: read_names(&mut reader)?,
        }),
        Key::Group | Key::TargetEpoch => Value::Epoch(reader.i32()?),
        Key::Target(_) => Value::Assignment(read_assignment(&mut reader)?),
        Key::Current(_) => {
            let (epoch, previous_epoch) = (reader.i32()?, reader.i32()?);
            reader.i8()?;
            let assigned = read_assignment(&mut reader)?;
            Value::Current(Current { epoch, previous_epoch, assigned })
        }
    })
}
