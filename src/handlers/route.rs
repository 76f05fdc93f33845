//! Finds the shard of each partition a request names, and sends each shard its part.

use corelane_shards::runtime::ShardId;

use std::collections::BTreeSet;
use std::rc::Rc;

use super::RequestContext;
use crate::broker::Shard;
use crate::config::Advertise;
use crate::group::{partition_of, OFFSETS_TOPIC, TRANSACTION_TOPIC};
use crate::metadata::MetadataImage;
use crate::partition::{Listed, Operation, Outcome, PartitionKey};
use crate::wire::{ErrorCode, TopicRef};

/// Where a partition lives.
///
/// # Errors
/// Unknown by name or by id, with Kafka's code for each.
pub fn locate(
    image: &MetadataImage,
    topic: &TopicRef,
    partition: i32,
) -> Result<(ShardId, PartitionKey), ErrorCode> {
    let (found, unknown) = match topic {
        TopicRef::Name(name) => (image.by_name(name), ErrorCode::UnknownTopicOrPartition),
        TopicRef::Id(id) => (image.by_id.get(id), ErrorCode::UnknownTopicId),
    };
    let topic = found.ok_or(unknown)?;
    let place = usize::try_from(partition).ok().and_then(|index| topic.partitions.get(index));
    let place = place.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok((place.shard, PartitionKey { topic: topic.id, index: partition }))
}

/// The shard and the partition of a coordinators' topic that a name belongs to.
///
/// # Errors
/// The topic is not there: nobody has asked for a coordinator yet.
fn coordinator(
    image: &MetadataImage,
    topic: &str,
    name: &str,
) -> Result<(ShardId, i32), ErrorCode> {
    let topic = image.by_name(topic).ok_or(ErrorCode::NotCoordinator)?;
    let index = partition_of(name, topic.partitions.len());
    Ok((topic.partitions[index as usize].shard, index))
}

/// Asks the shard that coordinates a group: `operation` is made for its partition of the offsets
/// topic, `taken` takes the answer out of the outcome.
///
/// # Errors
/// There is no coordinator, or it ended without an answer.
pub async fn ask_coordinator<T>(
    cx: &RequestContext,
    group: &str,
    operation: impl FnOnce(i32) -> Operation,
    taken: impl FnOnce(Outcome) -> Option<T>,
) -> Result<T, ErrorCode> {
    ask(&cx.shard, OFFSETS_TOPIC, group, operation, taken).await
}

/// [`ask_coordinator`] for a transactional id and its partition of the transactions' topic.
///
/// # Errors
/// There is no coordinator, or it ended without an answer.
pub async fn ask_transaction_coordinator<T>(
    shard: &Rc<Shard>,
    id: &str,
    operation: impl FnOnce(i32) -> Operation,
    taken: impl FnOnce(Outcome) -> Option<T>,
) -> Result<T, ErrorCode> {
    ask(shard, TRANSACTION_TOPIC, id, operation, taken).await
}

async fn ask<T>(
    shard: &Rc<Shard>,
    topic: &str,
    name: &str,
    operation: impl FnOnce(i32) -> Operation,
    taken: impl FnOnce(Outcome) -> Option<T>,
) -> Result<T, ErrorCode> {
    let (owner, partition) = coordinator(&shard.image(), topic, name)?;
    let routed = shard.route(owner, operation(partition)).await;
    let outcome = routed.map_err(|_| ErrorCode::NotCoordinator)?.outcome().await;
    outcome.and_then(taken).ok_or(ErrorCode::NotCoordinator)
}

/// Asks all shards that own partitions of a coordinators' topic; where each is shown as a node, this
/// one alone. The code is Kafka's for a list that is not whole.
pub async fn ask_owners<T>(
    cx: &RequestContext,
    topic: &str,
    operation: impl Fn() -> Operation,
    taken: impl Fn(Outcome) -> Option<Listed<T>>,
) -> (Vec<T>, Option<ErrorCode>) {
    let image = cx.shard.image();
    let Some(topic) = image.by_name(topic) else { return (Vec::new(), None) };
    let owners: BTreeSet<_> = match cx.shard.config().advertise {
        Advertise::Single => topic.partitions.iter().map(|partition| partition.shard).collect(),
        Advertise::PerShard => BTreeSet::from([cx.shard.id]),
    };
    ask_each(cx, owners, operation, taken).await
}

/// What these shards know of everything of a kind, and what was wrong where it is not all.
pub async fn ask_each<T>(
    cx: &RequestContext,
    owners: BTreeSet<ShardId>,
    operation: impl Fn() -> Operation,
    taken: impl Fn(Outcome) -> Option<Listed<T>>,
) -> (Vec<T>, Option<ErrorCode>) {
    let (mut found, mut wrong) = (Vec::new(), None);
    for owner in owners {
        let Ok(routed) = cx.shard.route(owner, operation()).await else {
            wrong = Some(ErrorCode::CoordinatorNotAvailable);
            continue;
        };
        match routed.outcome().await.and_then(&taken) {
            Some(listed) => {
                found.extend(listed.found);
                if listed.is_loading {
                    wrong = Some(ErrorCode::CoordinatorLoadInProgress);
                }
            }
            None => wrong = Some(ErrorCode::CoordinatorNotAvailable),
        }
    }
    (found, wrong)
}

/// Entries for each shard, in the order they were asked for, with the place of each entry's
/// answer in the response.
pub struct Groups<T> {
    groups: Vec<(ShardId, Vec<(usize, T)>)>,
}

impl<T> Groups<T> {
    pub fn new() -> Self {
        Groups { groups: Vec::with_capacity(1) }
    }

    pub fn add(&mut self, shard: ShardId, place: usize, entry: T) {
        match self.groups.iter_mut().find(|(id, _)| *id == shard) {
            Some((_, entries)) => entries.push((place, entry)),
            None => self.groups.push((shard, vec![(place, entry)])),
        }
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// The shard of all entries, if that is one.
    pub fn only(&self) -> Option<ShardId> {
        match &self.groups[..] {
            [(shard, _)] => Some(*shard),
            _ => None,
        }
    }

    /// Each shard's entries, and apart from them the places of their answers.
    pub fn into_parts(self) -> impl Iterator<Item = (ShardId, Vec<usize>, Vec<T>)> {
        self.groups.into_iter().map(|(shard, entries)| {
            let (places, entries) = entries.into_iter().unzip();
            (shard, places, entries)
        })
    }
}
