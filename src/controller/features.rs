//! Decisions about finalized features (KIP-584, KIP-778).

use super::record::MetadataRecord;
use super::state::{ApiError, Controller};
use crate::wire::{features, ErrorCode};

/// How a feature's level may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeType {
    Upgrade,
    /// To a lower level, where nothing is lost by it; here nothing ever is.
    SafeDowngrade,
    UnsafeDowngrade,
    /// A number that is none of these.
    Unknown,
}

/// Another level for a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub feature: String,
    pub level: i16,
    pub upgrade_type: UpgradeType,
}

impl Controller {
    /// Decides about levels of features: all or none.
    ///
    /// # Errors
    /// Kafka's code and words, of the first update that cannot be.
    pub fn update_features(
        &self,
        updates: &[FeatureUpdate],
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        updates.iter().map(|update| self.update_feature(update)).collect()
    }

    fn update_feature(&self, update: &FeatureUpdate) -> Result<MetadataRecord, ApiError> {
        let FeatureUpdate { feature, level, upgrade_type } = update;
        let refused = |why: String| {
            let message = format!("The feature {feature} cannot have the level {level}: {why}");
            Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message))
        };
        if *upgrade_type == UpgradeType::Unknown {
            return refused("there is no such type of upgrade.".to_string());
        }
        let Some(known) = features::known(feature) else {
            return refused("no broker knows the feature.".to_string());
        };
        if !known.contains(level) {
            return refused(format!("brokers know {} to {}.", known.start(), known.end()));
        }
        let now = features::level(&self.image().features, feature);
        if *level < now && *upgrade_type == UpgradeType::Upgrade {
            return refused(format!("it is {now}, and a downgrade was not asked for."));
        }
        if *level > now && *upgrade_type != UpgradeType::Upgrade {
            return refused(format!("it is {now}, and that would be no downgrade."));
        }
        Ok(MetadataRecord::FeatureLevel { name: feature.clone(), level: *level })
    }
}
