//! Records of consumer groups in `__consumer_offsets`, in Kafka's formats: the key's version is the kind
//! (3 to 8, and 16), values are flexible messages of version 0.

mod value;

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};

pub use self::value::{decode as decode_value, put_assignment, read_assignment, read_names};
use super::{Assignment, Current, Matched, Metadata, Topic};
use crate::partition::keyed_log::KeyedRecord;
use crate::wire::{Reader, WireError};

/// What of a group a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Its epoch.
    Group,
    /// The topics that are read.
    Topics,
    /// What a member says of itself.
    Member(String),
    /// The epoch of the targets.
    TargetEpoch,
    /// What a member is to have.
    Target(String),
    /// What a member has.
    Current(String),
    /// What a pattern stands for.
    Pattern(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Epoch(i32),
    Topics(BTreeMap<String, Topic>),
    Member(Metadata),
    Assignment(Assignment),
    Current(Current),
    Pattern(Matched),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Key,
    pub value: Option<Value>,
}

const GROUP: i16 = 3;
const TOPICS: i16 = 4;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const PATTERN: i16 = 16;

/// A record of a group as it is written.
pub fn encode(group: &str, record: &Record) -> KeyedRecord {
    let (version, of) = match &record.key {
        Key::Group => (GROUP, None),
        Key::Topics => (TOPICS, None),
        Key::Member(id) => (MEMBER, Some(id)),
        Key::TargetEpoch => (TARGET_EPOCH, None),
        Key::Target(id) => (TARGET, Some(id)),
        Key::Current(id) => (CURRENT, Some(id)),
        Key::Pattern(pattern) => (PATTERN, Some(pattern)),
    };
    let mut key = Vec::with_capacity(8 + group.len() + of.map_or(0, String::len));
    key.put_i16(version);
    for text in [Some(group), of.map(String::as_str)].into_iter().flatten() {
        // Heartbeats with longer ids are refused.
        key.put_i16(text.len() as i16);
        key.put_slice(text.as_bytes());
    }
    (key, record.value.as_ref().map(value::encode))
}

/// The group that a record is about, and what of it; `None` where it is about something else.
///
/// # Errors
/// The key is not what Kafka's formats say.
pub fn decode_key(bytes: &[u8]) -> Result<Option<(String, Key)>, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let kind = reader.i16()?;
    if !matches!(kind, GROUP..=CURRENT | PATTERN) {
        return Ok(None);
    }
    let group = reader.string()?.to_string();
    let mut of = || reader.string().map(|text| text.to_string());
    let key = match kind {
        GROUP => Key::Group,
        TOPICS => Key::Topics,
        MEMBER => Key::Member(of()?),
        TARGET_EPOCH => Key::TargetEpoch,
        TARGET => Key::Target(of()?),
        CURRENT => Key::Current(of()?),
        _ => Key::Pattern(of()?),
    };
    Ok(Some((group, key)))
}
