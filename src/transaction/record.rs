//! Records of `__transaction_state`, in Kafka's formats: `TransactionLogKey` (version 0),
//! `TransactionLogValue` (versions 0 and 1); version 1 is written.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes};

use super::entry::{Entry, State};
use crate::partition::ProducerIdentity;
use crate::wire::{Reader, WireError, Writer};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;

/// Tagged fields of version 1.
const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

/// The transactional id that a record is about; `None`: of a kind that is not known here.
///
/// # Errors
/// The key is cut off or no text.
pub fn decode_key(bytes: &[u8]) -> Result<Option<String>, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    match reader.i16()? {
        KEY_VERSION => Ok(Some(reader.string()?.to_string())),
        _ => Ok(None),
    }
}

/// `id` came in a request, whose texts have a length of two bytes at most: it fits.
pub fn encode_key(id: &str) -> Vec<u8> {
    let mut out = Writer::new(false, 4 + id.len());
    out.buf.put_i16(KEY_VERSION);
    out.nullable_string(Some(id));
    out.buf.to_vec()
}

/// # Errors
/// The value is not what Kafka's format says, or of a version or state that is not known here.
pub fn decode_value(bytes: &[u8]) -> Result<Entry, WireError> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes), false);
    let version = reader.i16()?;
    if !(0..=VALUE_VERSION).contains(&version) {
        return Err(WireError::Malformed(format!("transaction log value version {version}")));
    }
    let mut reader = reader.into_flexible(version >= 1);
    let producer = ProducerIdentity { id: reader.i64()?, epoch: reader.i16()? };
    let mut entry = Entry::new(producer.id, reader.i32()?, 0);
    entry.producer = producer;
    let state = reader.i8()?;
    entry.state = State::of_number(state)
        .ok_or_else(|| WireError::Malformed(format!("transaction state {state}")))?;
    entry.partitions = decode_partitions(&mut reader)?;
    entry.update_ms = reader.i64()?;
    entry.start_ms = reader.i64()?;
    reader.each_tag(|tag, mut value| {
        let cut = |_| WireError::Truncated;
        match tag {
            PREVIOUS_ID => entry.previous_id = value.try_get_i64().map_err(cut)?,
            NEXT_ID => entry.next_id = value.try_get_i64().map_err(cut)?,
            CLIENT_VERSION => entry.version = value.try_get_i16().map_err(cut)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(entry)
}

fn decode_partitions(reader: &mut Reader<Bytes>) -> Result<BTreeSet<(String, i32)>, WireError> {
    let mut partitions = BTreeSet::new();
    for _ in 0..reader.count(2)?.unwrap_or(0) {
        let topic = reader.string()?.to_string();
        for _ in 0..reader.count(4)?.unwrap_or(0) {
            partitions.insert((topic.clone(), reader.i32()?));
        }
        reader.skip_tags()?;
    }
    Ok(partitions)
}

pub fn encode_value(entry: &Entry) -> Vec<u8> {
    let mut out = Writer::new(true, 64 + 16 * entry.partitions.len());
    out.buf.put_i16(VALUE_VERSION);
    out.buf.put_i64(entry.producer.id);
    out.buf.put_i16(entry.producer.epoch);
    out.buf.put_i32(entry.timeout_ms);
    out.buf.put_i8(entry.state.number());
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &entry.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    // As in Kafka: none where no transaction can be.
    out.count((entry.state != State::Empty).then_some(topics.len()));
    for (topic, partitions) in topics {
        out.nullable_string(Some(topic));
        out.count(Some(partitions.len()));
        partitions.iter().for_each(|partition| out.buf.put_i32(*partition));
        out.no_tags();
    }
    out.buf.put_i64(entry.update_ms);
    out.buf.put_i64(entry.start_ms);
    let ids = [(PREVIOUS_ID, entry.previous_id), (NEXT_ID, entry.next_id)];
    let ids: Vec<_> = ids.into_iter().filter(|(_, id)| *id != -1).collect();
    out.unsigned_varint(ids.len() as u32 + u32::from(entry.version != 0));
    for (tag, id) in ids {
        out.unsigned_varint(tag);
        out.unsigned_varint(8);
        out.buf.put_i64(id);
    }
    if entry.version != 0 {
        out.unsigned_varint(CLIENT_VERSION);
        out.unsigned_varint(2);
        out.buf.put_i16(entry.version);
    }
    out.buf.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let mut entry = Entry::new(7, 60_000, 9);
        entry.producer.epoch = 3;
        entry.state = State::PrepareCommit;
        entry.start_ms = 5;
        let partitions = [("a", 0), ("a", 2), ("b", 1)];
        entry.partitions = partitions.map(|(topic, index)| (topic.to_string(), index)).into();
        entry
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(decode_key(&encode_key("app")).expect("reads").as_deref(), Some("app"));
        assert_eq!(encode_key("app"), [0, 0, 0, 3, b'a', b'p', b'p']);
        assert_eq!(decode_key(&[0, 1, 0, 0]).expect("reads"), None);
        let plain = entry();
        let tagged = Entry { previous_id: 6, next_id: 8, version: 2, ..entry() };
        let empty = Entry { state: State::Empty, partitions: BTreeSet::new(), ..entry() };
        for entry in [plain, tagged, empty] {
            assert_eq!(decode_value(&encode_value(&entry)).expect("reads"), entry);
        }
    }

    #[test]
    fn a_value_has_the_bytes_that_kafka_gives_it() {
        let entry = Entry { partitions: [("a".to_string(), 2)].into(), version: 2, ..entry() };
        let expected = [
            &[0, 1][..],
            &[0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0xea, 0x60, 2],
            &[2, 2, b'a', 2, 0, 0, 0, 2, 0],
            &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5],
            &[1, 2, 2, 0, 2],
        ];
        assert_eq!(encode_value(&entry), expected.concat());
    }

    #[test]
    fn values_of_older_brokers_are_read_and_damaged_ones_refused() {
        let old = [
            &[0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0xea, 0x60, 1],
            &[0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 2],
            &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5],
        ]
        .concat();
        let read = decode_value(&old).expect("reads");
        let partitions = [("a".to_string(), 2)].into();
        assert_eq!(read, Entry { state: State::Ongoing, partitions, ..entry() });
        for end in 0..old.len() {
            assert!(decode_value(&old[..end]).is_err(), "{end}");
        }
        assert!(decode_value(&[0, 2]).is_err());
        let dead = Entry { state: State::Empty, partitions: BTreeSet::new(), ..entry() };
        let mut dead = encode_value(&dead);
        dead[16] = 6;
        assert!(decode_value(&dead).is_err());
    }
}
