use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use corelane_shards::runtime::ShardId;
use uuid::Uuid;

use super::{ClientQuotas, Settings, TopicName};
use crate::config::{BrokerConfig, TopicConfig};
use crate::wire::features::FeatureLevels;

/// The cluster at one moment: immutable, shared by all shards; a change makes a new one. Cheap to clone:
/// the first change after that copies the maps.
#[derive(Debug, Clone, Default)]
pub struct MetadataImage {
    /// Counts the changes.
    pub epoch: u64,
    pub topics: Arc<BTreeMap<TopicName, Arc<TopicImage>>>,
    pub by_id: Arc<HashMap<Uuid, Arc<TopicImage>>>,
    pub quotas: Arc<ClientQuotas>,
    pub features: FeatureLevels,
    /// The broker's settings in force: the file's, with what was set while it runs over them.
    pub broker: Arc<BrokerConfig>,
    /// What was set while it runs.
    pub settings: Arc<Settings>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TopicImage {
    pub id: Uuid,
    pub name: TopicName,
    pub partitions: Vec<PartitionImage>,
    /// In force: the broker's defaults with the topic's own settings over them.
    pub config: TopicConfig,
    /// What was set for this topic.
    pub overrides: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionImage {
    pub leader_epoch: i32,
    /// Index into the broker's log directories.
    pub log_dir: usize,
    /// Owner in this run of the process; computed, never stored.
    pub shard: ShardId,
}

impl MetadataImage {
    pub fn insert(&mut self, topic: TopicImage) {
        let topic = Arc::new(topic);
        Arc::make_mut(&mut self.topics).insert(topic.name.clone(), Arc::clone(&topic));
        Arc::make_mut(&mut self.by_id).insert(topic.id, topic);
    }

    pub fn remove(&mut self, id: Uuid) -> Option<Arc<TopicImage>> {
        let topic = Arc::make_mut(&mut self.by_id).remove(&id)?;
        Arc::make_mut(&mut self.topics).remove(&topic.name);
        Some(topic)
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// A partition's directory name, as Kafka has it.
    pub fn partition_dir(topic: &TopicName, partition: usize) -> String {
        format!("{topic}-{partition}")
    }
}
