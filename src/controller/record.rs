use rkyv::{Archive, Deserialize, Serialize};

/// One decision of the controller, as it is kept on disk: new kinds come last and are no larger than the
/// largest, so that older logs can be read.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum MetadataRecord {
    TopicCreated {
        id: u128,
        name: String,
        /// Directory id (`directory.id` of `meta.properties`) of each partition.
        directories: Vec<String>,
        configs: Vec<(String, String)>,
    },
    PartitionsAdded {
        topic: u128,
        directories: Vec<String>,
    },
    TopicDeleted {
        id: u128,
    },
    /// Producer ids below this have been handed out.
    ProducerIds {
        next: i64,
    },
    /// Of each partition, where they are not 0.
    LeaderEpochs {
        topic: u128,
        epochs: Vec<i32>,
    },
    PartitionMoved {
        topic: u128,
        partition: u32,
        /// Id of the log directory it is in from now on.
        directory: String,
    },
    /// All settings of a topic that are not the broker's defaults.
    TopicConfigs {
        topic: u128,
        configs: Vec<(String, String)>,
    },
    /// All quotas that an entity has from now on, as the bits of their values.
    ClientQuotas {
        entity: Vec<(String, Option<String>)>,
        quotas: Vec<(String, u64)>,
    },
    FeatureLevel {
        name: String,
        level: i16,
    },
    /// So many decisions were made before: a log that was written anew begins with it.
    Epoch {
        epoch: u64,
    },
    /// All settings of a broker, a group or the like that were set while the broker runs.
    ResourceConfigs {
        /// Kafka's number of its type.
        kind: i8,
        name: String,
        configs: Vec<(String, String)>,
    },
}
