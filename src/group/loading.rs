//! What a partition of `__consumer_offsets` comes to while its log is read: the version of a record's
//! key says whose it is.

use std::collections::BTreeMap;

use corelane_shards::log::batch::BatchHeader;

use super::offsets::Offsets;
use super::record::{decode_group, decode_group_key, GroupRecord};
use super::{consumer, share};
use crate::partition::keyed_log::each_record;

/// Groups that have members, or had, as their last records have them.
#[derive(Debug, Default)]
pub struct SavedGroups {
    pub classic: BTreeMap<String, GroupRecord>,
    pub consumer: BTreeMap<String, consumer::Saved>,
    pub share: BTreeMap<String, share::Saved>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Loading {
    pub offsets: Offsets,
    pub groups: SavedGroups,
}

/// `COMMIT` in a control record's key, behind its version.
const COMMIT: [u8; 2] = [0, 1];

impl Loading {
    /// Applies the records of one batch, not compressed any more.
    ///
    /// # Errors
    /// Records are not what Kafka's formats say: the first of them; the others are applied.
    pub fn apply(&mut self, header: &BatchHeader, undone: &[u8]) -> Result<(), String> {
        each_record(header, undone, |key, value| self.apply_record(header, key, value))
    }

    fn apply_record(
        &mut self,
        header: &BatchHeader,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        let producer = header.producer_id.get();
        if header.is_control() {
            self.offsets.end_transaction(producer, key.get(2..4) == Some(&COMMIT));
            return Ok(());
        }
        let version = key.first_chunk().map(|bytes| i16::from_be_bytes(*bytes));
        let applied = match version.ok_or("a key without a version")? {
            0 | 1 => {
                let transaction = header.is_transactional().then_some(producer);
                self.offsets.apply(transaction, key, value)
            }
            2 => decode_group_key(key).and_then(|group| {
                match value.map(decode_group).transpose()? {
                    Some(saved) => self.groups.classic.insert(group, saved),
                    None => self.groups.classic.remove(&group),
                };
                Ok(())
            }),
            10..=14 => share::decode_key(key).and_then(|found| {
                let Some((group, key)) = found else { return Ok(()) };
                let value = value.map(|value| share::decode_value(&key, value));
                self.groups.share.entry(group).or_default().apply(key, value.transpose()?);
                Ok(())
            }),
            // Others are of a later Kafka: not understood, and not ours to lose.
            _ => consumer::decode_key(key).and_then(|found| {
                let Some((group, key)) = found else { return Ok(()) };
                let value = value.map(|value| consumer::decode_value(&key, value));
                let record = consumer::Record { value: value.transpose()?, key };
                self.groups.consumer.entry(group).or_default().put(record);
                Ok(())
            }),
        };
        applied.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use corelane_shards::log::batch::build::{keyed, Pair, Producer};
    use corelane_shards::log::batch::{undone_records, Codec};

    use super::super::record::{encode_group, encode_group_key, encode_key, encode_value};
    use super::*;
    use crate::partition::Committed;

    /// A batch, perhaps of a transaction (0x10) or a marker (0x30).
    fn apply(loading: &mut Loading, pairs: &[Pair<'_>], attributes: u8) -> Result<(), String> {
        let producer = Producer { id: 7, epoch: 0, sequence: 0 };
        let mut batch = keyed(pairs, 5, Some(producer), Codec::None);
        batch[22] |= attributes;
        let header = BatchHeader::peek(&batch).expect("a batch");
        let undone = undone_records(&header, &batch).expect("plain");
        loading.apply(&header, &undone)
    }

    fn offset() -> (Vec<u8>, Vec<u8>) {
        let committed =
            Committed { offset: 9, leader_epoch: -1, metadata: String::new(), commit_ms: 5 };
        (encode_key("g", "t", 0), encode_value(&committed))
    }

    #[test]
    fn a_marker_ends_what_its_transaction_commits() {
        let (key, value) = offset();
        for (marker, seen) in [(&[0, 0, 0, 1], true), (&[0, 0, 0, 0], false)] {
            let mut loading = Loading::default();
            apply(&mut loading, &[(Some(&key), Some(&value))], 0x10).expect("applies");
            assert_eq!(loading.offsets.get("g", "t", 0), None);
            apply(&mut loading, &[(Some(marker), Some(&[0; 6]))], 0x30).expect("applies");
            assert_eq!(loading.offsets.get("g", "t", 0).is_some(), seen);
        }
    }

    #[test]
    fn keys_are_told_apart_and_what_is_wrong_hides_nothing() {
        let group = GroupRecord {
            protocol_type: "consumer".to_string(),
            generation: 3,
            protocol: String::new(),
            leader: String::new(),
            since_ms: Some(5),
            members: Vec::new(),
        };
        let (key, value) = offset();
        let (group_key, group_value) = (encode_group_key("g"), encode_group(&group));
        let mut loading = Loading::default();
        let pairs: [Pair<'_>; 5] = [
            (Some(&[0, 77, 1]), Some(b"of a later Kafka")),
            (Some(&[0, 2, 0, 9]), Some(b"cut off")),
            (Some(b"?"), None),
            (Some(&group_key), Some(&group_value)),
            (Some(&key), Some(&value)),
        ];
        assert!(apply(&mut loading, &pairs, 0).is_err());
        assert_eq!(loading.groups.classic.get("g"), Some(&group));
        assert!(loading.offsets.get("g", "t", 0).is_some());
        apply(&mut loading, &[(Some(&group_key), None)], 0).expect("applies");
        assert!(loading.groups.classic.is_empty());
    }
}
