//! The offsets that groups of one partition of `__consumer_offsets` have committed: what its records
//! come to, in the order of the log.

use std::collections::{BTreeMap, HashMap};

use super::record::{decode_key, decode_value, Place};
use crate::partition::{Committed, GroupOffset};
use crate::wire::WireError;

type OfGroup = BTreeMap<(String, i32), Committed>;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: HashMap<String, OfGroup>,
    /// What open transactions of a producer will commit.
    pending: HashMap<i64, Vec<(Place, Option<Committed>)>>,
    /// How many of those there are for each.
    pending_places: BTreeMap<Place, usize>,
}

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
        let (group, topic) = (group.to_string(), topic.to_string());
        self.put(Place { group, topic, partition }, committed);
    }

    /// Applies a record, of a producer's open transaction perhaps.
    ///
    /// # Errors
    /// It is not what Kafka's formats say.
    pub fn apply(
        &mut self,
        transaction: Option<i64>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), WireError> {
        let place = decode_key(key)?;
        let committed = value.map(decode_value).transpose()?;
        match transaction {
            Some(producer) => {
                *self.pending_places.entry(place.clone()).or_default() += 1;
                self.pending.entry(producer).or_default().push((place, committed));
            }
            None => self.put(place, committed),
        }
        Ok(())
    }

    /// A producer's transaction has ended.
    pub fn end_transaction(&mut self, producer: i64, commit: bool) {
        for (place, committed) in self.pending.remove(&producer).unwrap_or_default() {
            match self.pending_places.get_mut(&place) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.pending_places.remove(&place)),
            }
            if commit {
                self.put(place, committed);
            }
        }
    }

    /// Whether open transactions will commit something for a partition.
    pub fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let (group, topic) = (group.to_string(), topic.to_string());
        self.pending_places.contains_key(&Place { group, topic, partition })
    }

    /// Whether open transactions will commit something for a group.
    pub fn is_any_pending(&self, group: &str) -> bool {
        let first = Place { group: group.to_string(), topic: String::new(), partition: i32::MIN };
        let next = self.pending_places.range(first..).next();
        next.is_some_and(|(place, _)| place.group == group)
    }

    fn put(&mut self, place: Place, committed: Option<Committed>) {
        let Place { group, topic, partition } = place;
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
    use super::super::record::{encode_key, encode_value};
    use super::*;

    fn committed(offset: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: String::new(), commit_ms: 5 }
    }

    #[test]
    fn the_last_record_counts_and_a_tombstone_ends_it() {
        let mut offsets = Offsets::default();
        let key = encode_key("g", "t", 0);
        for offset in [5, 9] {
            let value = encode_value(&committed(offset));
            offsets.apply(None, &key, Some(&value)).expect("applies");
        }
        assert_eq!(offsets.get("g", "t", 0), Some(&committed(9)));
        assert_eq!(offsets.of_group("g").len(), 1);
        offsets.apply(None, &key, None).expect("applies");
        assert_eq!(offsets.get("g", "t", 0), None);
        assert!(offsets.groups.is_empty());
    }

    #[test]
    fn what_a_transaction_commits_is_seen_with_its_marker() {
        let (key, value) = (encode_key("g", "t", 0), encode_value(&committed(9)));
        for commit in [true, false] {
            let mut offsets = Offsets::default();
            offsets.apply(Some(7), &key, Some(&value)).expect("applies");
            assert_eq!(offsets.get("g", "t", 0), None);
            assert!(offsets.is_pending("g", "t", 0) && offsets.is_any_pending("g"));
            assert!(!offsets.is_pending("g", "t", 1) && !offsets.is_any_pending("f"));
            offsets.end_transaction(7, commit);
            assert!(!offsets.is_pending("g", "t", 0) && !offsets.is_any_pending("g"));
            assert_eq!(offsets.get("g", "t", 0).is_some(), commit);
        }
    }
}
