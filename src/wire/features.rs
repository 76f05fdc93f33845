//! The features that clients look for before they use what depends on them (KIP-584): one table.

use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::ApiVersionsResponse;

use super::StrBytes;

/// A feature, the levels of it that are known, and the one in force.
struct Feature {
    name: &'static str,
    known: RangeInclusive<i16>,
    level: i16,
}

const FEATURES: &[Feature] = &[
    // The consumer protocol of groups (KIP-848).
    Feature { name: "group.version", known: 0..=1, level: 1 },
    // Share groups (KIP-932).
    Feature { name: "share.version", known: 0..=1, level: 1 },
    // Partitions are added by writing to them, each end gives a new epoch (KIP-890).
    Feature { name: "transaction.version", known: 0..=2, level: 2 },
];

/// Versions before this one have no features.
const SINCE: i16 = 3;
/// Clients of versions before this one do not expect a level of 0.
const LEVEL_ZERO_SINCE: i16 = 4;

/// Adds the features to an answer in `version`; `epoch` grows with the cluster's metadata.
pub fn tell(response: ApiVersionsResponse, version: i16, epoch: u64) -> ApiVersionsResponse {
    if version < SINCE {
        return response;
    }
    let supported = FEATURES
        .iter()
        .filter(|feature| version >= LEVEL_ZERO_SINCE || *feature.known.start() > 0)
        .map(|feature| {
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(feature.name))
                .with_min_version(*feature.known.start())
                .with_max_version(*feature.known.end())
        });
    let finalized = FEATURES.iter().map(|feature| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version_level(feature.level)
            .with_max_version_level(feature.level)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(i64::try_from(epoch).unwrap_or(i64::MAX))
        .with_finalized_features(finalized.collect())
}
