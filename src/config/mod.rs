//! The broker's configuration: a TOML file with Kafka's names, every key declared once in `keys`.

mod groups;
mod keys;
mod listener;
mod parse;
mod share;
mod transactions;

use std::path::PathBuf;

pub use groups::{Assignor, ConsumerLimits, GroupLimits, Migration};
pub use keys::{cores as parse_cores, Key, KEYS};
pub use listener::{parse_listeners, HostPort};
pub use parse::{load_file, parse_text, ConfigError};
pub use share::ShareLimits;
pub use transactions::TransactionLimits;

use crate::metadata::TopicConfig;

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
    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub socket_request_max_bytes: usize,
    pub max_connections: usize,
    pub connections_max_idle_ms: u64,
    pub retention_check_ms: u64,
    /// Most bytes of one partition's batches that share a journal's write; 0: no journal.
    pub journal_batch_bytes: usize,
    pub cleaner: bool,
    pub cleaner_backoff_ms: u64,
    /// Memory for keys, of all shards.
    pub cleaner_key_bytes: usize,
    /// Of each shard; 0: not bounded.
    pub cleaner_bytes_per_second: u64,
    pub move_bytes_per_second: u64,
    pub offsets_partitions: i32,
    pub offset_metadata_max_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_ms: u64,
    pub group_limits: GroupLimits,
    pub transactions: TransactionLimits,
    pub consumer_limits: ConsumerLimits,
    pub share_limits: ShareLimits,
    pub fetch_max_bytes: usize,
    pub fetch_session_slots: usize,
    pub topic_defaults: TopicConfig,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            node_id: 1,
            cluster_id: None,
            log_dirs: vec![PathBuf::from("./data")],
            failed_log_dirs: Vec::new(),
            listeners: vec![HostPort { host: "0.0.0.0".to_string(), port: 9092 }],
            advertised_listeners: Vec::new(),
            advertise: Advertise::Single,
            shards: None,
            cores: None,
            spin_before_park_us: 0,
            memory_bytes: None,
            auto_create_topics: true,
            num_partitions: 1,
            default_replication_factor: 1,
            socket_request_max_bytes: 100 << 20,
            max_connections: 100_000,
            connections_max_idle_ms: 600_000,
            retention_check_ms: 300_000,
            journal_batch_bytes: 16 << 10,
            cleaner: true,
            cleaner_backoff_ms: 15_000,
            cleaner_key_bytes: 128 << 20,
            cleaner_bytes_per_second: 0,
            move_bytes_per_second: 0,
            offsets_partitions: 50,
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
            topic_defaults: TopicConfig::default(),
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
            None => DEFAULT_SHARD_MEMORY.min(half_of_the_machine() / shards),
        }
    }
}

fn half_of_the_machine() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit.max(1)) / 2
}
