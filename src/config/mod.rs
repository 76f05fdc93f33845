//! The broker's configuration: tables of all settings that there are (`broker`, `topic`), files in TOML or
//! as Kafka's `server.properties` (`parse`), and the values in force as plain data.

pub mod broker;
pub mod client_metrics;
mod dynamic;
mod finish;
pub mod group;
mod groups;
pub mod layers;
mod listener;
pub mod near;
mod parse;
pub mod reference;
pub mod setting;
mod share;
pub mod topic;
mod topic_config;
mod transactions;
mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use dynamic::may_change;
pub use finish::Quorum;
pub use group::GroupConfig;
pub use groups::{Assignor, ConsumerLimits, GroupLimits, Migration};
pub use listener::{HostPort, NamedListener};
pub use parse::{load_file, parse_properties, parse_toml, ConfigError};
pub use setting::entries;
pub use share::ShareLimits;
pub use topic_config::{TimestampType, TopicConfig};
pub use transactions::TransactionLimits;
pub use units::{bytes, cores};

use crate::machine::{usable_memory, Root};

/// How clients are told to reach partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advertise {
    /// One address; requests are routed to the owning shard inside.
    Single,
    /// One port and one virtual node id per shard: clients connect to the owning core.
    PerShard,
}

/// Everything that can be set, with its value in force. Plain data, cloned to each shard.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// What the file and the command line say, by name.
    pub stated: BTreeMap<String, String>,
    pub quorum: Quorum,
    /// `listeners` and `advertised.listeners` as they are written, the controller's among them.
    pub named_listeners: Vec<NamedListener>,
    pub named_advertised: Vec<NamedListener>,
    /// Security protocols of listeners, by their names.
    pub protocols: BTreeMap<String, String>,
    pub node_id: i32,
    pub cluster_id: Option<String>,
    pub log_dirs: Vec<PathBuf>,
    /// Those of `log.dirs` that could not be opened at start.
    pub failed_log_dirs: Vec<PathBuf>,
    pub listeners: Vec<HostPort>,
    pub advertised_listeners: Vec<HostPort>,
    pub advertise: Advertise,
    pub shards: Option<usize>,
    pub cores: Option<Vec<usize>>,
    pub spin_before_park_us: u64,
    /// Bytes for the whole broker; `None`: see [`BrokerConfig::memory_per_shard`].
    pub memory_bytes: Option<u64>,
    pub auto_create_topics: bool,
    pub delete_topics: bool,
    /// Of one answer to DescribeTopicPartitions.
    pub max_request_partitions: usize,
    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub socket_request_max_bytes: usize,
    pub max_connections: usize,
    pub connections_max_idle_ms: u64,
    pub retention_check_ms: u64,
    /// Most bytes of one partition's batches that share a journal's write; 0: no journal.
    pub journal_batch_bytes: usize,
    /// Most bytes of a log that are written with zeros before they are needed; 0: none.
    pub clear_ahead_bytes: u64,
    pub cleaner: bool,
    pub cleaner_backoff_ms: u64,
    /// Memory for keys, of all shards.
    pub cleaner_key_bytes: usize,
    /// Of each shard; 0: not bounded.
    pub cleaner_bytes_per_second: u64,
    pub move_bytes_per_second: u64,
    pub offsets_partitions: i32,
    pub offsets_segment_bytes: i32,
    pub offset_metadata_max_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_ms: u64,
    pub group_limits: GroupLimits,
    pub transactions: TransactionLimits,
    pub consumer_limits: ConsumerLimits,
    pub share_limits: ShareLimits,
    pub fetch_max_bytes: usize,
    pub fetch_session_slots: usize,
    /// Of one push of a client's metrics.
    pub telemetry_max_bytes: i32,
    pub topic_defaults: TopicConfig,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        let everywhere = HostPort { host: "0.0.0.0".to_string(), port: 9092 };
        let name = listener::PLAINTEXT.to_string();
        BrokerConfig {
            stated: BTreeMap::new(),
            quorum: Quorum::default(),
            named_listeners: vec![NamedListener { name, address: everywhere.clone() }],
            named_advertised: Vec::new(),
            protocols: listener::usual_protocols(),
            node_id: 1,
            cluster_id: None,
            log_dirs: vec![PathBuf::from("./data")],
            failed_log_dirs: Vec::new(),
            listeners: vec![everywhere],
            advertised_listeners: Vec::new(),
            advertise: Advertise::Single,
            shards: None,
            cores: None,
            spin_before_park_us: 0,
            memory_bytes: None,
            auto_create_topics: true,
            delete_topics: true,
            max_request_partitions: 2000,
            num_partitions: 1,
            default_replication_factor: 1,
            socket_request_max_bytes: 100 << 20,
            max_connections: 100_000,
            connections_max_idle_ms: 600_000,
            retention_check_ms: 300_000,
            journal_batch_bytes: 16 << 10,
            clear_ahead_bytes: 256 << 10,
            cleaner: true,
            cleaner_backoff_ms: 15_000,
            cleaner_key_bytes: 128 << 20,
            cleaner_bytes_per_second: 0,
            move_bytes_per_second: 0,
            offsets_partitions: 50,
            offsets_segment_bytes: 100 << 20,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_ms: 600_000,
            group_limits: GroupLimits {
                initial_rebalance_delay_ms: 3_000,
                min_session_timeout_ms: 6_000,
                max_session_timeout_ms: 1_800_000,
                max_size: i32::MAX as usize,
            },
            transactions: TransactionLimits::default(),
            consumer_limits: ConsumerLimits::default(),
            share_limits: ShareLimits::default(),
            fetch_max_bytes: 55 << 20,
            fetch_session_slots: 1000,
            telemetry_max_bytes: 1 << 20,
            topic_defaults: TopicConfig::default(),
        }
    }
}

/// # Errors
/// A value is not between its bounds.
fn within(name: &str, value: i32, (least, most): (i32, i32)) -> Result<(), String> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => {
            Err(format!("{name} = {value} is not between its min, {least}, and its max, {most}"))
        }
    }
}

/// What a shard gets unless `memory` says otherwise. Little, on purpose: memory that is used again
/// and again stays in the caches and is touched for the first time once, which costs more than half
/// of the throughput while it lasts. More helps where consumers are seconds behind.
const DEFAULT_SHARD_MEMORY: u64 = 512 << 20;

impl BrokerConfig {
    /// Bytes for the requests and caches of each of `shards` shards.
    pub fn memory_per_shard(&self, shards: usize) -> u64 {
        let shards = shards.max(1) as u64;
        match self.memory_bytes {
            Some(bytes) => bytes / shards,
            None => default_shard_memory(usable_memory(&Root::new("/")), shards),
        }
    }
}

/// At most half of what the process may use: connections, indexes and the page cache want the rest.
fn default_shard_memory(usable: Option<u64>, shards: u64) -> u64 {
    let half = usable.map_or(u64::MAX, |bytes| bytes / 2 / shards);
    DEFAULT_SHARD_MEMORY.min(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_machine_or_cgroup_makes_the_default_memory_less() {
        assert_eq!(default_shard_memory(None, 4), DEFAULT_SHARD_MEMORY);
        assert_eq!(default_shard_memory(Some(64 << 30), 4), DEFAULT_SHARD_MEMORY);
        assert_eq!(default_shard_memory(Some(1 << 30), 4), 128 << 20);
        let stated = BrokerConfig { memory_bytes: Some(1 << 30), ..BrokerConfig::default() };
        assert_eq!(stated.memory_per_shard(2), 512 << 20, "what is stated counts");
    }
}
