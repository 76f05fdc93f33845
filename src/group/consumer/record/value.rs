//! What is written behind a key.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::super::{Assignment, Classic, Current, Following, Matched, Metadata, Topic};
use super::{Key, Value};
use crate::wire::{Reader, Uuid, WireError, Writer};

const VERSION: i16 = 0;
/// The tag of what a member of the classic protocol said.
const CLASSIC_TAG: u32 = 0;

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Writer::new(true, 64);
    out.buf.put_i16(VERSION);
    match value {
        Value::Epoch(epoch) => out.buf.put_i32(*epoch),
        Value::Topics(topics) => {
            out.count(Some(topics.len()));
            for (name, topic) in topics {
                out.buf.put_u128(topic.id.as_u128());
                out.nullable_string(Some(name));
                out.buf.put_i32(topic.partitions);
                // Racks, which nobody reads any more.
                out.count(Some(0));
                out.no_tags();
            }
        }
        Value::Member(metadata) => return encode_member(out, metadata),
        Value::Assignment(assignment) => put_assignment(&mut out, assignment),
        Value::Current(current) => {
            out.buf.put_i32(current.epoch);
            out.buf.put_i32(current.previous_epoch);
            out.buf.put_i8(current.following as i8);
            put_assignment(&mut out, &current.assigned);
            put_assignment(&mut out, &current.revoking);
        }
        Value::Pattern(matched) => {
            out.count(Some(matched.topics.len()));
            matched.topics.iter().for_each(|name| out.nullable_string(Some(name)));
            out.buf.put_i64(matched.version);
            out.buf.put_i64(matched.at_ms);
        }
    }
    out.no_tags();
    out.buf.to_vec()
}

fn encode_member(mut out: Writer, metadata: &Metadata) -> Vec<u8> {
    out.nullable_string(metadata.instance_id.as_deref());
    out.nullable_string(metadata.rack_id.as_deref());
    out.nullable_string(Some(&metadata.client_id));
    out.nullable_string(Some(&metadata.client_host));
    out.count(Some(metadata.topics.len()));
    metadata.topics.iter().for_each(|name| out.nullable_string(Some(name)));
    out.nullable_string(metadata.regex.as_deref());
    out.buf.put_i32(metadata.rebalance_timeout_ms);
    out.nullable_string(metadata.assignor.as_deref());
    let Some(classic) = &metadata.classic else {
        out.no_tags();
        return out.buf.to_vec();
    };
    let mut tagged = Writer::new(true, 64);
    // A structure that may be null: it is there.
    tagged.buf.put_i8(1);
    tagged.buf.put_i32(classic.session_timeout_ms);
    tagged.count(Some(classic.protocols.len()));
    for (name, metadata) in &classic.protocols {
        tagged.nullable_string(Some(name));
        tagged.bytes_len(metadata.len());
        tagged.buf.put_slice(metadata);
        tagged.no_tags();
    }
    tagged.no_tags();
    out.unsigned_varint(1);
    out.unsigned_varint(CLASSIC_TAG);
    out.unsigned_varint(tagged.buf.len() as u32);
    out.buf.put_slice(&tagged.buf);
    out.buf.to_vec()
}

pub fn put_assignment(out: &mut Writer, assignment: &Assignment) {
    out.count(Some(assignment.len()));
    for (topic, partitions) in assignment {
        out.buf.put_u128(topic.as_u128());
        out.count(Some(partitions.len()));
        partitions.iter().for_each(|partition| out.buf.put_i32(*partition));
        out.no_tags();
    }
}

type Source = Reader<Bytes>;

/// Reads what is written behind a key.
///
/// # Errors
/// The bytes are not what Kafka's formats say.
pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), true);
    let version = reader.i16()?;
    if version != VERSION {
        return Err(WireError::Malformed(format!("{key:?} of version {version}")));
    }
    Ok(match key {
        Key::Group | Key::TargetEpoch => Value::Epoch(reader.i32()?),
        Key::Topics => Value::Topics(read_topics(&mut reader)?),
        Key::Member(_) => Value::Member(read_member(&mut reader)?),
        Key::Target(_) => Value::Assignment(read_assignment(&mut reader)?),
        Key::Current(_) => Value::Current(Current {
            epoch: reader.i32()?,
            previous_epoch: reader.i32()?,
            following: match reader.i8()? {
                0 => Following::Stable,
                1 => Following::Unrevoked,
                _ => Following::Unreleased,
            },
            assigned: read_assignment(&mut reader)?,
            revoking: read_assignment(&mut reader)?,
        }),
        Key::Pattern(_) => Value::Pattern(Matched {
            topics: read_names(&mut reader)?,
            version: reader.i64()?,
            at_ms: reader.i64()?,
        }),
    })
}

/// # Errors
/// The bytes are cut off, or no text.
pub fn read_names(reader: &mut Source) -> Result<BTreeSet<String>, WireError> {
    let count = reader.count(1)?.unwrap_or(0);
    (0..count).map(|_| Ok(reader.string()?.to_string())).collect()
}

fn read_topics(reader: &mut Source) -> Result<BTreeMap<String, Topic>, WireError> {
    let mut topics = BTreeMap::new();
    for _ in 0..reader.count(22)?.unwrap_or(0) {
        let id = reader.uuid()?;
        let name = reader.string()?.to_string();
        let partitions = reader.i32()?;
        for _ in 0..reader.count(6)?.unwrap_or(0) {
            reader.i32()?;
            read_names(reader)?;
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
        topics.insert(name, Topic { id, partitions });
    }
    Ok(topics)
}

/// # Errors
/// The bytes are cut off.
pub fn read_assignment(reader: &mut Source) -> Result<Assignment, WireError> {
    let mut assignment = Assignment::new();
    for _ in 0..reader.count(18)?.unwrap_or(0) {
        let topic: Uuid = reader.uuid()?;
        let count = reader.count(4)?.unwrap_or(0);
        let partitions = (0..count).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        reader.skip_tags()?;
        assignment.insert(topic, partitions);
    }
    Ok(assignment)
}

fn read_member(reader: &mut Source) -> Result<Metadata, WireError> {
    let text = |text: Option<crate::wire::StrBytes>| text.map(|text| text.to_string());
    let mut metadata = Metadata {
        instance_id: text(reader.nullable_string()?),
        rack_id: text(reader.nullable_string()?),
        client_id: reader.string()?.to_string(),
        client_host: reader.string()?.to_string(),
        topics: read_names(reader)?,
        regex: text(reader.nullable_string()?).filter(|regex| !regex.is_empty()),
        rebalance_timeout_ms: reader.i32()?,
        assignor: text(reader.nullable_string()?),
        classic: None,
    };
    reader.each_tag(|tag, bytes| {
        if tag == CLASSIC_TAG {
            metadata.classic = read_classic(bytes)?;
        }
        Ok(())
    })?;
    Ok(metadata)
}

fn read_classic(bytes: Bytes) -> Result<Option<Classic>, WireError> {
    let mut reader = Reader::new(BytesMut::from(&bytes[..]), true);
    if reader.i8()? < 0 {
        return Ok(None);
    }
    let mut classic = Classic { session_timeout_ms: reader.i32()?, protocols: Vec::new() };
    for _ in 0..reader.count(3)?.unwrap_or(0) {
        let name = reader.string()?.to_string();
        let metadata = reader.own_bytes()?.unwrap_or_default();
        reader.skip_tags()?;
        classic.protocols.push((name, metadata.freeze()));
    }
    Ok(Some(classic))
}
