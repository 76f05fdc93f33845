//! What each member gets: every partition has a member, every member a partition of each topic that it
//! reads; how many share one differs by one at most. Who has something keeps it where that allows it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::consumer::Assignment;
use crate::wire::Uuid;

/// `readers`: members, with the topics they read; `before`: what they had.
pub fn assign(
    readers: &BTreeMap<&str, &BTreeSet<String>>,
    before: &BTreeMap<String, Assignment>,
    topics: &BTreeMap<String, (Uuid, i32)>,
) -> BTreeMap<String, Assignment> {
    let mut targets: BTreeMap<String, Assignment> =
        readers.keys().map(|id| (id.to_string(), Assignment::new())).collect();
    for (name, (id, partitions)) in topics {
        let of_topic = readers.iter().filter(|(_, topics)| topics.contains(name));
        let members: Vec<&str> = of_topic.map(|(id, _)| *id).collect();
        let partitions = usize::try_from(*partitions).unwrap_or(0);
        if members.is_empty() || partitions == 0 {
            continue;
        }
        let had = |member: usize, partition: usize| {
            let had = before.get(members[member]).and_then(|assignment| assignment.get(id));
            had.is_some_and(|had| had.contains(&(partition as i32)))
        };
        let pairs: Vec<(usize, usize)> = match members.len() >= partitions {
            true => {
                let places = spread(members.len(), partitions, had);
                places.into_iter().enumerate().collect()
            }
            false => {
                let places = spread(partitions, members.len(), |item, place| had(place, item));
                places.into_iter().enumerate().map(|(item, place)| (place, item)).collect()
            }
        };
        for (member, partition) in pairs {
            if let Some(target) = targets.get_mut(members[member]) {
                target.entry(*id).or_default().insert(partition as i32);
            }
        }
    }
    targets
}

/// A place for each of `items`, of which all of `places` get as many, or one more; they stay where they
/// `had` one.
fn spread(items: usize, places: usize, had: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let least = items / places;
    let mut with_more = items % places;
    let mut loads = vec![0; places];
    let mut found = vec![None; items];
    for (item, found) in found.iter_mut().enumerate() {
        let fits = (0..places).find(|place| {
            had(item, *place) && (loads[*place] < least || loads[*place] == least && with_more > 0)
        });
        if let Some(place) = fits {
            with_more -= usize::from(loads[place] == least);
            loads[place] += 1;
            *found = Some(place);
        }
    }
    // The rest goes where the least is, in order; a queue of (load, place) keeps that cheap.
    let mut queue: BTreeSet<(usize, usize)> =
        loads.iter().enumerate().map(|(place, load)| (*load, place)).collect();
    let mut place = |found: Option<usize>| match found {
        Some(place) => place,
        None => {
            let (load, place) = queue.pop_first().unwrap_or_default();
            queue.insert((load + 1, place));
            place
        }
    };
    found.into_iter().map(&mut place).collect()
}
