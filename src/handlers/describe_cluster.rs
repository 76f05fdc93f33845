//! DescribeCluster (key 60), versions 0–2 (KIP-700, KIP-919).

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::{allowed, RequestContext};
use crate::wire::{ErrorCode, StrBytes};

/// The kinds of endpoints that there are: only brokers' are served here.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if version >= 1 && request.endpoint_type != BROKERS {
        let (code, what) = match request.endpoint_type {
            CONTROLLERS => (ErrorCode::MismatchedEndpointType, "This endpoint is a broker's."),
            _ => (ErrorCode::UnsupportedEndpointType, "There is no such type of endpoint."),
        };
        return DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(what)));
    }
    let brokers = cx.shard.advertised.nodes(cx.listener).into_iter().map(|node| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host))
            .with_port(i32::from(node.port))
            .with_rack(None)
    });
    let asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(StrBytes::from_string(cx.shard.advertised.cluster_id.clone()))
        .with_controller_id(BrokerId(cx.shard.advertised.controller()))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(allowed::if_asked(asked, allowed::CLUSTER))
}
