//! Settings of single groups (`consumer.*`, `share.*`): put in force as a metadata image brings them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Shard;
use crate::config::{GroupConfig, ShareLimits};
use crate::metadata::{MetadataImage, Resource};

impl Shard {
    /// Puts the groups' settings of `image` in force; called before anything of it is loaded.
    pub(super) fn apply_group_settings(&self, image: &MetadataImage) {
        let before = self.image();
        if Arc::ptr_eq(&before.settings, &image.settings) {
            return;
        }
        let mut own = BTreeMap::new();
        for (resource, values) in image.settings.iter() {
            let Resource::Group(name) = resource else { continue };
            match GroupConfig::new(&image.broker, values) {
                Ok(config) => drop(own.insert(name.clone(), config)),
                Err(why) => {
                    tracing::warn!(group = name, "the group's settings are left out: {why}")
                }
            }
        }
        let share = own.iter().map(|(name, config)| (name.clone(), config.share)).collect();
        self.shares
            .set_limits(|group| own.get(group).map_or(image.broker.share_limits, |c| c.share));
        self.share_groups.set_own_limits(share);
        let consumer = own.into_iter().map(|(name, config)| (name, config.consumer)).collect();
        self.consumers.set_own_limits(consumer);
    }

    /// What holds for a share group.
    pub fn share_limits(&self, group: &str) -> ShareLimits {
        let image = self.image();
        let own = image.settings.get(&Resource::Group(group.to_string()));
        match own.is_empty() {
            true => image.broker.share_limits,
            false => GroupConfig::new(&image.broker, own)
                .map_or(image.broker.share_limits, |config| config.share),
        }
    }
}
