//! Transaction markers on the owning shard.

use corelane_shards::log::batch::Marker;

use super::{keyed_log, MarkerOrder, PartitionTable};
use crate::wire::ErrorCode;

/// Ends a transaction in a partition; done when its marker is durable. One that is there already is
/// not appended again.
///
/// # Errors
/// The partition is not served here, or the producer's or the coordinator's epoch is old.
pub async fn write(
    table: &PartitionTable,
    order: &MarkerOrder,
    now_ms: i64,
) -> Result<(), ErrorCode> {
    let partition = table.find(&order.key)?;
    partition.verified.end(order.producer_id, order.producer_epoch);
    let marker = Marker { commit: order.commit, coordinator_epoch: order.coordinator_epoch };
    let batch = marker.batch(order.producer_id, order.producer_epoch, now_ms);
    keyed_log::append_batch(&partition, &batch, now_ms)?.await
}
