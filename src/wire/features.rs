//! The features that clients look for before they use what depends on them (KIP-584): one table.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::ApiVersionsResponse;

use super::{ApiKey, StrBytes};

/// Levels that were set, by the features' names; the others have their highest.
pub type FeatureLevels = BTreeMap<String, i16>;

/// A feature, the levels of it that are known, and what is served where it has one.
struct Feature {
    name: &'static str,
    known: RangeInclusive<i16>,
    apis: &'static [ApiKey],
}

const FEATURES: &[Feature] = &[
    // The consumer protocol of groups (KIP-848).
    Feature { name: "group.version", known: 0..=1, apis: &[ApiKey::ConsumerGroupHeartbeat] },
    // Share groups (KIP-932).
    Feature {
        name: "share.version",
        known: 0..=1,
        apis: &[
            ApiKey::ShareGroupHeartbeat,
            ApiKey::ShareFetch,
            ApiKey::ShareAcknowledge,
            ApiKey::AlterShareGroupOffsets,
            ApiKey::DeleteShareGroupOffsets,
        ],
    },
    // Partitions are added by writing to them, each end gives a new epoch (KIP-890): clients look.
    Feature { name: "transaction.version", known: 0..=2, apis: &[] },
];

/// Versions before this one have no features.
const SINCE: i16 = 3;
/// Clients of versions before this one do not expect a level of 0.
const LEVEL_ZERO_SINCE: i16 = 4;

/// The levels of a feature that are known; none where it is not.
pub fn known(name: &str) -> Option<RangeInclusive<i16>> {
    FEATURES.iter().find(|feature| feature.name == name).map(|feature| feature.known.clone())
}

/// The level in force of a feature; 0 where there is no such feature.
pub fn level(levels: &FeatureLevels, name: &str) -> i16 {
    let highest = || known(name).map_or(0, |known| *known.end());
    levels.get(name).copied().unwrap_or_else(highest)
}

/// Whether an API is served with these levels.
pub fn serves(levels: &FeatureLevels, api: ApiKey) -> bool {
    // Nearly always nothing was set.
    let off = |feature: &Feature| feature.apis.contains(&api) && level(levels, feature.name) == 0;
    levels.is_empty() || !FEATURES.iter().any(off)
}

/// Adds the features to an answer in `version`; `epoch` grows with the cluster's metadata.
pub fn tell(
    response: ApiVersionsResponse,
    version: i16,
    epoch: u64,
    levels: &FeatureLevels,
) -> ApiVersionsResponse {
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
    let finalized = FEATURES.iter().filter_map(|feature| {
        let level = level(levels, feature.name);
        let key = FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version_level(level)
            .with_max_version_level(level);
        (level > 0).then_some(key)
    });
    response
        .with_supported_features(supported.collect())
        .with_finalized_features_epoch(i64::try_from(epoch).unwrap_or(i64::MAX))
        .with_finalized_features(finalized.collect())
}
