//! The offsets that groups of one partition of `__consumer_offsets` have committed: what its records
//! come to, in the order of the log.

use std::collections::{BTreeMap, HashMap};

use corelane_shards::log::batch::{BatchHeader, Record};

use super::record::{decode_key, decode_value, Key};
use crate::partition::{Committed, GroupOffset};

type Place = (String, i32);
type OfGroup = BTreeMap<Place, Committed>;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: HashMap<String, OfGroup>,
    /// What open transactions of a producer will commit.
    pending: HashMap<i64, Vec<(Key, Option<Committed>)>>,
}

/// `COMMIT` in a control record's key, behind its version.
const COMMIT: [u8; 2] = [0, 1];

impl Offsets {
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&(topic.to_string(), partition))
    }

    /// Everything that a group has committed.
    pub fn of_group(&self, group: &str) -> Vec<GroupOffset> {
        let of_group = self.groups.get(group).into_iter().flatten();
        of_group
            .map(|((topic, partition), committed)| GroupOffset {
                topic: topic.clone(),
                partition: *partition,
                committed: committed.clone(),
            })
            .collect()
    }

    /// Groups that have committed something.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    /// Group, topic and partition of everything that was committed for these topics.
    pub fn of_topics(&self, topics: &[String]) -> Vec<(String, String, i32)> {
        let all = self.groups.iter().flat_map(|(group, of_group)| {
            of_group.keys().map(move |(topic, partition)| (group, topic, *partition))
        });
        all.filter(|(_, topic, _)| topics.contains(topic))
            .map(|(group, topic, partition)| (group.clone(), topic.clone(), partition))
            .collect()
    }

    pub fn set(&mut self, group: &str, topic: &str, partition: i32, committed: Option<Committed>) {
        let key = Key::Offset { group: group.to_string(), topic: topic.to_string(), partition };
        self.put(key, committed);
    }

    /// Applies the records of one batch, not compressed any more.
    ///
    /// # Errors
    /// A record is not what Kafka's formats say.
    pub fn apply(&mut self, header: &BatchHeader, undone: &[u8]) -> Result<(), String> {
        let producer = header.producer_id.get();
        let mut rest = undone;
        for _ in 0..header.record_count.get() {
            let record = Record::take(&mut rest).ok_or("a record is cut off")?;
            let key = record.key.ok_or("a record without a key")?;
            if header.is_control() {
                let pending = self.pending.remove(&producer).unwrap_or_default();
                if key.get(2..4) == Some(&COMMIT) {
                    pending.into_iter().for_each(|(key, committed)| self.put(key, committed));
                }
                continue;
            }
            let key = decode_key(key).map_err(|e| e.to_string())?;
            if key == Key::Other {
                continue;
            }
            let committed = record.value.map(decode_value).transpose();
            let committed = committed.map_err(|e| e.to_string())?;
            match header.is_transactional() {
                true => self.pending.entry(producer).or_default().push((key, committed)),
                false => self.put(key, committed),
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, committed: Option<Committed>) {
        let Key::Offset { group, topic, partition } = key else { return };
        match committed {
            Some(committed) => {
                self.groups.entry(group).or_default().insert((topic, partition), committed);
            }
            None => {
                let Some(of_group) = self.groups.get_mut(&group) else { return };
                of_group.remove(&(topic, partition));
                if of_group.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use corelane_shards::log::batch::build::{keyed, Producer};
    use corelane_shards::log::batch::{undone_records, Codec};

    use super::super::record::{encode_key, encode_value};
    use super::*;

    fn committed(offset: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: String::new(), commit_ms: 5 }
    }

    /// A batch, perhaps of a transaction (0x10) or a marker (0x30).
    fn batch(key: &[u8], value: Option<&[u8]>, attributes: u8) -> Vec<u8> {
        let producer = Producer { id: 7, epoch: 0, sequence: 0 };
        let mut batch = keyed(&[(Some(key), value)], 5, Some(producer), Codec::None);
        batch[22] |= attributes;
        batch
    }

    fn apply(offsets: &mut Offsets, batch: &[u8]) {
        let header = BatchHeader::peek(batch).expect("a batch");
        let undone = undone_records(&header, batch).expect("plain");
        offsets.apply(&header, &undone).expect("applies");
    }

    #[test]
    fn the_last_record_counts_and_a_tombstone_ends_it() {
        let mut offsets = Offsets::default();
        let key = encode_key("g", "t", 0);
        for offset in [5, 9] {
            apply(&mut offsets, &batch(&key, Some(&encode_value(&committed(offset))), 0));
        }
        assert_eq!(offsets.get("g", "t", 0), Some(&committed(9)));
        assert_eq!(offsets.of_group("g").len(), 1);
        apply(&mut offsets, &batch(&key, None, 0));
        assert_eq!(offsets.get("g", "t", 0), None);
        assert!(offsets.groups.is_empty());
    }

    #[test]
    fn what_a_transaction_commits_is_seen_with_its_marker() {
        let (key, value) = (encode_key("g", "t", 0), encode_value(&committed(9)));
        for (marker, seen) in [(&[0, 0, 0, 1], true), (&[0, 0, 0, 0], false)] {
            let mut offsets = Offsets::default();
            apply(&mut offsets, &batch(&key, Some(&value), 0x10));
            assert_eq!(offsets.get("g", "t", 0), None);
            apply(&mut offsets, &batch(marker, Some(&[0; 6]), 0x30));
            assert_eq!(offsets.get("g", "t", 0).is_some(), seen);
        }
    }
}
