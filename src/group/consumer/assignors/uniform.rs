//! `uniform`: as even as subscriptions allow, and what members have stays with them otherwise.
//!
//! Topics that have the same readers are one pool. Each pool's partitions stay where they were if they
//! can; those without an owner go to whoever has least, of the pools with few readers first; then
//! partitions move from the reader of a pool that has most to the one that has least, while that is a
//! gain, until no pool moves any.

use std::collections::{BTreeMap, BTreeSet};

use super::Subscribers;
use crate::partition::consumer_group::Assignment;
use crate::wire::Uuid;

/// Rounds over all pools. One is enough where all read the same; each of the others about halves what
/// is uneven.
const MOST_ROUNDS: usize = 64;

/// A partition of a topic.
type Place = (Uuid, i32);

/// Topics with the same readers.
struct Pool {
    readers: Vec<usize>,
    /// What each reader has of it.
    held: BTreeMap<usize, Vec<Place>>,
    free: Vec<Place>,
}

pub fn assign(subscribers: &Subscribers<'_>) -> Vec<Assignment> {
    let mut loads = vec![0; subscribers.members.len()];
    let mut pools = pools(subscribers);
    for pool in &mut pools {
        pool.keep(subscribers, &mut loads);
    }
    for pool in &mut pools {
        pool.give_out(&mut loads);
    }
    for _ in 0..MOST_ROUNDS {
        let moves: usize = pools.iter_mut().map(|pool| pool.even_out(&mut loads)).sum();
        if moves == 0 || pools.len() == 1 {
            break;
        }
    }
    let mut assigned = vec![Assignment::new(); subscribers.members.len()];
    for pool in pools {
        for (reader, held) in pool.held {
            for (topic, partition) in held {
                assigned[reader].entry(topic).or_default().insert(partition);
            }
        }
    }
    assigned
}

/// Those with few readers first.
fn pools(subscribers: &Subscribers<'_>) -> Vec<Pool> {
    let mut readers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for (at, member) in subscribers.members.iter().enumerate() {
        for topic in member.topics.iter() {
            readers.entry(*topic).or_default().push(at);
        }
    }
    let mut pools = BTreeMap::<(usize, Vec<usize>), Vec<Place>>::new();
    for (topic, readers) in readers {
        let count = subscribers.partitions.get(&topic).copied().unwrap_or(0);
        let pool = pools.entry((readers.len(), readers)).or_default();
        pool.extend((0..count).map(|partition| (topic, partition)));
    }
    let pool = |((_, readers), free)| Pool { readers, held: BTreeMap::new(), free };
    pools.into_iter().map(pool).collect()
}

impl Pool {
    fn keep(&mut self, subscribers: &Subscribers<'_>, loads: &mut [usize]) {
        let mut free: BTreeSet<Place> = std::mem::take(&mut self.free).into_iter().collect();
        for &reader in &self.readers {
            let Some(before) = subscribers.members[reader].before else { continue };
            for (topic, partitions) in before {
                for partition in partitions {
                    if free.remove(&(*topic, *partition)) {
                        self.held.entry(reader).or_default().push((*topic, *partition));
                        loads[reader] += 1;
                    }
                }
            }
        }
        self.free = free.into_iter().collect();
    }

    fn give_out(&mut self, loads: &mut [usize]) {
        let mut least: BTreeSet<(usize, usize)> =
            self.readers.iter().map(|reader| (loads[*reader], *reader)).collect();
        for place in std::mem::take(&mut self.free) {
            let Some((load, reader)) = least.pop_first() else { return };
            self.held.entry(reader).or_default().push(place);
            loads[reader] = load + 1;
            least.insert((load + 1, reader));
        }
    }

    /// Moves partitions while that makes loads more even; how many.
    fn even_out(&mut self, loads: &mut [usize]) -> usize {
        let mut all: BTreeSet<(usize, usize)> =
            self.readers.iter().map(|reader| (loads[*reader], *reader)).collect();
        // Readers that have something of this pool to give.
        let mut givers: BTreeSet<(usize, usize)> = self
            .held
            .iter()
            .filter(|(_, held)| !held.is_empty())
            .map(|(reader, _)| (loads[*reader], *reader))
            .collect();
        let mut moves = 0;
        while let (Some(&(most, from)), Some(&(least, to))) = (givers.last(), all.first()) {
            if most < least + 2 {
                break;
            }
            let Some(place) = self.held.get_mut(&from).and_then(Vec::pop) else { break };
            for (reader, before, after) in [(from, most, most - 1), (to, least, least + 1)] {
                all.remove(&(before, reader));
                givers.remove(&(before, reader));
                all.insert((after, reader));
                loads[reader] = after;
            }
            self.held.entry(to).or_default().push(place);
            givers.insert((least + 1, to));
            if self.held.get(&from).is_some_and(|held| !held.is_empty()) {
                givers.insert((most - 1, from));
            }
            moves += 1;
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::samples::{parse, run};
    use super::super::Assignor::Uniform;

    const ONE: &[u128] = &[1];
    const BOTH: &[u128] = &[1, 2];

    /// Topics, members, and what these get.
    type Case<'a> = (&'a [(u128, i32)], Members<'a>, &'a [&'a str]);
    type Members<'a> = &'a [(&'a str, &'a [u128], &'a str)];

    #[test]
    fn even_and_sticky_where_all_read_the_same() {
        let cases: &[Case<'_>] = &[
            (&[(1, 4)], &[("a", ONE, ""), ("b", ONE, "")], &["1:0,2", "1:1,3"]),
            // One more member takes no more than its share.
            (
                &[(1, 4)],
                &[("a", ONE, "1:0,2"), ("b", ONE, "1:1,3"), ("c", ONE, "")],
                &["1:0,2", "1:1", "1:3"],
            ),
            // What one had goes to the others, which keep theirs.
            (&[(1, 4)], &[("a", ONE, "1:0,2"), ("c", ONE, "")], &["1:0,2", "1:1,3"]),
            // A topic has grown.
            (&[(1, 5)], &[("a", ONE, "1:0,2"), ("b", ONE, "1:1,3")], &["1:0,2,4", "1:1,3"]),
            // Partitions and topics that are gone are nobody's.
            (&[(1, 2)], &[("a", ONE, "1:0,5 9:1"), ("b", ONE, "")], &["1:0", "1:1"]),
            // More members than partitions.
            (&[(1, 1)], &[("a", ONE, ""), ("b", ONE, "1:0")], &["", "1:0"]),
            (&[(1, 2), (2, 2)], &[("a", BOTH, ""), ("b", BOTH, "")], &["1:0 2:0", "1:1 2:1"]),
            (&[], &[("a", &[], "")], &[""]),
            (&[], &[], &[]),
        ];
        for (partitions, members, expected) in cases {
            assert_eq!(run(Uniform, partitions, members), *expected, "{members:?}");
        }
    }

    #[test]
    fn as_even_as_subscriptions_allow() {
        let cases: &[Case<'_>] = &[
            // Who alone can read a topic gets it, and less of the rest.
            (&[(1, 2), (2, 2)], &[("a", BOTH, ""), ("b", ONE, "")], &["2:0,1", "1:0,1"]),
            // Somebody has given up a topic.
            (
                &[(1, 2), (2, 2)],
                &[("a", BOTH, "1:0 2:0"), ("b", ONE, "1:1 2:1")],
                &["2:0,1", "1:0,1"],
            ),
            (&[(1, 4), (2, 1)], &[("a", &[2], ""), ("b", BOTH, "")], &["2:0", "1:0,1,2,3"]),
        ];
        for (partitions, members, expected) in cases {
            assert_eq!(run(Uniform, partitions, members), *expected, "{members:?}");
        }
    }

    proptest! {
        #[test]
        fn every_partition_has_one_reader_and_no_move_makes_it_more_even(
            counts in prop::collection::vec(0..9i32, 1..5),
            reads in prop::collection::vec(prop::collection::vec(any::<bool>(), 4), 1..7),
        ) {
            let partitions: Vec<(u128, i32)> =
                counts.iter().enumerate().map(|(at, count)| (at as u128 + 1, *count)).collect();
            let topics: Vec<Vec<u128>> = reads
                .iter()
                .map(|reads| {
                    let own = reads.iter().take(counts.len()).enumerate();
                    own.filter(|(_, reads)| **reads).map(|(at, _)| at as u128 + 1).collect()
                })
                .collect();
            let ids: Vec<String> = (0..reads.len()).map(|at| format!("m{at}")).collect();
            let mut had = vec![String::new(); reads.len()];
            for _ in 0..2 {
                let members: Vec<(&str, &[u128], &str)> = ids
                    .iter()
                    .zip(&topics)
                    .zip(&had)
                    .map(|((id, topics), had)| (id.as_str(), topics.as_slice(), had.as_str()))
                    .collect();
                let assigned = run(Uniform, &partitions, &members);
                let sets: Vec<BTreeSet<(u128, i32)>> = assigned
                    .iter()
                    .map(|text| {
                        let all = parse(text).into_iter();
                        all.flat_map(|(t, ps)| ps.into_iter().map(move |p| (t.as_u128(), p))).collect()
                    })
                    .collect();
                for (topic, count) in &partitions {
                    let readers: Vec<usize> =
                        (0..topics.len()).filter(|at| topics[*at].contains(topic)).collect();
                    for partition in 0..*count {
                        let place = (*topic, partition);
                        let owners: Vec<usize> =
                            (0..sets.len()).filter(|at| sets[*at].contains(&place)).collect();
                        prop_assert_eq!(owners.len(), usize::from(!readers.is_empty()));
                        for owner in owners {
                            prop_assert!(readers.contains(&owner));
                            let least = readers.iter().map(|at| sets[*at].len()).min();
                            prop_assert!(sets[owner].len() <= least.unwrap_or(0) + 1);
                        }
                    }
                }
                if !had.iter().all(String::is_empty) {
                    prop_assert_eq!(&had, &assigned, "nothing moves when nothing has changed");
                }
                had = assigned;
            }
        }
    }
}
