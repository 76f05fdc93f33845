//! `range`: of each topic, each of its readers gets partitions in a row; the same ones of all topics
//! where all read the same topics with as many partitions, so that what was produced with one key to
//! several topics meets in one member. Static members come first, by instance id: they keep theirs when
//! they come back.

use std::collections::BTreeMap;

use super::{Subscriber, Subscribers};
use crate::partition::consumer_group::Assignment;
use crate::wire::Uuid;

/// What is left of a topic for the readers that follow.
struct Left {
    next: i32,
    partitions: i32,
    readers: i32,
}

pub fn assign(subscribers: &Subscribers<'_>) -> Vec<Assignment> {
    let members = &subscribers.members;
    let mut order: Vec<usize> = (0..members.len()).collect();
    let rank = |member: &Subscriber<'_>| match member.instance_id {
        Some(instance) => (false, instance.to_string()),
        None => (true, member.id.to_string()),
    };
    order.sort_by_cached_key(|at| rank(&members[*at]));
    let mut left: BTreeMap<Uuid, Left> = subscribers
        .partitions
        .iter()
        .map(|(topic, count)| (*topic, Left { next: 0, partitions: *count, readers: 0 }))
        .collect();
    for topic in members.iter().flat_map(|member| member.topics.iter()) {
        if let Some(left) = left.get_mut(topic) {
            left.readers += 1;
        }
    }
    let mut assigned = vec![Assignment::new(); members.len()];
    for at in order {
        for topic in members[at].topics.iter() {
            let Some(left) = left.get_mut(topic) else { continue };
            // The first ones get one more where it does not come out even.
            let share = (left.partitions + left.readers - 1) / left.readers.max(1);
            if share > 0 {
                assigned[at].insert(*topic, (left.next..left.next + share).collect());
            }
            left.next += share;
            left.partitions -= share;
            left.readers -= 1;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::super::samples::run;
    use super::super::Assignor::Range;

    #[test]
    fn partitions_in_a_row_and_the_same_of_all_topics() {
        let both: &[u128] = &[1, 2];
        let members: &[(&str, &[u128], &str)] = &[("a", both, ""), ("b", both, "")];
        assert_eq!(run(Range, &[(1, 3), (2, 3)], members), ["1:0,1 2:0,1", "1:2 2:2"]);
        let three: &[(&str, &[u128], &str)] = &[("a", both, ""), ("b", both, ""), ("c", both, "")];
        assert_eq!(run(Range, &[(1, 2), (2, 4)], three), ["1:0 2:0,1", "1:1 2:2", "2:3"]);
    }

    #[test]
    fn only_readers_get_a_topic_and_static_members_come_first() {
        let members: &[(&str, &[u128], &str)] =
            &[("a", &[1], ""), ("b", &[1, 2], ""), ("s1", &[1], "")];
        assert_eq!(run(Range, &[(1, 4), (2, 2)], members), ["1:2", "1:3 2:0,1", "1:0,1"]);
    }

    #[test]
    fn nobody_and_nothing() {
        assert!(run(Range, &[], &[]).is_empty());
        assert_eq!(run(Range, &[], &[("a", &[], "")]), [""]);
    }
}
