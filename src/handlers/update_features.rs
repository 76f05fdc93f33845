//! UpdateFeatures (key 57), versions 0–2 (KIP-584, KIP-778): levels of features change together or not at
//! all.

use std::time::Duration;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::RequestContext;
use crate::controller::{ApiError, FeatureUpdate, UpgradeType};
use crate::wire::StrBytes;

/// From this version on only the answer as a whole has an error.
const TOGETHER_SINCE: i16 = 2;

/// In Kafka the time of this request is not looked at.
const LEAST_TIMEOUT_MS: i32 = 5000;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let update = |key: &FeatureUpdateKey| FeatureUpdate {
        feature: key.feature.to_string(),
        level: key.max_version_level,
        upgrade_type: match (version, key.upgrade_type) {
            (0, _) if key.allow_downgrade => UpgradeType::SafeDowngrade,
            (0, _) | (_, 1) => UpgradeType::Upgrade,
            (_, 2) => UpgradeType::SafeDowngrade,
            (_, 3) => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        },
    };
    let updates = request.feature_updates.iter().map(update).collect();
    let timeout = Duration::from_millis(request.timeout_ms.max(LEAST_TIMEOUT_MS) as u64);
    let controller = &cx.shard.controller;
    let decided = controller.update_features(updates, request.validate_only, timeout).await;
    let decided = decided.unwrap_or_else(|code| Err(ApiError::new(code, "not done in time")));
    let answer = UpdateFeaturesResponse::default();
    match decided {
        Err(error) => answer
            .with_error_code(error.code.code())
            .with_error_message(Some(StrBytes::from_string(error.message))),
        Ok(()) if version >= TOGETHER_SINCE => answer.with_error_message(None),
        Ok(()) => {
            let done = |key: FeatureUpdateKey| {
                UpdatableFeatureResult::default().with_feature(key.feature).with_error_message(None)
            };
            let results = request.feature_updates.into_iter().map(done).collect();
            answer.with_error_message(None).with_results(results)
        }
    }
}
