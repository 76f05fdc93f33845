use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use corelane_shards::runtime::ShardId;
use uuid::Uuid;

use super::{ClientQuotas, Settings, TopicName};
use crate::config::client_metrics::Subscriptions;
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
    /// What clients are to report, by those settings.
    pub client_metrics: Arc<Subscriptions>,
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

    /// Topics that are new or other than in `before`, and those that are gone since.
    pub fn changes_since<'a>(
        &'a self,
        before: &'a MetadataImage,
    ) -> (Vec<&'a Arc<TopicImage>>, Vec<&'a Arc<TopicImage>>) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        let mut old = before.topics.iter().peekable();
        for (name, topic) in self.topics.iter() {
            while let Some((_, topic)) = old.next_if(|(old, _)| *old < name) {
                gone.push(topic);
            }
            match old.next_if(|(old, _)| *old == name) {
                Some((_, same)) if Arc::ptr_eq(same, topic) => {}
                Some((_, other)) => {
                    if other.id != topic.id {
                        gone.push(other);
                    }
                    changed.push(topic);
                }
                None => changed.push(topic),
            }
        }
        gone.extend(old.map(|(_, topic)| topic));
        (changed, gone)
    }

    /// A partition's directory name, as Kafka has it.
    pub fn partition_dir(topic: &TopicName, partition: usize) -> String {
        format!("{topic}-{partition}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128) -> TopicImage {
        TopicImage {
            id: Uuid::from_u128(id),
            name: TopicName::parse(name).expect("a name"),
            partitions: Vec::new(),
            config: TopicConfig::default(),
            overrides: BTreeMap::new(),
        }
    }

    #[test]
    fn what_differs_between_two_images_is_found() {
        let mut before = MetadataImage::default();
        for (at, name) in ["a", "b", "d", "e", "g"].into_iter().enumerate() {
            before.insert(topic(name, at as u128));
        }
        let mut now = before.clone();
        assert!(now.changes_since(&before).0.is_empty());
        now.remove(Uuid::from_u128(0));
        now.remove(Uuid::from_u128(3));
        now.remove(Uuid::from_u128(4));
        now.insert(topic("b", 1));
        now.insert(topic("c", 10));
        now.insert(topic("e", 11));
        now.insert(topic("h", 12));
        let (changed, gone) = now.changes_since(&before);
        let names = |topics: Vec<&Arc<TopicImage>>| -> String {
            topics.iter().map(|topic| topic.name.as_str()).collect()
        };
        assert_eq!((names(changed), names(gone)), ("bceh".to_string(), "aeg".to_string()));
    }
}
