//! Share groups (KIP-932).

use crate::config::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const ONE_REPLICA: &str = "there is one node, so one replica; 1 is allowed";
const BY_OWNER: &str = "the shard that owns a partition does it";

settings! {
    pub const SHARE for BrokerConfig;

    "group.share.enable": Boolean "true", Any, ReadOnly, Honoured(|c, v| put(&mut c.share_limits.enabled, v)),
        "Whether there are share groups (KIP-932).",
        "Kafka 4.1's default is false: there they are a preview.";
    "group.share.max.size": Int "200", Between(1, 1_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.max_size, v)),
        "Most members of a share group.";
    "group.share.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.session_timeout_ms, v)),
        "A member of a share group that is silent for so long is out of its group.";
    "group.share.min.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.session_timeouts_ms.0, v)),
        "Least that group.share.session.timeout.ms may be.";
    "group.share.max.session.timeout.ms": Int "60000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.session_timeouts_ms.1, v)),
        "Most that group.share.session.timeout.ms may be.";
    "group.share.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.heartbeat_interval_ms, v)),
        "Time between two heartbeats that members of share groups are told.";
    "group.share.min.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.heartbeat_intervals_ms.0, v)),
        "Least that group.share.heartbeat.interval.ms may be.";
    "group.share.max.heartbeat.interval.ms": Int "15000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.heartbeat_intervals_ms.1, v)),
        "Most that group.share.heartbeat.interval.ms may be.";
    "group.share.record.lock.duration.ms": Int "30000", Between(1_000, 3_600_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.lock_ms, v)),
        "How long a member of a share group has a record to itself, before others may have it.";
    "group.share.min.record.lock.duration.ms": Int "15000", Between(1_000, 30_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.lock_bounds_ms.0, v)),
        "Least that group.share.record.lock.duration.ms may be.";
    "group.share.max.record.lock.duration.ms": Int "60000", Between(30_000, 3_600_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.lock_bounds_ms.1, v)),
        "Most that group.share.record.lock.duration.ms may be.";
    "group.share.delivery.count.limit": Int "5", Between(2, 10), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.delivery_limit, v)),
        "How often a record is delivered to a share group before it is given up.";
    "group.share.partition.max.record.locks": Int "2000", Between(100, 10_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.max_locks, v)),
        "Records of a partition that a share group has under way: from the first that is not finished to the last that was delivered.";
    "group.share.max.share.sessions": Int "2000", Between(1, 1_000_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.max_sessions, v)),
        "Share sessions kept per shard.",
        "Kafka counts those of the whole broker.";
    "group.share.assignors": List "simple", Any, ReadOnly, Refused("simple is the one that is there"),
        "Who decides which member of a share group reads which partition.";
    "group.share.persister.class.name": String "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, ReadOnly, Refused("Java classes are not loaded"),
        "The Java class that keeps what share groups have done.";
    "corelane.share.auto.offset.reset": String "latest", OneOf(&["latest", "earliest"]), ReadOnly, Honoured(|c, v| { c.share_limits.from_earliest = v == "earliest"; Ok(()) }),
        "Where share groups begin in a partition that is new to them: latest, after the records that are there, or earliest; the group's share.auto.offset.reset counts where it is set.",
        "Corelane's own; Kafka has it for groups alone.";
    "corelane.share.isolation.level": String "read_uncommitted", OneOf(&["read_uncommitted", "read_committed"]), ReadOnly, Honoured(|c, v| { c.share_limits.read_committed = v == "read_committed"; Ok(()) }),
        "Whether share groups are delivered records of transactions that are open or aborted (read_uncommitted) or not (read_committed); the group's share.isolation.level counts where it is set.",
        "Corelane's own; Kafka has it for groups alone.";
    "share.coordinator.append.linger.ms": Int "5", AtLeast(0), ReadOnly, NoEffect("records are gathered while a write is under way"),
        "How long the coordinator gathers records before it writes them.";
    "share.coordinator.cold.partition.snapshot.interval.ms": Int "300000", AtLeast(1), ReadOnly, NoEffect(BY_OWNER),
        "Time after which what is known of a quiet partition is written whole.";
    "share.coordinator.load.buffer.size": Int "5242880", AtLeast(1), ReadOnly, NoEffect(BY_OWNER),
        "Bytes that are read at once when the state is loaded.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int "500", AtLeast(0), ReadOnly, NoEffect("the state is written whole where that is shorter"),
        "Changes after which the state is written whole.";
    "share.coordinator.state.topic.compression.codec": Int "0", Any, ReadOnly, Refused("the state is written without compression"),
        "How the state is compressed: a codec's number.";
    "share.coordinator.state.topic.min.isr": Short "1", AtLeast(1), ReadOnly, Refused(ONE_REPLICA),
        "Replicas that must have a record of the state.",
        "Kafka's default is 2.";
    "share.coordinator.state.topic.num.partitions": Int "50", Between(1, 10_000), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.partitions, v)),
        "Partitions of the topic that holds what share groups have done, when it is made.";
    "share.coordinator.state.topic.prune.interval.ms": Int "300000", AtLeast(1), ReadOnly, NoEffect("the topic is compacted"),
        "Time between two looks for records of the state that are not needed.";
    "share.coordinator.state.topic.replication.factor": Short "1", AtLeast(1), ReadOnly, Refused(ONE_REPLICA),
        "Replicas of that topic.",
        "Kafka's default is 3.";
    "share.coordinator.state.topic.segment.bytes": Int "104857600", Between(1_048_576, 2_147_483_647), ReadOnly, Honoured(|c, v| put(&mut c.share_limits.segment_bytes, v)),
        "Size of that topic's segments, in bytes, when it is made.";
    "share.coordinator.threads": Int "1", AtLeast(1), ReadOnly, NoEffect(BY_OWNER),
        "Threads of the coordinator.";
    "share.coordinator.write.timeout.ms": Int "5000", AtLeast(1), ReadOnly, NoEffect("a write is answered when it is durable or has failed"),
        "How long a write of the state may wait for replicas.";
}
