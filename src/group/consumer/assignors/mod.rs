//! Who is to have which partition: the assignors that members can ask for (KIP-848), each in a file of
//! its own. Pure; members and topics come in an order that does not change by itself.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use crate::config::Assignor;
use crate::partition::consumer_group::Assignment;
use crate::wire::Uuid;

/// A member as an assignor sees it.
#[derive(Debug, Clone)]
pub struct Subscriber<'a> {
    pub id: &'a str,
    pub instance_id: Option<&'a str>,
    /// Topics that it reads; all of them are in [`Subscribers::partitions`].
    pub topics: Rc<BTreeSet<Uuid>>,
    /// What it was to have before.
    pub before: Option<&'a Assignment>,
}

#[derive(Debug, Clone, Default)]
pub struct Subscribers<'a> {
    pub members: Vec<Subscriber<'a>>,
    /// Of each topic that somebody reads.
    pub partitions: BTreeMap<Uuid, i32>,
}

/// What each member gets, in the order of [`Subscribers::members`].
pub fn assign(assignor: Assignor, subscribers: &Subscribers<'_>) -> Vec<Assignment> {
    match assignor {
        Assignor::Uniform => uniform::assign(subscribers),
        Assignor::Range => range::assign(subscribers),
    }
}

#[cfg(test)]
mod samples {
    use super::*;

    pub fn topic(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// `"1:0,1 2:0"`: partitions by topic.
    pub fn parse(text: &str) -> Assignment {
        text.split_whitespace()
            .map(|part| {
                let (name, partitions) = part.split_once(':').expect("topic:partitions");
                let partitions = partitions.split(',').map(|p| p.parse().expect("a number"));
                (topic(name.parse().expect("a number")), partitions.collect())
            })
            .collect()
    }

    pub fn print(assignment: &Assignment) -> String {
        let topic = |(id, partitions): (&Uuid, &BTreeSet<i32>)| {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{}:{}", id.as_u128(), partitions.join(","))
        };
        assignment.iter().map(topic).collect::<Vec<_>>().join(" ")
    }

    /// Members as `(id, topics, what they had)`; an id that begins with `s` is an instance's, too.
    pub fn run(
        assignor: Assignor,
        partitions: &[(u128, i32)],
        members: &[(&str, &[u128], &str)],
    ) -> Vec<String> {
        let before: Vec<Assignment> = members.iter().map(|(_, _, had)| parse(had)).collect();
        let subscribers = Subscribers {
            members: members
                .iter()
                .zip(&before)
                .map(|((id, topics, _), before)| Subscriber {
                    id,
                    instance_id: id.starts_with('s').then_some(*id),
                    topics: Rc::new(topics.iter().map(|t| topic(*t)).collect()),
                    before: Some(before),
                })
                .collect(),
            partitions: partitions.iter().map(|(id, count)| (topic(*id), *count)).collect(),
        };
        assign(assignor, &subscribers).iter().map(print).collect()
    }
}
