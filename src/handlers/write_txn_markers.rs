//! WriteTxnMarkers (key 27), version 1 (KIP-98): ends transactions that hang, whose coordinator does
//! not know them any more (KIP-664). Coordinators do not come this way.

use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{MarkerOrder, Operation, Outcome};
use crate::wire::{ErrorCode, TopicRef};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        markers.push(write(cx, marker).await);
    }
    WriteTxnMarkersResponse::default().with_markers(markers)
}

async fn write(cx: &RequestContext, marker: WritableTxnMarker) -> WritableTxnMarkerResult {
    let image = cx.shard.image();
    let mut flat = Vec::new();
    let mut groups = Groups::new();
    for topic in &marker.topics {
        let name = TopicRef::Name(topic.name.0.clone());
        for &index in &topic.partition_indexes {
            let mut answer =
                WritableTxnMarkerPartitionResult::default().with_partition_index(index);
            match locate(&image, &name, index) {
                Ok((owner, key)) => {
                    answer.error_code = ErrorCode::NotLeaderOrFollower.code();
                    let order = MarkerOrder {
                        key,
                        producer_id: marker.producer_id.0,
                        producer_epoch: marker.producer_epoch,
                        coordinator_epoch: marker.coordinator_epoch,
                        commit: marker.transaction_result,
                    };
                    groups.add(owner, flat.len(), order);
                }
                Err(code) => answer.error_code = code.code(),
            }
            flat.push(answer);
        }
    }
    for (owner, places, orders) in groups.into_parts() {
        let routed = cx.shard.route(owner, Operation::WriteMarkers(orders)).await;
        let Ok(routed) = routed else { continue };
        if let Some(Outcome::WriteMarkers(written)) = routed.outcome().await {
            for (place, written) in places.into_iter().zip(written) {
                flat[place].error_code = written.err().map_or(0, |code| code.code());
            }
        }
    }
    let mut flat = flat.into_iter();
    let topics = marker.topics.into_iter().map(|topic| {
        WritableTxnMarkerTopicResult::default()
            .with_name(topic.name)
            .with_partitions(flat.by_ref().take(topic.partition_indexes.len()).collect())
    });
    WritableTxnMarkerResult::default()
        .with_producer_id(marker.producer_id)
        .with_topics(topics.collect())
}
