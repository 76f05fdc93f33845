//! Who the broker is, and its part as a controller.

use crate::config::entries;
use crate::config::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const ONE_NODE: &str = "Corelane is one node yet: broker and controller in one process";
const OWN_METADATA: &str = "the metadata log is small, is written anew when it has grown, and lies in the first of log.dirs";

settings! {
    pub const IDENTITY for BrokerConfig;

    "broker.id": Int, Any, ReadOnly, Honoured(|c, v| { if v != "-1" { put(&mut c.node_id, v)?; } Ok(()) }),
        "Another name of node.id, which counts where both are set.",
        "Kafka's default is -1: none.";
    "node.id": Int "1", AtLeast(0), ReadOnly, Honoured(|c, v| put(&mut c.node_id, v)),
        "This broker's number in the cluster.",
        "Kafka has no default.";
    "cluster.id": String, Any, ReadOnly, Honoured(|c, v| { c.cluster_id = Some(v.to_string()); Ok(()) }),
        "The cluster's id, written to new log directories; empty: made at the first start.",
        "Kafka has it from `kafka-storage format`; Corelane formats by itself.";
    "process.roles": List "broker,controller", SomeOf(&["broker", "controller"]), ReadOnly, Honoured(|_, v| roles(v)),
        "What the process is: `broker,controller`.",
        "Kafka can be only one of them.";
    "controller.quorum.voters": List "", Any, ReadOnly, Honoured(|c, v| { c.quorum.voters = entries(v).map(str::to_string).collect(); Ok(()) }),
        "The controllers as id@host:port. One is allowed, with this broker's id; nobody connects to it.",
        "Kafka can have several.";
    "controller.quorum.bootstrap.servers": List "", Any, ReadOnly, Honoured(|c, v| { c.quorum.servers = entries(v).map(str::to_string).collect(); Ok(()) }),
        "Where the controllers are found. One is allowed; nobody connects to it.",
        "Kafka can have several.";
    "controller.listener.names": String, Any, ReadOnly, Honoured(|c, v| { c.quorum.listener_names = entries(v).map(str::to_string).collect(); Ok(()) }),
        "Names of those of `listeners` that are the controller's: they are not opened.",
        "Kafka's controller is reached by the network.";
    "controller.quorum.append.linger.ms": Int "25", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "How long a controller gathers records before it writes them.";
    "controller.quorum.election.backoff.max.ms": Int "1000", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "Longest wait between two elections of a controller.";
    "controller.quorum.election.timeout.ms": Int "1000", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "How long a controller waits for votes.";
    "controller.quorum.fetch.timeout.ms": Int "2000", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "How long a controller waits for its leader.";
    "controller.quorum.request.timeout.ms": Int "2000", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "How long a controller waits for another's answer.";
    "controller.quorum.retry.backoff.ms": Int "20", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "Wait before a controller asks again.";
    "controller.socket.timeout.ms": Int "30000", Any, ReadOnly, NoEffect(ONE_NODE),
        "How long a broker waits for the controller's connection.";
    "controller.performance.always.log.threshold.ms": Long "2000", AtLeast(0), ReadOnly, NoEffect(ONE_NODE),
        "Controller events that take longer are logged.";
    "controller.performance.sample.period.ms": Long "60000", AtLeast(100), ReadOnly, NoEffect(ONE_NODE),
        "Time between two logs of the controller's work.";
    "broker.heartbeat.interval.ms": Int "2000", Any, ReadOnly, NoEffect(ONE_NODE),
        "Time between two heartbeats to the controller.";
    "broker.session.timeout.ms": Int "9000", Any, ReadOnly, NoEffect(ONE_NODE),
        "How long the controller waits for a broker's heartbeat.";
    "initial.broker.registration.timeout.ms": Int "60000", Any, ReadOnly, NoEffect(ONE_NODE),
        "How long a broker tries to register with the controller.";
    "server.max.startup.time.ms": Long "9223372036854775807", AtLeast(0), ReadOnly, NoEffect("a start that does not come to an end says what it waits for"),
        "How long a start may take.";
    "controlled.shutdown.enable": Boolean "true", Any, ReadOnly, NoEffect(ONE_NODE),
        "Whether leaders move away before a broker stops.";
    "request.timeout.ms": Int "30000", Any, ReadOnly, NoEffect(ONE_NODE),
        "How long a broker waits for other nodes' answers.";
    "broker.rack": String, Any, ReadOnly, NoEffect("racks matter from two brokers on"),
        "The rack that this broker stands in.";
    "metadata.log.dir": String, Any, ReadOnly, Refused(OWN_METADATA),
        "Where the metadata log lies.";
    "metadata.log.max.record.bytes.between.snapshots": Long "20971520", AtLeast(1), ReadOnly, NoEffect(OWN_METADATA),
        "Bytes of metadata records after which a snapshot is made.";
    "metadata.log.max.snapshot.interval.ms": Long "3600000", AtLeast(0), ReadOnly, NoEffect(OWN_METADATA),
        "Time after which a snapshot of the metadata is made.";
    "metadata.log.segment.bytes": Int "1073741824", AtLeast(8_388_608), ReadOnly, NoEffect(OWN_METADATA),
        "Size of the metadata log's segments.";
    "metadata.log.segment.ms": Long "604800000", Any, ReadOnly, NoEffect(OWN_METADATA),
        "Age of the metadata log's segments.";
    "metadata.max.idle.interval.ms": Int "500", AtLeast(0), ReadOnly, NoEffect(OWN_METADATA),
        "Time between two records of an idle controller.";
    "metadata.max.retention.bytes": Long "104857600", Any, ReadOnly, NoEffect(OWN_METADATA),
        "Bytes of old metadata that are kept.";
    "metadata.max.retention.ms": Long "604800000", Any, ReadOnly, NoEffect(OWN_METADATA),
        "How long old metadata is kept.";
    "internal.metadata.delete.delay.millis": Long "60000", Any, ReadOnly, NoEffect(OWN_METADATA),
        "How long a deleted file of the metadata log stays.";
    "internal.metadata.log.segment.bytes": Int, Any, ReadOnly, NoEffect(OWN_METADATA),
        "Size of the metadata log's segments in tests.";
    "internal.metadata.max.batch.size.in.bytes": Int "8388608", Any, ReadOnly, NoEffect(OWN_METADATA),
        "Largest batch of metadata records.";
    "internal.metadata.max.fetch.size.in.bytes": Int "8388608", Any, ReadOnly, NoEffect(OWN_METADATA),
        "Most metadata that one fetch brings.";
    "unstable.api.versions.enable": Boolean "false", Any, ReadOnly, Refused("only versions that are finished are served"),
        "Whether unfinished versions of APIs are served.";
    "unstable.feature.versions.enable": Boolean "false", Any, ReadOnly, Refused("only features that are finished are known"),
        "Whether unfinished features can be used.";
}

fn roles(text: &str) -> Result<(), String> {
    let mut roles: Vec<&str> = entries(text).collect();
    roles.sort_unstable();
    match roles[..] {
        ["broker", "controller"] => Ok(()),
        _ => Err(format!("broker,controller is allowed: {ONE_NODE}")),
    }
}
