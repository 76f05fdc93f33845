//! The controller's decisions, as a pure state machine: commands in, records and answers out.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_shards::runtime::ShardId;
use uuid::Uuid;

use super::quotas;
use super::record::MetadataRecord;
use crate::config::{BrokerConfig, TopicConfig};
use crate::metadata::{MetadataImage, PartitionImage, Resource, TopicImage, TopicName};
use crate::wire::{ErrorCode, NO_SUCH_PARTITION};

/// Producer ids handed to a shard at once, as in Kafka.
pub const PRODUCER_ID_BLOCK: i64 = 1000;
/// Most partitions one request may create, over all its topics, as in Kafka.
pub(super) const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;

/// The topic of Kafka's own metadata log.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A Kafka error with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: ErrorCode,
    pub message: String,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError { code, message: message.into() }
    }
}

/// A topic as a client asks for it.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    /// −1: the broker's default.
    pub partitions: i32,
    /// −1: the broker's default.
    pub replication_factor: i16,
    /// Replicas of each partition, chosen by the client; empty: the controller chooses.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTopic {
    pub id: Uuid,
    pub partitions: usize,
    pub config: BTreeMap<String, String>,
}

/// A topic to delete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicSelector {
    Name(String),
    Id(Uuid),
}

/// What partitions can be placed on: fixed for one run of the process.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Directory ids of the log directories, in the configuration's order; those that only
    /// partitions know of follow.
    pub directories: Vec<String>,
    /// How many of them are there.
    pub online: usize,
    pub shards: usize,
    pub node_id: i32,
    pub num_partitions: i32,
    /// As the file has it.
    pub config: Arc<BrokerConfig>,
}

/// See the module's head. Owned by the control thread. A clone is what it was, whatever is decided then.
#[derive(Clone)]
pub struct Controller {
    pub(super) image: MetadataImage,
    next_producer_id: i64,
    pub(super) placement: Placement,
    by_directory: Vec<usize>,
    /// Free bytes of each directory, as they were told last.
    free_space: Vec<u64>,
    by_shard: Vec<usize>,
    /// Names that could collide with others, see [`TopicName::collision_key`].
    collisions: BTreeMap<String, TopicName>,
}

impl Controller {
    /// The state that `records` stand for.
    ///
    /// # Errors
    /// A record does not fit those before it.
    pub fn load(placement: Placement, records: &[MetadataRecord]) -> Result<Controller, String> {
        let mut controller = Controller {
            image: MetadataImage {
                broker: Arc::clone(&placement.config),
                ..MetadataImage::default()
            },
            next_producer_id: 0,
            by_directory: vec![0; placement.directories.len()],
            free_space: Vec::new(),
            by_shard: vec![0; placement.shards],
            collisions: BTreeMap::new(),
            placement,
        };
        for record in records {
            controller.apply(record)?;
        }
        Ok(controller)
    }

    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The settings of topics that have none of their own.
    pub fn topic_defaults(&self) -> &TopicConfig {
        &self.image.broker.topic_defaults
    }

    /// The fewest records that stand for this state.
    pub fn records(&self) -> Vec<MetadataRecord> {
        let topic = |topic: &TopicImage| MetadataRecord::TopicCreated {
            id: topic.id.as_u128(),
            name: topic.name.to_string(),
            directories: topic.partitions.iter().map(|p| self.directory(p.log_dir)).collect(),
            configs: topic.overrides.clone().into_iter().collect(),
        };
        let epochs = |topic: &TopicImage| {
            let epochs: Vec<i32> = topic.partitions.iter().map(|p| p.leader_epoch).collect();
            let any = epochs.iter().any(|epoch| *epoch != 0);
            any.then_some(MetadataRecord::LeaderEpochs { topic: topic.id.as_u128(), epochs })
        };
        let topics = self.image.topics.values();
        let mut out: Vec<_> =
            topics.flat_map(|t| std::iter::once(topic(t)).chain(epochs(t))).collect();
        out.push(MetadataRecord::ProducerIds { next: self.next_producer_id });
        let quotas = self.image.quotas.iter();
        out.extend(quotas.map(|(entity, quotas)| quotas::record(entity, quotas)));
        let level = |(name, level): (&String, &i16)| MetadataRecord::FeatureLevel {
            name: name.clone(),
            level: *level,
        };
        out.extend(self.image.features.iter().map(level));
        out.extend(self.settings_records());
        out.push(MetadataRecord::Epoch { epoch: self.image.epoch });
        out
    }

    fn directory(&self, index: usize) -> String {
        self.placement.directories[index].clone()
    }

    /// Puts a decision in force. Decisions of our own always fit.
    ///
    /// # Errors
    /// The record does not fit the state or the configured directories.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), String> {
        match record {
            MetadataRecord::TopicCreated { id, name, directories, configs } => {
                let overrides: BTreeMap<_, _> = configs.iter().cloned().collect();
                let topic = TopicImage {
                    id: Uuid::from_u128(*id),
                    name: TopicName::parse(name)?,
                    partitions: self.place(directories),
                    config: self.topic_defaults().with(&overrides)?,
                    overrides,
                };
                if topic.name.may_collide() {
                    self.collisions.insert(topic.name.collision_key(), topic.name.clone());
                }
                self.image.insert(topic);
            }
            MetadataRecord::PartitionsAdded { topic, directories } => {
                let mut topic = self.known(*topic)?;
                topic.partitions.append(&mut self.place(directories));
                self.image.insert(topic);
            }
            MetadataRecord::TopicDeleted { id } => {
                if let Some(topic) = self.image.remove(Uuid::from_u128(*id)) {
                    self.collisions.remove(&topic.name.collision_key());
                    for partition in &topic.partitions {
                        self.by_directory[partition.log_dir] -= 1;
                        self.by_shard[partition.shard.index()] -= 1;
                    }
                }
            }
            MetadataRecord::LeaderEpochs { topic, epochs } => {
                let mut topic = self.known(*topic)?;
                for (partition, epoch) in topic.partitions.iter_mut().zip(epochs) {
                    partition.leader_epoch = *epoch;
                }
                self.image.insert(topic);
            }
            MetadataRecord::PartitionMoved { topic: id, partition, directory } => {
                let mut topic = self.known(*id)?;
                let to = self.directory_number(directory);
                let place = topic.partitions.get_mut(*partition as usize);
                let place = place.ok_or_else(|| format!("topic {id:x} has no such partition"))?;
                self.by_directory[place.log_dir] -= 1;
                self.by_directory[to] += 1;
                // Its shard stays: which one owns it is looked at again at the next start.
                place.log_dir = to;
                self.image.insert(topic);
            }
            MetadataRecord::TopicConfigs { topic, configs } => {
                let mut topic = self.known(*topic)?;
                topic.overrides = configs.iter().cloned().collect();
                topic.config = self.topic_defaults().with(&topic.overrides)?;
                self.image.insert(topic);
            }
            MetadataRecord::ProducerIds { next } => self.next_producer_id = *next,
            MetadataRecord::ResourceConfigs { kind, name, configs } => {
                self.put_settings(Resource::parse(*kind, name)?, configs.iter().cloned().collect());
            }
            MetadataRecord::ClientQuotas { entity, quotas } => {
                let values =
                    quotas.iter().map(|(name, bits)| (name.clone(), f64::from_bits(*bits)));
                let entity = entity.iter().cloned().collect();
                Arc::make_mut(&mut self.image.quotas).set(entity, values.collect());
            }
            MetadataRecord::FeatureLevel { name, level } => {
                self.image.features.insert(name.clone(), *level);
            }
            MetadataRecord::Epoch { epoch } => {
                self.image.epoch = *epoch;
                return Ok(());
            }
        }
        self.image.epoch += 1;
        Ok(())
    }

    /// A topic as it is, to be changed.
    fn known(&self, id: u128) -> Result<TopicImage, String> {
        let id = Uuid::from_u128(id);
        let topic = self.image.by_id.get(&id).map(|topic| (**topic).clone());
        topic.ok_or_else(|| format!("topic {id} is not there"))
    }

    /// Gives each partition to a shard: directories are spread over the shards as far as there
    /// are as many, and beyond that the shard with the fewest partitions gets the next.
    fn place(&mut self, directories: &[String]) -> Vec<PartitionImage> {
        let mut out = Vec::with_capacity(directories.len());
        for id in directories {
            let log_dir = self.directory_number(id);
            self.by_directory[log_dir] += 1;
            let shard = self.shard_for(log_dir);
            self.by_shard[shard] += 1;
            out.push(PartitionImage { leader_epoch: 0, log_dir, shard: ShardId::new(shard) });
        }
        out
    }

    fn directory_number(&mut self, id: &str) -> usize {
        let known = self.placement.directories.iter().position(|d| d == id);
        known.unwrap_or_else(|| self.note_missing(id))
    }

    fn shard_for(&self, log_dir: usize) -> usize {
        let (dirs, shards) = (self.placement.online, self.placement.shards);
        // As many directories as shards or more: a directory belongs to one shard alone.
        if dirs >= shards {
            return log_dir % shards;
        }
        // Fewer: each directory has its own group of shards.
        let group = (0..shards).filter(|shard| shard % dirs == log_dir);
        group.min_by_key(|shard| (self.by_shard[*shard], *shard)).unwrap_or(0)
    }

    /// A directory that is not there: its partitions are offline, none is placed on it.
    fn note_missing(&mut self, id: &str) -> usize {
        tracing::error!(
            directory_id = id,
            "partitions lie in a log directory that is not there: they are offline until it is \
             in log.dirs again and the broker is restarted"
        );
        self.placement.directories.push(id.to_string());
        self.by_directory.push(0);
        self.placement.directories.len() - 1
    }

    /// Tells how many bytes are free in each directory, in the order of the configuration.
    pub fn set_free_space(&mut self, bytes: impl Iterator<Item = u64>) {
        self.free_space = bytes.collect();
    }

    fn choose_directories(&self, count: usize) -> Vec<String> {
        let mut load = self.by_directory[..self.placement.online].to_vec();
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            // The most space for each partition that shares it, this one included.
            let space = |at: &usize| {
                let free = self.free_space.get(*at).copied().unwrap_or(0);
                (free / (load[*at] as u64 + 1), std::cmp::Reverse((load[*at], *at)))
            };
            let best = (0..load.len()).max_by_key(space).unwrap_or(0);
            load[best] += 1;
            out.push(self.directory(best));
        }
        out
    }

    /// Decides about one new topic.
    ///
    /// # Errors
    /// Kafka's code and words.
    pub fn create_topic(
        &self,
        topic: &NewTopic,
        id: Uuid,
    ) -> Result<(MetadataRecord, CreatedTopic), ApiError> {
        let name = TopicName::parse(&topic.name)
            .map_err(|why| ApiError::new(ErrorCode::InvalidTopicException, why))?;
        if name.as_str() == CLUSTER_METADATA {
            let message = format!("{CLUSTER_METADATA} cannot be created: it is internal.");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        if self.image.topics.contains_key(&name) {
            let message = format!("Topic '{name}' already exists.");
            return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
        }
        self.check_collision(&name)?;
        let overrides = overrides(&topic.configs)?;
        self.topic_defaults()
            .with_new(&overrides)
            .map_err(|why| ApiError::new(ErrorCode::InvalidConfig, why))?;
        let partitions = self.partition_count(topic)?;
        let record = MetadataRecord::TopicCreated {
            id: id.as_u128(),
            name: name.to_string(),
            directories: self.choose_directories(partitions),
            configs: overrides.clone().into_iter().collect(),
        };
        Ok((record, CreatedTopic { id, partitions, config: overrides }))
    }

    fn check_collision(&self, name: &TopicName) -> Result<(), ApiError> {
        if !name.may_collide() {
            return Ok(());
        }
        match self.collisions.get(&name.collision_key()) {
            None => Ok(()),
            Some(other) => Err(ApiError::new(
                ErrorCode::InvalidTopicException,
                format!("Topic '{name}' collides with existing topic: {other}"),
            )),
        }
    }

    fn partition_count(&self, topic: &NewTopic) -> Result<usize, ApiError> {
        if !topic.assignments.is_empty() {
            return self.manual_partition_count(topic);
        }
        if topic.replication_factor != -1 && topic.replication_factor != 1 {
            return Err(match topic.replication_factor {
                factor if factor > 1 => ApiError::new(
                    ErrorCode::InvalidReplicationFactor,
                    format!(
                        "Unable to replicate the partition {factor} time(s): only 1 broker(s) \
                         are registered."
                    ),
                ),
                _ => ApiError::new(
                    ErrorCode::InvalidReplicationFactor,
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ),
            });
        }
        match topic.partitions {
            -1 => Ok(self.placement.num_partitions as usize),
            count if count < 1 => Err(ApiError::new(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            )),
            count => Ok(count as usize),
        }
    }

    fn manual_partition_count(&self, topic: &NewTopic) -> Result<usize, ApiError> {
        let invalid = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
        if topic.partitions != -1 || topic.replication_factor != -1 {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions or \
                 replicationFactor was not set to -1.",
            ));
        }
        let mut numbers: Vec<i32> = topic.assignments.iter().map(|(n, _)| *n).collect();
        numbers.sort_unstable();
        if numbers.iter().enumerate().any(|(at, number)| *number != at as i32) {
            return Err(invalid("partitions should be a consecutive 0-based sequence".to_string()));
        }
        for (number, replicas) in &topic.assignments {
            if replicas[..] != [self.placement.node_id] {
                return Err(invalid(format!(
                    "The manual partition assignment of partition {number} includes brokers that \
                     are not registered: {replicas:?}"
                )));
            }
        }
        Ok(numbers.len())
    }

    /// Decides about a deletion.
    ///
    /// # Errors
    /// Kafka's code and words.
    pub fn delete_topic(
        &self,
        topic: &TopicSelector,
    ) -> Result<(MetadataRecord, TopicName, Uuid), ApiError> {
        let found = match topic {
            TopicSelector::Name(name) => self.image.by_name(name).ok_or_else(|| {
                ApiError::new(ErrorCode::UnknownTopicOrPartition, NO_SUCH_PARTITION)
            }),
            TopicSelector::Id(id) => self.image.by_id.get(id).ok_or_else(|| {
                ApiError::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")
            }),
        }?;
        let record = MetadataRecord::TopicDeleted { id: found.id.as_u128() };
        Ok((record, found.name.clone(), found.id))
    }

    /// Decides that a partition belongs to another log directory, where its log is already.
    ///
    /// # Errors
    /// There is no such partition (any more), or no such directory.
    pub fn move_partition(
        &self,
        topic: Uuid,
        partition: i32,
        to: usize,
    ) -> Result<MetadataRecord, ApiError> {
        let found = self.image.by_id.get(&topic);
        let place = usize::try_from(partition).ok().and_then(|at| found?.partitions.get(at));
        if place.is_none() {
            let message = "The partition was deleted.";
            return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message));
        }
        if to >= self.placement.online {
            let message = "The log directory is not there.";
            return Err(ApiError::new(ErrorCode::LogDirNotFound, message));
        }
        Ok(MetadataRecord::PartitionMoved {
            topic: topic.as_u128(),
            partition: partition as u32,
            directory: self.directory(to),
        })
    }

    /// Whether the topics of one request have no more partitions than it may create.
    ///
    /// # Errors
    /// They have: none of them is to be created.
    pub fn check_new_partitions(&self, topics: &[NewTopic]) -> Result<(), ApiError> {
        let of = |topic: &NewTopic| match (&topic.assignments[..], topic.partitions) {
            ([], -1) => i64::from(self.placement.num_partitions),
            ([], count) => i64::from(count.max(0)),
            (assigned, _) => assigned.len() as i64,
        };
        match topics.iter().map(of).sum::<i64>() > MAX_PARTITIONS_PER_REQUEST {
            true => Err(too_many_partitions()),
            false => Ok(()),
        }
    }

    /// How many partitions a request may still add, once a topic of it has `count`.
    ///
    /// # Errors
    /// It may not add these.
    pub fn partitions_left(&self, left: i64, topic: &str, count: i32) -> Result<i64, ApiError> {
        let Some(topic) = self.image.by_name(topic) else { return Ok(left) };
        match left - (i64::from(count) - topic.partitions.len() as i64).max(0) {
            below if below < 0 => Err(too_many_partitions()),
            left => Ok(left),
        }
    }

    /// Decides about more partitions: `count` is the new total.
    ///
    /// # Errors
    /// Kafka's code and words.
    pub fn create_partitions(
        &self,
        name: &str,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
    ) -> Result<MetadataRecord, ApiError> {
        let topic = self
            .image
            .by_name(name)
            .ok_or_else(|| ApiError::new(ErrorCode::UnknownTopicOrPartition, NO_SUCH_PARTITION))?;
        let have = topic.partitions.len() as i64;
        let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
        if i64::from(count) == have {
            return invalid(format!("Topic already has {have} partition(s)."));
        }
        if i64::from(count) < have {
            return invalid(format!(
                "The topic {name} currently has {have} partition(s); {count} would not be an \
                 increase."
            ));
        }
        let added = i64::from(count) - have;
        if added > MAX_PARTITIONS_PER_REQUEST {
            return Err(too_many_partitions());
        }
        if let Some(assignments) = assignments {
            let fits = assignments.len() as i64 == added
                && assignments.iter().all(|replicas| replicas[..] == [self.placement.node_id]);
            if !fits {
                let message = format!(
                    "The assignment must name one registered broker for each of the {added} added \
                     partition(s)."
                );
                return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
            }
        }
        let directories = self.choose_directories(added as usize);
        Ok(MetadataRecord::PartitionsAdded { topic: topic.id.as_u128(), directories })
    }

    /// The next block of producer ids: its first id and the record that takes it.
    pub fn allocate_producer_ids(&self) -> (i64, MetadataRecord) {
        let next = self.next_producer_id + PRODUCER_ID_BLOCK;
        (self.next_producer_id, MetadataRecord::ProducerIds { next })
    }
}

fn too_many_partitions() -> ApiError {
    let message =
        format!("One request may create {MAX_PARTITIONS_PER_REQUEST} partitions at most.");
    ApiError::new(ErrorCode::PolicyViolation, message)
}

fn overrides(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut out = BTreeMap::new();
    for (name, value) in configs {
        let value = value.clone().ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidConfig,
                format!("Null value not supported for topic configs: {name}"),
            )
        })?;
        out.insert(name.clone(), value);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(directories: usize, shards: usize) -> Controller {
        let placement = Placement {
            directories: (0..directories).map(|n| format!("dir{n}")).collect(),
            online: directories,
            shards,
            node_id: 1,
            num_partitions: 3,
            config: Arc::default(),
        };
        Controller::load(placement, &[]).expect("empty")
    }

    fn topic(name: &str, partitions: i32) -> NewTopic {
        NewTopic {
            name: name.to_string(),
            partitions,
            replication_factor: -1,
            ..Default::default()
        }
    }

    fn create(controller: &mut Controller, name: &str, partitions: i32) {
        let id = Uuid::from_u128(u128::from(crc32c::crc32c(name.as_bytes())) + 1);
        let (record, _) = controller.create_topic(&topic(name, partitions), id).expect(name);
        controller.apply(&record).expect("fits");
    }

    #[test]
    fn each_mistake_has_kafkas_code() {
        let mut c = controller(1, 2);
        create(&mut c, "a.b", 1);
        let code = |t: NewTopic| c.create_topic(&t, Uuid::nil()).expect_err("a mistake").code;
        assert_eq!(code(topic("a.b", 1)), ErrorCode::TopicAlreadyExists);
        assert_eq!(code(topic("a_b", 1)), ErrorCode::InvalidTopicException);
        assert_eq!(code(topic("a/b", 1)), ErrorCode::InvalidTopicException);
        assert_eq!(code(topic("x", 0)), ErrorCode::InvalidPartitions);
        assert_eq!(code(topic("__cluster_metadata", 1)), ErrorCode::InvalidRequest);
        let many = c.check_new_partitions(&[topic("x", 6_000), topic("y", 6_000)]);
        assert_eq!(many.map_err(|error| error.code), Err(ErrorCode::PolicyViolation));
        assert!(c.check_new_partitions(&[topic("x", 10_000)]).is_ok());
        assert_eq!(c.partitions_left(3, "a.b", 4).map_err(|error| error.code), Ok(0));
        let more = c.partitions_left(3, "a.b", 5).map_err(|error| error.code);
        assert_eq!(more, Err(ErrorCode::PolicyViolation));
        let with = |f: fn(&mut NewTopic)| {
            let mut t = topic("x", 1);
            f(&mut t);
            t
        };
        assert_eq!(code(with(|t| t.replication_factor = 3)), ErrorCode::InvalidReplicationFactor);
        assert_eq!(code(with(|t| t.assignments = vec![(0, vec![1])])), ErrorCode::InvalidRequest);
        let assigned = |a| {
            let mut t = topic("x", -1);
            t.assignments = a;
            t
        };
        assert_eq!(code(assigned(vec![(1, vec![1])])), ErrorCode::InvalidReplicaAssignment);
        assert_eq!(code(assigned(vec![(0, vec![7])])), ErrorCode::InvalidReplicaAssignment);
        let bad = |k: &str, v: Option<&str>| {
            let mut t = topic("x", 1);
            t.configs = vec![(k.to_string(), v.map(str::to_string))];
            t
        };
        assert_eq!(code(bad("nonsense", Some("1"))), ErrorCode::InvalidConfig);
        assert_eq!(code(bad("segment.bytes", Some("x"))), ErrorCode::InvalidConfig);
        assert_eq!(code(bad("segment.bytes", None)), ErrorCode::InvalidConfig);
        let add = |n, count| c.create_partitions(n, count, None).expect_err("a mistake").code;
        assert_eq!(add("none", 2), ErrorCode::UnknownTopicOrPartition);
        assert_eq!(add("a.b", 1), ErrorCode::InvalidPartitions);
        assert_eq!(add("a.b", 0), ErrorCode::InvalidPartitions);
        let unknown = c.delete_topic(&TopicSelector::Id(Uuid::nil())).expect_err("a mistake");
        assert_eq!(unknown.code, ErrorCode::UnknownTopicId);
    }

    #[test]
    fn partitions_are_spread_over_directories_and_shards() {
        for (directories, shards) in [(1, 1), (1, 4), (2, 4), (4, 2), (3, 3)] {
            let mut c = controller(directories, shards);
            create(&mut c, "t", 24);
            for load in [&c.by_directory, &c.by_shard] {
                let (low, high) = (load.iter().min(), load.iter().max());
                assert!(high.zip(low).is_some_and(|(h, l)| h - l <= 1), "{load:?}");
            }
        }
    }

    #[test]
    fn partitions_go_where_the_space_is() {
        let mut controller = controller(3, 2);
        controller.set_free_space([100, 300, 0].into_iter());
        let chosen = controller.choose_directories(8);
        let count = |dir: &str| chosen.iter().filter(|chosen| *chosen == dir).count();
        assert_eq!([count("dir0"), count("dir1"), count("dir2")], [2, 6, 0]);
        controller.set_free_space([500, 500, 500].into_iter());
        let chosen = controller.choose_directories(6);
        assert_eq!(chosen[..3], ["dir0", "dir1", "dir2"]);
    }

    #[test]
    fn a_random_history_is_the_same_after_a_reload() {
        for seed in 0..50u64 {
            let mut c = controller(2, 3);
            let mut log = Vec::new();
            let mut model: BTreeMap<String, usize> = BTreeMap::new();
            let mut random = seed;
            for step in 0..200 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(step);
                let name = format!("t{}", (random >> 33) % 12);
                let record = match (random >> 40) % 3 {
                    0 => c.create_topic(&topic(&name, 2), Uuid::from_u128(random.into())).map(
                        |(r, _)| {
                            model.insert(name, 2);
                            r
                        },
                    ),
                    1 => c.delete_topic(&TopicSelector::Name(name.clone())).map(|(r, ..)| {
                        model.remove(&name);
                        r
                    }),
                    _ => {
                        let count = model.get(&name).copied().unwrap_or(0) + 1;
                        c.create_partitions(&name, count as i32, None).inspect(|_| {
                            model.insert(name, count);
                        })
                    }
                };
                if let Ok(record) = record {
                    c.apply(&record).expect("fits");
                    log.push(record);
                }
            }
            for records in [log, c.records()] {
                let again = Controller::load(c.placement.clone(), &records).expect("loads");
                let counts: BTreeMap<String, usize> = again
                    .image
                    .topics
                    .iter()
                    .map(|(name, topic)| (name.to_string(), topic.partitions.len()))
                    .collect();
                assert_eq!(counts, model, "seed {seed}");
                assert_eq!(again.by_directory, c.by_directory);
            }
        }
    }
}
