//! Consumer groups and their offsets, streams groups.

use crate::config::setting::{put, read, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::{entries, Assignor, BrokerConfig, Migration};

const BY_OWNER: &str = "the shard that owns a group's partition serves it";
const NO_STREAMS: &str = "groups of the streams protocol (KIP-1071) are not served";
const FIRST_LOAD: &str = "partitions are read in blocks of their own size";
const ONE_REPLICA: &str = "there is one node, so one replica; 1 is allowed";

settings! {
    pub const GROUPS for BrokerConfig;

    "group.initial.rebalance.delay.ms": Int "3000", AtLeast(0), ReadOnly, Honoured(|c, v| put(&mut c.group_limits.initial_rebalance_delay_ms, v)),
        "Time that a new group's first members wait for more.";
    "group.min.session.timeout.ms": Int "6000", AtLeast(0), ReadOnly, Honoured(|c, v| put(&mut c.group_limits.min_session_timeout_ms, v)),
        "Least session timeout that a consumer may ask for.";
    "group.max.session.timeout.ms": Int "1800000", AtLeast(0), ReadOnly, Honoured(|c, v| put(&mut c.group_limits.max_session_timeout_ms, v)),
        "Largest session timeout that a consumer may ask for.";
    "group.max.size": Int "2147483647", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.group_limits.max_size, v)),
        "Most members of a group.";
    "group.coordinator.rebalance.protocols": List "classic,consumer,share", SomeOf(&["consumer", "classic", "share", "streams"]), ReadOnly, Honoured(|_, v| protocols(v)),
        "Protocols of groups that are served: classic and consumer always, share if group.share.enable.",
        "Kafka's default is classic,consumer,streams.";
    "group.coordinator.append.linger.ms": Int "5", AtLeast(0), ReadOnly, NoEffect("records of groups are gathered while a write is under way"),
        "How long a group's coordinator gathers records before it writes them.";
    "group.coordinator.threads": Int "4", AtLeast(1), ReadOnly, NoEffect(BY_OWNER),
        "Threads that serve groups.";
    "group.consumer.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.session_timeout_ms, v)),
        "A consumer of the new protocol (KIP-848) that is silent for so long is out of its group.";
    "group.consumer.min.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.session_timeouts_ms.0, v)),
        "Least that group.consumer.session.timeout.ms may be.";
    "group.consumer.max.session.timeout.ms": Int "60000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.session_timeouts_ms.1, v)),
        "Most that group.consumer.session.timeout.ms may be.";
    "group.consumer.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.heartbeat_interval_ms, v)),
        "Time between two heartbeats that consumers of the new protocol are told.";
    "group.consumer.min.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.heartbeat_intervals_ms.0, v)),
        "Least that group.consumer.heartbeat.interval.ms may be.";
    "group.consumer.max.heartbeat.interval.ms": Int "15000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.heartbeat_intervals_ms.1, v)),
        "Most that group.consumer.heartbeat.interval.ms may be.";
    "group.consumer.max.size": Int "2147483647", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.consumer_limits.max_size, v)),
        "Most members of a group of the new protocol.";
    "group.consumer.assignors": List "uniform,range", Any, ReadOnly, Honoured(|c, v| { let assignors: Option<Vec<_>> = entries(v).map(Assignor::parse).collect(); let assignors = assignors.filter(|assignors| !assignors.is_empty()); c.consumer_limits.assignors = assignors.ok_or("uniform and range are allowed")?; Ok(()) }),
        "Who may decide which consumer of the new protocol gets which partition; the first is for groups that do not choose.",
        "Java classes of others are not loaded.";
    "group.consumer.migration.policy": String "bidirectional", AnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, Honoured(|c, v| { let policy = Migration::parse(v); c.consumer_limits.migration = policy.ok_or("bidirectional, upgrade, downgrade or disabled is allowed")?; Ok(()) }),
        "Which groups change their protocol while they have members: bidirectional, upgrade, downgrade or disabled.";
    "group.consumer.regex.refresh.interval.ms": Int "600000", AtLeast(10_000), ReadOnly, NoEffect("patterns are matched anew when a topic comes or goes"),
        "Time between two looks at what patterns of topics stand for.";
    "offset.metadata.max.bytes": Int "4096", Between(0, 32_767), ReadOnly, Honoured(|c, v| put(&mut c.offset_metadata_max_bytes, v)),
        "Most bytes of the text that a consumer may keep with an offset.";
    "offsets.commit.timeout.ms": Int "5000", AtLeast(1), ReadOnly, NoEffect("a commit is answered when it is durable or has failed"),
        "How long a commit may wait for replicas.";
    "offsets.load.buffer.size": Int "5242880", AtLeast(1), ReadOnly, NoEffect(FIRST_LOAD),
        "Bytes that are read at once when groups are loaded.";
    "offsets.retention.minutes": Int "10080", AtLeast(0), ReadOnly, Honoured(|c, v| { c.offsets_retention_ms = read::<i64>(v)? * 60_000; Ok(()) }),
        "Minutes after which offsets are forgotten: from the moment when a group's last member left, else from their commit, if nobody in the group reads their topic; 0: at the next look.",
        "Kafka wants 1 at least.";
    "offsets.retention.check.interval.ms": Long "600000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.offsets_retention_check_ms, v)),
        "Time between two looks for offsets and groups to forget.";
    "offsets.topic.compression.codec": Int "0", Any, ReadOnly, Refused("offsets are written without compression"),
        "How offsets are compressed: a codec's number.";
    "offsets.topic.num.partitions": Int "50", Between(1, 10_000), ReadOnly, Honoured(|c, v| put(&mut c.offsets_partitions, v)),
        "Partitions of the topic that holds the offsets of consumer groups, when it is made.";
    "offsets.topic.replication.factor": Short "1", AtLeast(1), ReadOnly, Refused(ONE_REPLICA),
        "Replicas of that topic.",
        "Kafka's default is 3.";
    "offsets.topic.segment.bytes": Int "104857600", Between(1_048_576, 2_147_483_647), ReadOnly, Honoured(|c, v| put(&mut c.offsets_segment_bytes, v)),
        "Size of that topic's segments, in bytes, when it is made.";
    "group.streams.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Time between two heartbeats of members of streams groups.";
    "group.streams.max.heartbeat.interval.ms": Int "15000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Most that the heartbeats' interval may be.";
    "group.streams.max.session.timeout.ms": Int "60000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Most that the session timeout of streams groups may be.";
    "group.streams.max.size": Int "2147483647", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Most members of a streams group.";
    "group.streams.max.standby.replicas": Int "2", AtLeast(0), ReadOnly, Refused(NO_STREAMS),
        "Most standby replicas of a task.";
    "group.streams.min.heartbeat.interval.ms": Int "5000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Least that the heartbeats' interval may be.";
    "group.streams.min.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "Least that the session timeout of streams groups may be.";
    "group.streams.num.standby.replicas": Int "0", AtLeast(0), ReadOnly, Refused(NO_STREAMS),
        "Standby replicas of each task.";
    "group.streams.session.timeout.ms": Int "45000", AtLeast(1), ReadOnly, Refused(NO_STREAMS),
        "A member of a streams group that is silent for so long is out of its group.";
}

fn protocols(text: &str) -> Result<(), String> {
    let all: Vec<&str> = entries(text).collect();
    if all.contains(&"streams") {
        return Err(format!("take streams out: {NO_STREAMS}"));
    }
    match all.contains(&"classic") && all.contains(&"consumer") {
        true => Ok(()),
        false => Err("classic and consumer are always served: name both".to_string()),
    }
}
