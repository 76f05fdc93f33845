//! What is served: the one table that dispatch, version checks and ApiVersions answers come from.

use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::ApiVersionsResponse;

use super::{ApiKey, ErrorCode};

/// One API: which versions are dispatched and which are advertised.
#[derive(Debug, Clone)]
pub struct Api {
    pub key: ApiKey,
    pub versions: RangeInclusive<i16>,
    /// Lowest version advertised, where it differs. Older librdkafka takes a broker without
    /// Produce 0 for one without compression (KAFKA-18659).
    pub advertised_from: Option<i16>,
}

const fn api(key: ApiKey, versions: RangeInclusive<i16>) -> Api {
    Api { key, versions, advertised_from: None }
}

/// All APIs served, by key.
pub const APIS: &[Api] = &[
    Api { key: ApiKey::Produce, versions: 3..=13, advertised_from: Some(0) },
    api(ApiKey::Fetch, 4..=18),
    api(ApiKey::ListOffsets, 1..=10),
    api(ApiKey::Metadata, 0..=13),
    api(ApiKey::JoinGroup, 0..=9),
    api(ApiKey::SyncGroup, 0..=5),
    api(ApiKey::Heartbeat, 0..=4),
    api(ApiKey::LeaveGroup, 0..=5),
    api(ApiKey::DescribeGroups, 0..=6),
    api(ApiKey::ListGroups, 0..=5),
    api(ApiKey::DeleteGroups, 0..=2),
    api(ApiKey::OffsetDelete, 0..=0),
    api(ApiKey::OffsetCommit, 2..=9),
    api(ApiKey::OffsetFetch, 1..=9),
    api(ApiKey::FindCoordinator, 0..=6),
    api(ApiKey::ApiVersions, 0..=4),
    api(ApiKey::CreateTopics, 2..=7),
    api(ApiKey::DeleteTopics, 1..=6),
    api(ApiKey::DeleteRecords, 0..=2),
    api(ApiKey::InitProducerId, 0..=5),
    api(ApiKey::OffsetForLeaderEpoch, 2..=4),
    api(ApiKey::WriteTxnMarkers, 1..=1),
    api(ApiKey::TxnOffsetCommit, 0..=5),
    api(ApiKey::AddPartitionsToTxn, 0..=5),
    api(ApiKey::AddOffsetsToTxn, 0..=4),
    api(ApiKey::EndTxn, 0..=5),
    api(ApiKey::DescribeConfigs, 1..=4),
    api(ApiKey::AlterConfigs, 0..=2),
    api(ApiKey::IncrementalAlterConfigs, 0..=1),
    api(ApiKey::AlterReplicaLogDirs, 1..=2),
    api(ApiKey::DescribeLogDirs, 1..=4),
    api(ApiKey::CreatePartitions, 0..=3),
    api(ApiKey::ElectLeaders, 0..=2),
    api(ApiKey::AlterPartitionReassignments, 0..=1),
    api(ApiKey::ListPartitionReassignments, 0..=0),
    api(ApiKey::DescribeClientQuotas, 0..=1),
    api(ApiKey::AlterClientQuotas, 0..=1),
    api(ApiKey::DescribeUserScramCredentials, 0..=0),
    api(ApiKey::UpdateFeatures, 0..=2),
    api(ApiKey::DescribeCluster, 0..=2),
    api(ApiKey::DescribeProducers, 0..=0),
    api(ApiKey::UnregisterBroker, 0..=0),
    api(ApiKey::DescribeTransactions, 0..=0),
    api(ApiKey::ListTransactions, 0..=2),
    api(ApiKey::ConsumerGroupHeartbeat, 0..=1),
    api(ApiKey::ConsumerGroupDescribe, 0..=1),
    api(ApiKey::GetTelemetrySubscriptions, 0..=0),
    api(ApiKey::PushTelemetry, 0..=0),
    api(ApiKey::DescribeTopicPartitions, 0..=0),
    api(ApiKey::ListConfigResources, 0..=1),
    api(ApiKey::ShareGroupHeartbeat, 1..=1),
    api(ApiKey::ShareGroupDescribe, 1..=1),
    api(ApiKey::ShareFetch, 1..=1),
    api(ApiKey::ShareAcknowledge, 1..=1),
    api(ApiKey::DescribeShareGroupOffsets, 0..=0),
    api(ApiKey::AlterShareGroupOffsets, 0..=0),
    api(ApiKey::DeleteShareGroupOffsets, 0..=0),
];

/// The table's row for `key`, if it is served.
pub fn find(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

/// The answer to ApiVersions: the table.
pub fn api_versions_response() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(APIS.iter().map(advertised).collect())
}

/// The answer to ApiVersions in a version that is not served: which are (KIP-511).
pub fn unsupported_version_response() -> ApiVersionsResponse {
    let itself = find(ApiKey::ApiVersions).map(advertised);
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(itself.into_iter().collect())
}

fn advertised(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(api.advertised_from.unwrap_or(*api.versions.start()))
        .with_max_version(*api.versions.end())
}
