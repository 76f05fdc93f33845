//! Replication between brokers, quotas, metrics.

use crate::config::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const ONE_REPLICA: &str = "each partition has one replica, on this broker";
const NOT_ENFORCED: &str = "quotas are kept, not enforced yet";
const NO_JMX: &str = "there are no JMX metrics";
const NO_CLASSES: &str = "Java classes are not loaded";

settings! {
    pub const CLUSTER for BrokerConfig;

    "auto.leader.rebalance.enable": Boolean "true", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "Whether leaders go back to the replica that is preferred.";
    "leader.imbalance.check.interval.seconds": Long "300", AtLeast(1), ReadOnly, NoEffect(ONE_REPLICA),
        "Time between two looks for leaders that are not preferred.";
    "unclean.leader.election.interval.ms": Long "300000", AtLeast(1), ReadOnly, NoEffect(ONE_REPLICA),
        "Time between two looks for partitions without leader.";
    "num.replica.fetchers": Int "1", Any, ClusterWide, NoEffect(ONE_REPLICA),
        "Threads that fetch from each broker.";
    "replica.fetch.backoff.ms": Int "1000", AtLeast(0), ReadOnly, NoEffect(ONE_REPLICA),
        "Wait of a follower after an error.";
    "replica.fetch.max.bytes": Int "1048576", AtLeast(0), ReadOnly, NoEffect(ONE_REPLICA),
        "Bytes of a partition that a follower asks for.";
    "replica.fetch.min.bytes": Int "1", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "Least bytes that a follower waits for.";
    "replica.fetch.response.max.bytes": Int "10485760", AtLeast(0), ReadOnly, NoEffect(ONE_REPLICA),
        "Bytes that a follower asks for in all.";
    "replica.fetch.wait.max.ms": Int "500", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "How long a follower waits for records.";
    "replica.lag.time.max.ms": Long "30000", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "How long a follower may lag and be in sync.";
    "replica.selector.class": String, Any, ReadOnly, Refused(NO_CLASSES),
        "The Java class that chooses the replica that a consumer reads.";
    "replica.socket.receive.buffer.bytes": Int "65536", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "A follower's receive buffer.";
    "replica.socket.timeout.ms": Int "30000", Any, ReadOnly, NoEffect(ONE_REPLICA),
        "How long a follower waits for an answer.";
    "leader.replication.throttled.rate": Long, AtLeast(0), ClusterWide, NoEffect(ONE_REPLICA),
        "Bytes a second that a leader sends to throttled followers.",
        "Kafka takes it only while it runs.";
    "follower.replication.throttled.rate": Long, AtLeast(0), ClusterWide, NoEffect(ONE_REPLICA),
        "Bytes a second that a throttled follower fetches.",
        "Kafka takes it only while it runs.";
    "replication.quota.window.num": Int "11", AtLeast(1), ReadOnly, NoEffect(ONE_REPLICA),
        "Samples of the quota of replication.";
    "replication.quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, NoEffect(ONE_REPLICA),
        "Length of each sample of the quota of replication.";
    "alter.log.dirs.replication.quota.window.num": Int "11", AtLeast(1), ReadOnly, NoEffect("moves are paced without samples"),
        "Samples of the quota of moves between log directories.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, NoEffect("moves are paced without samples"),
        "Length of each sample of the quota of moves.";
    "quota.window.num": Int "11", AtLeast(1), ReadOnly, NoEffect(NOT_ENFORCED),
        "Samples of clients' quotas.";
    "quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, NoEffect(NOT_ENFORCED),
        "Length of each sample of clients' quotas.";
    "controller.quota.window.num": Int "11", AtLeast(1), ReadOnly, NoEffect(NOT_ENFORCED),
        "Samples of the quota of changes of topics.";
    "controller.quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, NoEffect(NOT_ENFORCED),
        "Length of each sample of that quota.";
    "client.quota.callback.class": Class, Any, ReadOnly, Refused(NO_CLASSES),
        "The Java class that says which quota holds for whom.";
    "kafka.metrics.polling.interval.secs": Int "10", AtLeast(1), ReadOnly, NoEffect(NO_JMX),
        "Time between two looks of metrics reporters.";
    "kafka.metrics.reporters": List "", Any, ReadOnly, Refused(NO_CLASSES),
        "Java classes that report Yammer metrics.";
    "metric.reporters": List "org.apache.kafka.common.metrics.JmxReporter", Any, ClusterWide, Refused(NO_CLASSES),
        "Java classes that report metrics.";
    "metrics.num.samples": Int "2", AtLeast(1), ReadOnly, NoEffect(NO_JMX),
        "Samples that metrics are computed of.";
    "metrics.recording.level": String "INFO", Any, ReadOnly, NoEffect(NO_JMX),
        "Which metrics are recorded.";
    "metrics.sample.window.ms": Long "30000", AtLeast(1), ReadOnly, NoEffect(NO_JMX),
        "Length of each sample of metrics.";
    "telemetry.max.bytes": Int "1048576", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.telemetry_max_bytes, v)),
        "Largest push of a client's metrics (KIP-714), in bytes.";
}
