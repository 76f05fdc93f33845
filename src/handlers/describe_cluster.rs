//! DescribeCluster (key 60), versions 0–2 (KIP-700).

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::metadata::NO_OPERATIONS;
use super::RequestContext;
use crate::wire::{ErrorCode, StrBytes};

/// The only kind of endpoint there is here; 2 would be the controllers' own.
const BROKERS: i8 = 1;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if version >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse::default()
            .with_error_code(ErrorCode::MismatchedEndpointType.code())
            .with_endpoint_type(request.endpoint_type);
    }
    let brokers = cx.shard.advertised.nodes(cx.listener).into_iter().map(|node| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host))
            .with_port(i32::from(node.port))
    });
    DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(cx.shard.advertised.cluster_id.clone()))
        .with_controller_id(BrokerId(cx.shard.advertised.controller()))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(NO_OPERATIONS)
}
