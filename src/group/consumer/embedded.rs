//! What members of the classic protocol say and are told in bytes that the coordinator otherwise does
//! not look into: `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`, versions 0 to 3.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Reader, WireError};

/// Partitions by a topic's name.
pub type ByName = Vec<(String, Vec<i32>)>;

/// Latest version of both that is known; later ones have more at their end.
const LATEST: i16 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    pub version: i16,
    pub topics: Vec<String>,
    /// What it has not given up: nothing where its protocol has all given up before joining.
    pub owned: ByName,
    pub rack_id: Option<String>,
}

fn version(reader: &mut Reader<Bytes>) -> Result<i16, WireError> {
    match reader.i16()? {
        version if version < 0 => Err(WireError::Malformed(format!("version {version}"))),
        version => Ok(version.min(LATEST)),
    }
}

fn by_name(reader: &mut Reader<Bytes>) -> Result<ByName, WireError> {
    let (count, mut topics) = reader.list(6)?;
    for _ in 0..count {
        let name = reader.string()?.to_string();
        let (count, mut partitions) = reader.list(4)?;
        for _ in 0..count {
            partitions.push(reader.i32()?);
        }
        topics.push((name, partitions));
    }
    Ok(topics)
}

/// # Errors
/// The bytes are not what the format says.
pub fn decode_subscription(bytes: &Bytes) -> Result<Subscription, WireError> {
    let mut reader = Reader::new(bytes.clone(), false);
    let version = version(&mut reader)?;
    let (count, mut topics) = reader.list(2)?;
    for _ in 0..count {
        topics.push(reader.string()?.to_string());
    }
    reader.skip_bytes()?;
    let owned = if version >= 1 { by_name(&mut reader)? } else { ByName::new() };
    if version >= 2 {
        // The generation that it has them from.
        reader.i32()?;
    }
    let rack_id = if version >= 3 { reader.nullable_string()? } else { None };
    Ok(Subscription { version, topics, owned, rack_id: rack_id.map(|rack| rack.to_string()) })
}

/// # Errors
/// The bytes are not what the format says.
pub fn decode_assignment(bytes: &Bytes) -> Result<ByName, WireError> {
    if bytes.is_empty() {
        return Ok(ByName::new());
    }
    let mut reader = Reader::new(bytes.clone(), false);
    version(&mut reader)?;
    by_name(&mut reader)
}

/// `version`: the one that the member's subscription has.
pub fn encode_assignment(version: i16, topics: &ByName) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(version);
    out.put_i32(topics.len() as i32);
    for (name, partitions) in topics {
        // A topic's name is no longer than 249 bytes.
        out.put_i16(name.len() as i16);
        out.put_slice(name.as_bytes());
        out.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    // No user data.
    out.put_i32(-1);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition;
    use kafka_protocol::messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName,
    };
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    use super::*;

    #[test]
    fn subscriptions_and_assignments_are_those_of_kafka() {
        let name = || TopicName(StrBytes::from_static_str("t"));
        for version in 0..=3 {
            let owned = TopicPartition::default().with_topic(name()).with_partitions(vec![2, 5]);
            let mut said = ConsumerProtocolSubscription::default()
                .with_topics(vec![name().0])
                .with_user_data(None);
            if version >= 1 {
                said.owned_partitions = vec![owned];
            }
            if version >= 3 {
                said.rack_id = Some(StrBytes::from_static_str("r"));
            }
            let mut bytes = BytesMut::new();
            bytes.put_i16(version);
            said.encode(&mut bytes, version).expect("encodes");
            let read = decode_subscription(&bytes.clone().freeze()).expect("reads");
            assert_eq!((read.version, read.topics), (version, vec!["t".to_string()]));
            let owned = if version >= 1 { vec![("t".to_string(), vec![2, 5])] } else { vec![] };
            assert_eq!(read.owned, owned);
            assert_eq!(read.rack_id.is_some(), version >= 3);
            assert!(decode_subscription(&bytes.freeze().slice(..5)).is_err());

            let mut told = encode_assignment(version, &vec![("t".to_string(), vec![1])]);
            let read = decode_assignment(&told).expect("reads");
            assert_eq!(read, [("t".to_string(), vec![1])]);
            let _version = told.split_to(2);
            let theirs = ConsumerProtocolAssignment::decode(&mut told, version).expect("decodes");
            assert_eq!(theirs.assigned_partitions[0].partitions, [1]);
        }
        assert!(decode_subscription(&Bytes::from_static(&[0, 0, 127, 0, 0, 0])).is_err());
        assert_eq!(decode_assignment(&Bytes::new()).expect("nothing"), []);
    }
}
