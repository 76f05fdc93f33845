//! Ends prepared transactions: markers to the shards that own their partitions, until all are there.

use std::rc::Rc;
use std::time::Duration;

use corelane_shards::runtime::{sleep, ShardId};

use super::Shard;
use crate::handlers::route::Groups;
use crate::metadata::MetadataImage;
use crate::partition::{MarkerOrder, Operation, Outcome, PartitionKey};
use crate::transaction::{Input, Loaded, Prepared};
use crate::wire::ErrorCode;

/// Time between two tries to write markers that could not be written: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Shard {
    /// Writes the markers of a prepared transaction, and says so to its machine; a stop ends it, the
    /// next start goes on.
    pub(super) async fn send_markers(
        self: &Rc<Self>,
        loaded: &Rc<Loaded>,
        id: &str,
        prepared: Prepared,
    ) {
        let mut left: Vec<(String, i32)> = prepared.partitions.iter().cloned().collect();
        let mut pause = FIRST_PAUSE;
        loop {
            left = self.try_markers(loaded.of.leader_epoch.get(), &prepared, left).await;
            if left.is_empty() {
                return self.step(loaded, id, Input::MarkersWritten);
            }
            if self.shutdown.is_requested() {
                return;
            }
            if pause == FIRST_PAUSE {
                tracing::warn!(
                    transactional_id = id,
                    partitions = left.len(),
                    "a transaction's markers cannot be written, they are tried again"
                );
                self.step(loaded, id, Input::MarkersLate);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Partitions whose markers could not be written. Those that were deleted need none.
    async fn try_markers(
        self: &Rc<Self>,
        coordinator_epoch: i32,
        prepared: &Prepared,
        partitions: Vec<(String, i32)>,
    ) -> Vec<(String, i32)> {
        let image = self.image();
        let mut orders = Groups::new();
        for (number, place) in partitions.iter().enumerate() {
            let Some((owner, key)) = find(&image, place) else { continue };
            let order = MarkerOrder {
                key,
                producer_id: prepared.producer.id,
                producer_epoch: prepared.producer.epoch,
                coordinator_epoch,
                commit: prepared.commit,
            };
            orders.add(owner, number, order);
        }
        let mut sent = Vec::with_capacity(orders.len());
        for (owner, numbers, orders) in orders.into_parts() {
            sent.push((numbers, self.route(owner, Operation::WriteMarkers(orders)).await));
        }
        let mut left = Vec::new();
        for (numbers, routed) in sent {
            let outcome = match routed {
                Ok(routed) => routed.outcome().await,
                Err(_) => None,
            };
            let results = match outcome {
                Some(Outcome::WriteMarkers(results)) => results,
                _ => vec![Err(ErrorCode::NotLeaderOrFollower); numbers.len()],
            };
            let places = numbers.into_iter().map(|number| &partitions[number]);
            let failed = places.zip(results).filter(|(place, result)| is_left(place, *result));
            left.extend(failed.map(|(place, _)| place.clone()));
        }
        left
    }
}

fn find(image: &MetadataImage, place: &(String, i32)) -> Option<(ShardId, PartitionKey)> {
    let topic = image.by_name(&place.0)?;
    let partition = topic.partitions.get(usize::try_from(place.1).ok()?)?;
    Some((partition.shard, PartitionKey { topic: topic.id, index: place.1 }))
}

/// Whether a marker has to be written again.
fn is_left(place: &(String, i32), result: Result<(), ErrorCode>) -> bool {
    match result {
        Ok(()) => false,
        // Somebody has ended it there, with a later epoch: nothing is open any more.
        Err(code @ (ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced)) => {
            tracing::warn!(topic = place.0, partition = place.1, "a marker was refused: {code:?}");
            false
        }
        Err(_) => true,
    }
}
