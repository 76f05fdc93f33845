//! What the cluster knows: topics, their partitions and configuration. Plain immutable data, seen
//! by everything above the wire; made by the controller alone.

mod image;
mod kafka_uuid;
mod name;
mod quotas;
mod settings;

pub use image::{MetadataImage, PartitionImage, TopicImage};
pub use kafka_uuid::{is_kafka_uuid, kafka_uuid, partition_metadata};
pub use name::TopicName;
pub use quotas::{ClientQuotas, QuotaEntity, QuotaMatch, Quotas};
pub use settings::{Resource, Settings};
