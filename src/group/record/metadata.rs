//! `GroupMetadataKey` (version 2), `GroupMetadataValue` (versions 0 to 4, of which 3 is written): a
//! generation of a classic group, or, without members, that it is empty.

use bytes::{BufMut, Bytes};

use super::put_string;
use crate::wire::{Reader, WireError};

/// A group as its last record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    pub protocol_type: String,
    pub generation: i32,
    /// Empty: none is agreed upon.
    pub protocol: String,
    /// Empty: there is none.
    pub leader: String,
    /// Since when the group is as it is; `None` in old records.
    pub since_ms: Option<i64>,
    pub members: Vec<MemberRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What it said of itself under the group's protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

const KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;
/// Four empty strings, two timeouts, two empty byte strings and no tag, as version 4 has them: no
/// member is shorter.
const MEMBER_BYTES: usize = 15;

pub fn encode_group_key(group: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + group.len());
    out.put_i16(KEY_VERSION);
    put_string(&mut out, group);
    out
}

/// The group that a key of version 2 names.
///
/// # Errors
/// It is not what the format says.
pub fn decode_group_key(bytes: &[u8]) -> Result<String, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    match reader.i16()? {
        KEY_VERSION => Ok(reader.string()?.to_string()),
        version => Err(WireError::Malformed(format!("group metadata key version {version}"))),
    }
}

pub fn encode_group(record: &GroupRecord) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(VALUE_VERSION);
    put_string(&mut out, &record.protocol_type);
    out.put_i32(record.generation);
    put_nullable(&mut out, Some(&record.protocol).filter(|text| !text.is_empty()));
    put_nullable(&mut out, Some(&record.leader).filter(|text| !text.is_empty()));
    out.put_i64(record.since_ms.unwrap_or(-1));
    out.put_i32(record.members.len() as i32);
    for member in &record.members {
        put_string(&mut out, &member.id);
        put_nullable(&mut out, member.instance_id.as_ref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        for bytes in [&member.subscription, &member.assignment] {
            out.put_i32(bytes.len() as i32);
            out.put_slice(bytes);
        }
    }
    out
}

fn put_nullable(out: &mut Vec<u8>, text: Option<&String>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

/// # Errors
/// It is not what the format says.
pub fn decode_group(bytes: &[u8]) -> Result<GroupRecord, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(WireError::Malformed(format!("group metadata value version {version}")));
    }
    let mut reader = reader.into_flexible(version >= 4);
    let protocol_type = reader.string()?.to_string();
    let generation = reader.i32()?;
    let protocol = reader.nullable_string()?.unwrap_or_default().to_string();
    let leader = reader.nullable_string()?.unwrap_or_default().to_string();
    let since_ms = if version >= 2 { Some(reader.i64()?).filter(|ms| *ms >= 0) } else { None };
    let (count, mut members) = reader.list(MEMBER_BYTES)?;
    for _ in 0..count {
        members.push(decode_member(&mut reader, version)?);
    }
    Ok(GroupRecord { protocol_type, generation, protocol, leader, since_ms, members })
}

fn decode_member(reader: &mut Reader<Bytes>, version: i16) -> Result<MemberRecord, WireError> {
    let id = reader.string()?.to_string();
    let instance_id = match version >= 3 {
        true => reader.nullable_string()?.map(|text| text.to_string()),
        false => None,
    };
    let client_id = reader.string()?.to_string();
    let client_host = reader.string()?.to_string();
    let first_timeout_ms = reader.i32()?;
    let session_timeout_ms = if version >= 1 { reader.i32()? } else { first_timeout_ms };
    let member = MemberRecord {
        id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: first_timeout_ms,
        session_timeout_ms,
        subscription: reader.bytes()?,
        assignment: reader.bytes()?,
    };
    reader.skip_tags()?;
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> GroupRecord {
        GroupRecord {
            protocol_type: "consumer".to_string(),
            generation: 7,
            protocol: "range".to_string(),
            leader: "m-1".to_string(),
            since_ms: Some(1_000),
            members: vec![MemberRecord {
                id: "m-1".to_string(),
                instance_id: Some("one".to_string()),
                client_id: "c".to_string(),
                client_host: "/127.0.0.1".to_string(),
                rebalance_timeout_ms: 300_000,
                session_timeout_ms: 45_000,
                subscription: Bytes::from_static(b"topics"),
                assignment: Bytes::from_static(b"partitions"),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(decode_group(&encode_group(&record())).expect("reads"), record());
        let key = encode_group_key("g");
        assert_eq!(key, [0, 2, 0, 1, b'g']);
        assert_eq!(decode_group_key(&key).expect("reads"), "g");
        assert!(decode_group_key(&[0, 3, 0, 1, b'g']).is_err());
        let empty = GroupRecord {
            protocol: String::new(),
            leader: String::new(),
            since_ms: None,
            members: Vec::new(),
            ..record()
        };
        assert_eq!(decode_group(&encode_group(&empty)).expect("reads"), empty);
    }

    fn text(out: &mut Vec<u8>, flexible: bool, text: &str) {
        match flexible {
            true => out.put_u8(text.len() as u8 + 1),
            false => out.put_i16(text.len() as i16),
        }
        out.put_slice(text.as_bytes());
    }

    /// The record as each version of Kafka's format has it.
    fn old(version: i16) -> Vec<u8> {
        let (mut out, flexible) = (Vec::new(), version >= 4);
        let record = record();
        out.put_i16(version);
        text(&mut out, flexible, &record.protocol_type);
        out.put_i32(record.generation);
        text(&mut out, flexible, &record.protocol);
        text(&mut out, flexible, &record.leader);
        if version >= 2 {
            out.put_i64(1_000);
        }
        let count = |out: &mut Vec<u8>, n: usize| match flexible {
            true => out.put_u8(n as u8 + 1),
            false => out.put_i32(n as i32),
        };
        count(&mut out, 1);
        let member = &record.members[0];
        text(&mut out, flexible, &member.id);
        if version >= 3 {
            text(&mut out, flexible, "one");
        }
        text(&mut out, flexible, &member.client_id);
        text(&mut out, flexible, &member.client_host);
        if version >= 1 {
            out.put_i32(member.rebalance_timeout_ms);
        }
        out.put_i32(member.session_timeout_ms);
        for bytes in [&member.subscription, &member.assignment] {
            count(&mut out, bytes.len());
            out.put_slice(bytes);
        }
        if flexible {
            out.put_slice(&[0, 0]);
        }
        out
    }

    #[test]
    fn every_version_is_read_and_what_is_cut_off_is_refused() {
        for version in 0..=4 {
            let bytes = old(version);
            let mut expected = record();
            if version < 3 {
                expected.members[0].instance_id = None;
            }
            if version < 2 {
                expected.since_ms = None;
            }
            if version < 1 {
                expected.members[0].rebalance_timeout_ms = 45_000;
            }
            assert_eq!(decode_group(&bytes).expect("reads"), expected, "version {version}");
            let needed = if version >= 4 { bytes.len() - 1 } else { bytes.len() };
            for len in 0..needed {
                assert!(decode_group(&bytes[..len]).is_err(), "version {version} cut at {len}");
            }
        }
        assert_eq!(encode_group(&record()), old(3));
        assert!(decode_group(&[0, 5]).is_err());
    }
}
