//! The one list of configuration keys: what a file may say, how each value is read, and the text
//! that stands beside it in `config/corelane.toml`.

use std::path::PathBuf;

use super::{parse_listeners, Advertise, Assignor, BrokerConfig, Migration};
use crate::metadata::TOPIC_KEYS;

/// How a key's value (as text) is put in force; the error says what is allowed.
type Set = fn(&mut BrokerConfig, &str) -> Result<(), String>;

/// One key of the configuration file.
pub struct Key {
    pub name: &'static str,
    pub default: &'static str,
    pub doc: &'static str,
    pub set: Set,
}

const fn key(name: &'static str, default: &'static str, doc: &'static str, set: Set) -> Key {
    Key { name, default, doc, set }
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    text: &str,
    low: T,
    high: T,
) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(value) if value >= low && value <= high => Ok(value),
        _ => Err(format!("a whole number from {low} to {high} is allowed")),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "true or false is allowed".to_string())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Bytes as a number with an optional unit: `65536`, `64KiB`, `512MiB`, `4GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "bytes are allowed, as 4294967296, 512MiB or 4GiB".to_string();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads a list of cores: `0,2,4-7`.
pub fn cores(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || "core numbers are allowed, as 0,2,4-7".to_string();
    let mut out = Vec::new();
    for part in list(text) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let low: usize = low.parse().map_err(|_| wrong())?;
        let high: usize = high.parse().map_err(|_| wrong())?;
        if low > high || high > 4095 {
            return Err(wrong());
        }
        out.extend(low..=high);
    }
    if out.is_empty() {
        Err(wrong())
    } else {
        Ok(out)
    }
}

/// All keys of the broker itself. Defaults of topics follow in [`TOPIC_KEYS`].
pub const KEYS: &[Key] = &[
    key("node.id", "1", "This broker's number in the cluster.", |c, v| {
        c.node_id = number(v, 0, i32::MAX)?;
        Ok(())
    }),
    key("cluster.id", "", "Made at the first start where it is empty.", |c, v| {
        c.cluster_id = (!v.is_empty()).then(|| v.to_string());
        Ok(())
    }),
    key("log.dirs", "./data", "Where partitions are kept; several, separated by commas, are spread over.", |c, v| {
        c.log_dirs = list(v).map(PathBuf::from).collect();
        if c.log_dirs.is_empty() { Err("one directory or more is allowed".to_string()) } else { Ok(()) }
    }),
    key("listeners", "PLAINTEXT://0.0.0.0:9092", "Addresses to listen on; IPv6 as PLAINTEXT://[::]:9092.", |c, v| {
        c.listeners = parse_listeners(v)?;
        Ok(())
    }),
    key("advertised.listeners", "", "Addresses that clients are told; empty: those of `listeners` (0.0.0.0 becomes this host's name).", |c, v| {
        c.advertised_listeners = if v.is_empty() { Vec::new() } else { parse_listeners(v)? };
        Ok(())
    }),
    key("advertise", "single", "single: one address, requests are routed inside. per-shard: one port (from the listener's port upwards) and one virtual node id for each shard, so that clients connect to the owning core.", |c, v| {
        c.advertise = match v {
            "single" => Advertise::Single,
            "per-shard" => Advertise::PerShard,
            _ => return Err("single or per-shard is allowed".to_string()),
        };
        Ok(())
    }),
    key("shards", "", "Number of shards; empty: one per core.", |c, v| {
        c.shards = if v.is_empty() { None } else { Some(number(v, 1, 1024)?) };
        Ok(())
    }),
    key("cores", "", "Cores to pin shards to, as 0,2,4-7; empty: all.", |c, v| {
        c.cores = if v.is_empty() { None } else { Some(cores(v)?) };
        Ok(())
    }),
    key("spin.before.park.us", "0", "Microseconds an idle shard polls before it sleeps: latency for power.", |c, v| {
        c.spin_before_park_us = number(v, 0, 1_000_000)?;
        Ok(())
    }),
    key("memory", "", "Bytes for requests and caches of all shards, as 4GiB; empty: 512MiB a shard, at most half of the machine's.", |c, v| {
        if !v.is_empty() {
            c.memory_bytes = Some(bytes(v)?);
            if c.memory_bytes < Some(64 << 20) {
                return Err("64MiB or more is allowed".to_string());
            }
        }
        Ok(())
    }),
    key("log.retention.check.interval.ms", "300000", "Time between two looks for records that are too old or too many.", |c, v| {
        c.retention_check_ms = number(v, 1, i64::MAX)? as u64;
        Ok(())
    }),
    key("corelane.journal.batch.max.bytes", "16384", "Batches with acks=all up to this many bytes of a partition share one durable write with those of other partitions and reach their segments later; 0: each is written to its own segment at once.", |c, v| {
        c.journal_batch_bytes = number(v, 0, 1 << 20)?;
        Ok(())
    }),
    key("log.cleaner.enable", "true", "Whether topics with cleanup.policy=compact are compacted.", |c, v| {
        c.cleaner = boolean(v)?;
        Ok(())
    }),
    key("log.cleaner.backoff.ms", "15000", "Time between two looks for partitions to compact.", |c, v| {
        c.cleaner_backoff_ms = number(v, 0, i64::MAX)? as u64;
        Ok(())
    }),
    key("log.cleaner.dedupe.buffer.size", "134217728", "Memory for the keys that compactions remember, of all shards; taken as it is needed, 48 bytes a key.", |c, v| {
        c.cleaner_key_bytes = number(v, 1, usize::MAX)?;
        Ok(())
    }),
    key("log.cleaner.io.max.bytes.per.second", "0", "Bytes that a shard's compaction reads and writes a second; 0: as many as its share of the core allows.", |c, v| {
        c.cleaner_bytes_per_second = number(v, 0, u64::MAX)?;
        Ok(())
    }),
    key("replica.alter.log.dirs.io.max.bytes.per.second", "0", "Bytes that moves between log directories read and write a second, on each shard; 0: not bounded.", |c, v| {
        c.move_bytes_per_second = number(v, 0, u64::MAX)?;
        Ok(())
    }),
    key("offsets.topic.num.partitions", "50", "Partitions of the topic that holds the offsets of consumer groups, when it is made.", |c, v| {
        c.offsets_partitions = number(v, 1, 10_000)?;
        Ok(())
    }),
    key("offset.metadata.max.bytes", "4096", "Most bytes of the text that a consumer may keep with an offset.", |c, v| {
        c.offset_metadata_max_bytes = number(v, 0, 32_767)?;
        Ok(())
    }),
    key("offsets.retention.minutes", "10080", "Minutes after which offsets are forgotten: from the moment when a group's last member left, else from their commit, if nobody in the group reads their topic; 0: at the next look.", |c, v| {
        c.offsets_retention_ms = number(v, 0, i64::from(i32::MAX))? * 60_000;
        Ok(())
    }),
    key("offsets.retention.check.interval.ms", "600000", "Time between two looks for offsets and groups to forget.", |c, v| {
        c.offsets_retention_check_ms = number(v, 1, i64::MAX)? as u64;
        Ok(())
    }),
    key("group.initial.rebalance.delay.ms", "3000", "Time that a new group's first members wait for more.", |c, v| {
        c.group_limits.initial_rebalance_delay_ms = number(v, 0, i32::MAX)?.into();
        Ok(())
    }),
    key("group.min.session.timeout.ms", "6000", "Least session timeout that a consumer may ask for.", |c, v| {
        c.group_limits.min_session_timeout_ms = number(v, 0, i32::MAX)?;
        Ok(())
    }),
    key("group.max.session.timeout.ms", "1800000", "Largest session timeout that a consumer may ask for.", |c, v| {
        c.group_limits.max_session_timeout_ms = number(v, 0, i32::MAX)?;
        Ok(())
    }),
    key("group.max.size", "2147483647", "Most members of a group.", |c, v| {
        c.group_limits.max_size = number(v, 1, i32::MAX as usize)?;
        Ok(())
    }),
    key("transaction.max.timeout.ms", "900000", "Longest timeout of a transaction that a producer may ask for.", |c, v| {
        c.transactions.max_timeout_ms = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("transactional.id.expiration.ms", "604800000", "Time after which a transactional id that is not used is forgotten.", |c, v| {
        c.transactions.expire_after_ms = number(v, 1, i64::MAX)?;
        Ok(())
    }),
    key("transaction.state.log.num.partitions", "50", "Partitions of the topic that holds what is known of transactional ids, when it is made.", |c, v| {
        c.transactions.partitions = number(v, 1, 10_000)?;
        Ok(())
    }),
    key("transaction.state.log.segment.bytes", "104857600", "Size of that topic's segments, in bytes, when it is made.", |c, v| {
        c.transactions.segment_bytes = number(v, 1 << 20, i32::MAX)?;
        Ok(())
    }),
    key("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000", "Time between two looks for transactions that take longer than their timeout.", |c, v| {
        c.transactions.abort_interval_ms = number(v, 1, 86_400_000)?;
        Ok(())
    }),
    key("transaction.remove.expired.transaction.cleanup.interval.ms", "3600000", "Time between two looks for transactional ids that are not used.", |c, v| {
        c.transactions.expire_interval_ms = number(v, 1, 86_400_000)?;
        Ok(())
    }),
    key("transaction.partition.verification.enable", "true", "Whether records of a transaction are refused where the transaction does not know their partition (KIP-890).", |c, v| {
        c.transactions.verify_partitions = boolean(v)?;
        Ok(())
    }),
    key("group.consumer.session.timeout.ms", "45000", "A consumer of the new protocol (KIP-848) that is silent for so long is out of its group.", |c, v| {
        c.consumer_limits.session_timeout_ms = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.min.session.timeout.ms", "45000", "Least that group.consumer.session.timeout.ms may be.", |c, v| {
        c.consumer_limits.session_timeouts_ms.0 = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.max.session.timeout.ms", "60000", "Most that group.consumer.session.timeout.ms may be.", |c, v| {
        c.consumer_limits.session_timeouts_ms.1 = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.heartbeat.interval.ms", "5000", "Time between two heartbeats that consumers of the new protocol are told.", |c, v| {
        c.consumer_limits.heartbeat_interval_ms = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.min.heartbeat.interval.ms", "5000", "Least that group.consumer.heartbeat.interval.ms may be.", |c, v| {
        c.consumer_limits.heartbeat_intervals_ms.0 = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.max.heartbeat.interval.ms", "15000", "Most that group.consumer.heartbeat.interval.ms may be.", |c, v| {
        c.consumer_limits.heartbeat_intervals_ms.1 = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.consumer.max.size", "2147483647", "Most members of a group of the new protocol.", |c, v| {
        c.consumer_limits.max_size = number(v, 1, i32::MAX as usize)?;
        Ok(())
    }),
    key("group.consumer.assignors", "uniform,range", "Who may decide which consumer of the new protocol gets which partition; the first is for groups that do not choose.", |c, v| {
        let assignors: Option<Vec<_>> = list(v).map(Assignor::parse).collect();
        let assignors = assignors.filter(|assignors| !assignors.is_empty());
        c.consumer_limits.assignors = assignors.ok_or("uniform and range are allowed")?;
        Ok(())
    }),
    key("group.consumer.migration.policy", "bidirectional", "Which groups change their protocol while they have members: bidirectional, upgrade, downgrade or disabled.", |c, v| {
        let policy = Migration::parse(v);
        c.consumer_limits.migration = policy.ok_or("bidirectional, upgrade, downgrade or disabled is allowed")?;
        Ok(())
    }),
    key("group.share.enable", "true", "Whether there are share groups (KIP-932).", |c, v| {
        c.share_limits.enabled = boolean(v)?;
        Ok(())
    }),
    key("group.share.max.size", "200", "Most members of a share group.", |c, v| {
        c.share_limits.max_size = number(v, 1, 1_000)?;
        Ok(())
    }),
    key("group.share.session.timeout.ms", "45000", "A member of a share group that is silent for so long is out of its group.", |c, v| {
        c.share_limits.session_timeout_ms = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.share.heartbeat.interval.ms", "5000", "Time between two heartbeats that members of share groups are told.", |c, v| {
        c.share_limits.heartbeat_interval_ms = number(v, 1, i32::MAX)?;
        Ok(())
    }),
    key("group.share.record.lock.duration.ms", "30000", "How long a member of a share group has a record to itself, before others may have it.", |c, v| {
        c.share_limits.lock_ms = number(v, 1_000, 3_600_000)?;
        Ok(())
    }),
    key("group.share.min.record.lock.duration.ms", "15000", "Least that group.share.record.lock.duration.ms may be.", |c, v| {
        c.share_limits.lock_bounds_ms.0 = number(v, 1_000, 30_000)?;
        Ok(())
    }),
    key("group.share.max.record.lock.duration.ms", "60000", "Most that group.share.record.lock.duration.ms may be.", |c, v| {
        c.share_limits.lock_bounds_ms.1 = number(v, 30_000, 3_600_000)?;
        Ok(())
    }),
    key("group.share.delivery.count.limit", "5", "How often a record is delivered to a share group before it is given up.", |c, v| {
        c.share_limits.delivery_limit = number(v, 2, 10)?;
        Ok(())
    }),
    key("group.share.partition.max.record.locks", "2000", "Records of a partition that a share group has under way: from the first that is not finished to the last that was delivered.", |c, v| {
        c.share_limits.max_locks = number(v, 100, 10_000)?;
        Ok(())
    }),
    key("group.share.max.share.sessions", "2000", "Share sessions kept per shard.", |c, v| {
        c.share_limits.max_sessions = number(v, 1, 1_000_000)?;
        Ok(())
    }),
    key("share.coordinator.state.topic.num.partitions", "50", "Partitions of the topic that holds what share groups have done, when it is made.", |c, v| {
        c.share_limits.partitions = number(v, 1, 10_000)?;
        Ok(())
    }),
    key("share.coordinator.state.topic.segment.bytes", "104857600", "Size of that topic's segments, in bytes, when it is made.", |c, v| {
        c.share_limits.segment_bytes = number(v, 1 << 20, i32::MAX)?;
        Ok(())
    }),
    key("corelane.share.auto.offset.reset", "latest", "Where share groups begin in a partition that is new to them: latest, after the records that are there, or earliest.", |c, v| {
        c.share_limits.from_earliest = match v {
            "earliest" => true,
            "latest" => false,
            _ => return Err("latest or earliest is allowed".to_string()),
        };
        Ok(())
    }),
    key("corelane.share.isolation.level", "read_uncommitted", "Whether share groups are delivered records of transactions that are open or aborted (read_uncommitted) or not (read_committed).", |c, v| {
        c.share_limits.read_committed = match v {
            "read_committed" => true,
            "read_uncommitted" => false,
            _ => return Err("read_uncommitted or read_committed is allowed".to_string()),
        };
        Ok(())
    }),
    key("auto.create.topics.enable", "true", "Whether asking for an unknown topic creates it.", |c, v| {
        c.auto_create_topics = boolean(v)?;
        Ok(())
    }),
    key("num.partitions", "1", "Partitions of a topic created without a number.", |c, v| {
        c.num_partitions = number(v, 1, 100_000)?;
        Ok(())
    }),
    key("default.replication.factor", "1", "Replicas of a topic created without a number.", |c, v| {
        c.default_replication_factor = number(v, 1, 1)?;
        Ok(())
    }),
    key("socket.request.max.bytes", "104857600", "Largest request, in bytes.", |c, v| {
        c.socket_request_max_bytes = number(v, 1024, i32::MAX as usize)?;
        Ok(())
    }),
    key("max.connections", "100000", "Connections per shard; more are closed at once.", |c, v| {
        c.max_connections = number(v, 1, 10_000_000)?;
        Ok(())
    }),
    key("connections.max.idle.ms", "600000", "A connection silent for longer is closed.", |c, v| {
        c.connections_max_idle_ms = number(v, 1, u64::MAX)?;
        Ok(())
    }),
    key("fetch.max.bytes", "57671680", "Most record bytes in one fetch response.", |c, v| {
        c.fetch_max_bytes = number(v, 1024, i32::MAX as usize)?;
        Ok(())
    }),
    key("max.incremental.fetch.session.cache.slots", "1000", "Fetch sessions kept per shard.", |c, v| {
        c.fetch_session_slots = number(v, 0, 1_000_000)?;
        Ok(())
    }),
];

/// Sets one key, a broker's own or a default of topics by its broker name.
///
/// # Errors
/// `None` for a key that does not exist, else what is allowed.
pub fn set(config: &mut BrokerConfig, name: &str, value: &str) -> Option<Result<(), String>> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return Some((key.set)(config, value));
    }
    let key = TOPIC_KEYS.iter().find(|key| key.broker_name == name)?;
    Some((key.set)(&mut config.topic_defaults, value))
}
