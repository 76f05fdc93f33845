//! What each API does: one file an API, named as Kafka names it. `produce` is called by the
//! connection itself, because its order matters; the rest goes through [`dispatch`].

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod allowed;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_share_group_offsets;
mod api_versions;
mod buffer_memory;
mod client_instances;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
mod fetch_session;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod otlp;
pub mod produce;
mod record_errors;
mod repeated;
pub(crate) mod route;
mod share;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_session;
mod sync_group;
mod telemetry;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use corelane_shards::runtime::Lease;
use kafka_protocol::messages::{
    AlterShareGroupOffsetsResponse, ConsumerGroupHeartbeatResponse,
    DeleteShareGroupOffsetsResponse, ShareAcknowledgeResponse, ShareFetchResponse,
    ShareGroupHeartbeatResponse,
};

pub use buffer_memory::BufferMemory;
pub use client_instances::{ClientInstances, KnownClient};
pub use fetch_session::FetchSessions;
pub use share_session::ShareSessions;

use crate::broker::Shard;
use crate::wire::{self, features, ApiKey, Checked, ErrorCode, RequestHeader, StrBytes, WireError};

/// What a handler knows of who asks.
#[derive(Clone)]
pub struct RequestContext {
    pub shard: Rc<Shard>,
    /// Number of the listener that the client came in through.
    pub listener: usize,
    pub peer: SocketAddr,
    /// Number of the connection on its shard.
    pub connection: usize,
    /// What the client calls itself, where a handler wants to know.
    pub client_id: Option<StrBytes>,
}

impl RequestContext {
    /// Whether clients of this listener are told of us under that id.
    fn is_us(&self, node: i32) -> bool {
        self.shard.advertised.nodes(self.listener).iter().any(|one| one.id == node)
    }

    fn of_client(&self, header: &RequestHeader) -> RequestContext {
        RequestContext { client_id: header.client_id.clone(), ..self.clone() }
    }
}

/// Serves one request that is not Produce: the response frame in pieces.
///
/// # Errors
/// The body is not what its version says, or there is no memory for what it stands for; the
/// connection is then closed, as Kafka does.
pub async fn dispatch(
    cx: &RequestContext,
    header: &RequestHeader,
    body: BytesMut,
    lease: &mut Lease,
) -> Result<Vec<Bytes>, WireError> {
    let (key, version, body) = (header.key, header.version, body.freeze());
    if !features::serves(&cx.shard.image().features, key) {
        return switched_off(header);
    }
    let named;
    let cx = match key {
        ApiKey::JoinGroup
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ShareGroupHeartbeat
        | ApiKey::GetTelemetrySubscriptions
        | ApiKey::PushTelemetry => {
            named = cx.of_client(header);
            &named
        }
        _ => cx,
    };
    macro_rules! answer {
        ($handler:ident) => {
            answer!($handler::handle)
        };
        ($($handler:ident)::+) => {{
            let checked = Checked::new(key, version, body)?;
            reserve(lease, checked.decoded_bytes + checked.answer_bytes)?;
            let request = checked.decode()?;
            let response = $($handler)::+(cx, version, request).await;
            wire::encode_response(header, &response).map(|frame| vec![frame])
        }};
    }
    match key {
        ApiKey::Fetch => {
            let request = wire::fetch::parse(version, body)?;
            reserve(lease, request.memory_bytes)?;
            let response = fetch::handle(cx, version, request).await;
            Ok(wire::fetch::encode(response, version, header.correlation_id))
        }
        ApiKey::ListOffsets => answer!(list_offsets),
        ApiKey::Metadata => answer!(metadata),
        ApiKey::JoinGroup => answer!(join_group),
        ApiKey::ListGroups => answer!(list_groups),
        ApiKey::DescribeGroups => answer!(list_groups::describe),
        ApiKey::DeleteGroups => answer!(delete_groups),
        ApiKey::OffsetDelete => answer!(delete_groups::offsets),
        ApiKey::SyncGroup => answer!(sync_group),
        ApiKey::Heartbeat => answer!(heartbeat),
        ApiKey::LeaveGroup => answer!(heartbeat::leave),
        ApiKey::OffsetCommit => answer!(offset_commit),
        ApiKey::OffsetFetch => answer!(offset_fetch),
        ApiKey::FindCoordinator => answer!(find_coordinator),
        ApiKey::ApiVersions => answer!(api_versions),
        ApiKey::CreateTopics => answer!(create_topics),
        ApiKey::DeleteTopics => answer!(delete_topics),
        ApiKey::DeleteRecords => answer!(delete_records),
        ApiKey::InitProducerId => answer!(init_producer_id),
        ApiKey::AddPartitionsToTxn => answer!(add_partitions_to_txn),
        ApiKey::AddOffsetsToTxn => answer!(add_offsets_to_txn),
        ApiKey::EndTxn => answer!(end_txn),
        ApiKey::DescribeTransactions => answer!(describe_transactions),
        ApiKey::ListTransactions => answer!(list_transactions),
        ApiKey::OffsetForLeaderEpoch => answer!(offset_for_leader_epoch),
        ApiKey::DescribeConfigs => answer!(describe_configs),
        ApiKey::AlterConfigs => answer!(alter_configs),
        ApiKey::ListConfigResources => answer!(list_config_resources),
        ApiKey::IncrementalAlterConfigs => answer!(alter_configs::incremental),
        ApiKey::AlterReplicaLogDirs => answer!(alter_replica_log_dirs),
        ApiKey::DescribeLogDirs => answer!(describe_log_dirs),
        ApiKey::CreatePartitions => answer!(create_partitions),
        ApiKey::DescribeCluster => answer!(describe_cluster),
        ApiKey::ConsumerGroupHeartbeat => answer!(consumer_group_heartbeat),
        ApiKey::ConsumerGroupDescribe => answer!(consumer_group_describe),
        ApiKey::DescribeProducers => answer!(describe_producers),
        ApiKey::WriteTxnMarkers => answer!(write_txn_markers),
        ApiKey::TxnOffsetCommit => answer!(txn_offset_commit),
        ApiKey::ShareGroupHeartbeat => answer!(share_group_heartbeat),
        ApiKey::ShareGroupDescribe => answer!(share_group_describe),
        ApiKey::ShareFetch => answer!(share_fetch),
        ApiKey::ShareAcknowledge => answer!(share_acknowledge),
        ApiKey::DescribeShareGroupOffsets => answer!(describe_share_group_offsets),
        ApiKey::AlterShareGroupOffsets => answer!(alter_share_group_offsets),
        ApiKey::DeleteShareGroupOffsets => answer!(delete_share_group_offsets),
        ApiKey::ElectLeaders => answer!(elect_leaders),
        ApiKey::AlterPartitionReassignments => answer!(alter_partition_reassignments),
        ApiKey::ListPartitionReassignments => answer!(alter_partition_reassignments::list),
        ApiKey::DescribeTopicPartitions => answer!(describe_topic_partitions),
        ApiKey::UnregisterBroker => answer!(unregister_broker),
        ApiKey::GetTelemetrySubscriptions => answer!(telemetry::subscriptions),
        ApiKey::PushTelemetry => answer!(telemetry::push),
        ApiKey::DescribeClientQuotas => answer!(describe_client_quotas),
        ApiKey::AlterClientQuotas => answer!(describe_client_quotas::alter),
        ApiKey::DescribeUserScramCredentials => answer!(describe_user_scram_credentials),
        ApiKey::UpdateFeatures => answer!(update_features),
        other => Err(WireError::UnknownApi(other as i16)),
    }
}

/// A client has gone: what its sessions had is let go of.
pub fn connection_ended(cx: &RequestContext) -> KnownClient {
    share::connection_ended(cx);
    cx.shard.client_instances.disconnected(cx.connection)
}

/// The answer of an API whose feature has the level 0, see [`features::serves`].
fn switched_off(header: &RequestHeader) -> Result<Vec<Bytes>, WireError> {
    let code = ErrorCode::UnsupportedVersion.code();
    macro_rules! refuse {
        ($response:ty) => {
            wire::encode_response(header, &<$response>::default().with_error_code(code))
        };
    }
    let frame = match header.key {
        ApiKey::ConsumerGroupHeartbeat => refuse!(ConsumerGroupHeartbeatResponse),
        ApiKey::ShareGroupHeartbeat => refuse!(ShareGroupHeartbeatResponse),
        ApiKey::ShareFetch => refuse!(ShareFetchResponse),
        ApiKey::ShareAcknowledge => refuse!(ShareAcknowledgeResponse),
        ApiKey::AlterShareGroupOffsets => refuse!(AlterShareGroupOffsetsResponse),
        ApiKey::DeleteShareGroupOffsets => refuse!(DeleteShareGroupOffsetsResponse),
        other => Err(WireError::UnknownApi(other as i16)),
    };
    frame.map(|frame| vec![frame])
}

/// Counts what a request takes beside its frame.
///
/// # Errors
/// Nothing is left: only a flood of requests made to be large comes so far.
pub fn reserve(lease: &mut Lease, bytes: usize) -> Result<(), WireError> {
    match lease.grow(bytes) {
        true => Ok(()),
        false => Err(WireError::NoMemory(bytes)),
    }
}
