//! What tests of the state machine are made of.

use std::collections::BTreeMap;

use super::*;
use crate::config::TopicConfig;
use crate::metadata::{MetadataImage, PartitionImage, TopicImage, TopicName};

/// Id and number of partitions, by name.
pub type Topics = BTreeMap<&'static str, (u128, i32)>;

pub fn image(epoch: u64, topics: &Topics) -> MetadataImage {
    let mut image = MetadataImage { epoch, ..MetadataImage::default() };
    for (name, (id, count)) in topics {
        let shard = corelane_shards::runtime::ShardId::new(0);
        let partition = PartitionImage { leader_epoch: 0, log_dir: 0, shard };
        image.insert(TopicImage {
            id: Uuid::from_u128(*id),
            name: TopicName::parse(name).expect("a name"),
            partitions: vec![partition; *count as usize],
            config: TopicConfig::default(),
            overrides: BTreeMap::new(),
        });
    }
    image
}

/// A heartbeat that says nothing.
pub fn beat(member: &str, epoch: i32) -> Beat {
    Beat {
        member_id: member.to_string(),
        fresh_id: "fresh".to_string(),
        epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: None,
        topics: None,
        regex: None,
        assignor: None,
        owned: None,
        client_id: "client".to_string(),
        client_host: "/127.0.0.1".to_string(),
    }
}
