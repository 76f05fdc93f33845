//! Listeners, connections, requests, and the threads and memory that serve them.

use crate::config::setting::{put, read, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::{bytes, cores, listener, Advertise, BrokerConfig};

const BY_SHARDS: &str = "one thread a shard does it; set shards";
const BY_KERNEL: &str = "the kernel sizes it by itself";
const BY_MEMORY: &str = "what waits is bounded in bytes; set memory";
const ALL_SHARDS: &str = "connections are counted by shard alone; set max.connections";

settings! {
    pub const NETWORK for BrokerConfig;

    "listeners": String "PLAINTEXT://0.0.0.0:9092", Any, PerBroker, Honoured(|c, v| { c.named_listeners = listener::parse_named(v)?; Ok(()) }),
        "Addresses to listen on, as NAME://host:port; IPv6 as PLAINTEXT://[::]:9092; the name may be left out.",
        "Not changed while the broker runs.";
    "advertised.listeners": String, Any, ReadOnly, Honoured(|c, v| { c.named_advertised = listener::parse_named(v)?; Ok(()) }),
        "Addresses that clients are told; empty: those of `listeners` (0.0.0.0 becomes this host's name).";
    "listener.security.protocol.map": String "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, PerBroker, Honoured(|c, v| { c.protocols = listener::parse_protocols(v)?; Ok(()) }),
        "The security protocol of each name in `listeners`.",
        "Listeners with another protocol than PLAINTEXT are refused; not changed while the broker runs.";
    "inter.broker.listener.name": String, Any, ReadOnly, Honoured(|c, v| { c.quorum.inter_broker = Some(v.to_string()); Ok(()) }),
        "The listener that brokers use among themselves; has to be one of `listeners`.";
    "security.inter.broker.protocol": String "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, Refused("brokers do not speak with each other by TLS or SASL"),
        "The security protocol that brokers use among themselves.";
    "early.start.listeners": String, Any, ReadOnly, NoEffect("no listener opens before all partitions are there"),
        "Listeners that open before the others.";
    "advertise": String "single", OneOf(&["single", "per-shard"]), ReadOnly, Honoured(|c, v| { c.advertise = match v { "per-shard" => Advertise::PerShard, _ => Advertise::Single }; Ok(()) }),
        "single: one address, requests are routed inside. per-shard: one port (from the listener's port upwards) and one virtual node id for each shard, so that clients connect to the owning core.",
        "Corelane's own.";
    "shards": Int, Between(1, 1024), ReadOnly, Honoured(|c, v| { c.shards = Some(read(v)?); Ok(()) }),
        "Number of shards; empty: one per core.",
        "Corelane's own.";
    "cores": String, Any, ReadOnly, Honoured(|c, v| { c.cores = Some(cores(v)?); Ok(()) }),
        "Cores to pin shards to, as 0,2,4-7; empty: all.",
        "Corelane's own.";
    "spin.before.park.us": Long "0", Between(0, 1_000_000), ReadOnly, Honoured(|c, v| put(&mut c.spin_before_park_us, v)),
        "Microseconds an idle shard polls before it sleeps: latency for power.",
        "Corelane's own.";
    "memory": String, Any, ReadOnly, Honoured(memory),
        "Bytes for requests and caches of all shards, as 4GiB; empty: 512MiB a shard, at most half of what the machine or the cgroup has.",
        "Corelane's own.";
    "num.network.threads": Int "3", AtLeast(1), ClusterWide, NoEffect(BY_SHARDS),
        "Threads that read requests and write answers.";
    "num.io.threads": Int "8", AtLeast(1), ClusterWide, NoEffect(BY_SHARDS),
        "Threads that serve requests.";
    "background.threads": Int "10", AtLeast(1), ClusterWide, NoEffect(BY_SHARDS),
        "Threads for work in the background.";
    "socket.send.buffer.bytes": Int "102400", Any, ReadOnly, NoEffect(BY_KERNEL),
        "The sockets' send buffer.";
    "socket.receive.buffer.bytes": Int "102400", Any, ReadOnly, NoEffect(BY_KERNEL),
        "The sockets' receive buffer.";
    "socket.listen.backlog.size": Int "50", AtLeast(1), ReadOnly, NoEffect("the queue of new connections is as long as the kernel allows"),
        "Connections that may wait to be accepted.";
    "socket.connection.setup.timeout.ms": Long "10000", Any, ReadOnly, NoEffect("the broker opens no connections"),
        "How long a connection to another node may take.";
    "socket.connection.setup.timeout.max.ms": Long "30000", Any, ReadOnly, NoEffect("the broker opens no connections"),
        "How long a connection to another node may take at most.";
    "socket.request.max.bytes": Int "104857600", Between(1024, 2_147_483_647), ReadOnly, Honoured(|c, v| put(&mut c.socket_request_max_bytes, v)),
        "Largest request, in bytes.",
        "Kafka allows less than 1024, too.";
    "max.connections": Int "100000", Between(1, 10_000_000), ClusterWide, Honoured(|c, v| put(&mut c.max_connections, v)),
        "Connections per shard; more are closed at once.",
        "Kafka counts those of the whole broker, has no bound by default, and waits instead of closing.";
    "max.connections.per.ip": Int "2147483647", AtLeast(0), ClusterWide, Refused(ALL_SHARDS),
        "Connections from one address.";
    "max.connections.per.ip.overrides": String "", Any, ClusterWide, Refused(ALL_SHARDS),
        "Connections from given addresses.";
    "max.connection.creation.rate": Int "2147483647", AtLeast(0), ClusterWide, Refused("new connections are not slowed down"),
        "New connections a second.";
    "connections.max.idle.ms": Long "600000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.connections_max_idle_ms, v)),
        "A connection silent for longer is closed.",
        "-1 (never) is not allowed.";
    "connections.max.reauth.ms": Long "0", Any, ReadOnly, Refused("there is no SASL yet"),
        "How long a SASL client stays authenticated.";
    "connection.failed.authentication.delay.ms": Int "100", AtLeast(0), ReadOnly, NoEffect("there is no SASL yet"),
        "How long a failed login waits for its answer.";
    "queued.max.requests": Int "500", AtLeast(1), ReadOnly, NoEffect(BY_MEMORY),
        "Requests that wait for a thread.";
    "queued.max.request.bytes": Long "-1", Any, ReadOnly, NoEffect(BY_MEMORY),
        "Bytes of requests that wait for a thread.";
    "fetch.max.bytes": Int "57671680", AtLeast(1_024), ReadOnly, Honoured(|c, v| put(&mut c.fetch_max_bytes, v)),
        "Most record bytes in one fetch response.";
    "max.incremental.fetch.session.cache.slots": Int "1000", Between(0, 1_000_000), ReadOnly, Honoured(|c, v| put(&mut c.fetch_session_slots, v)),
        "Fetch sessions kept per shard.",
        "Kafka counts those of the whole broker.";
    "fetch.purgatory.purge.interval.requests": Int "1000", Any, ReadOnly, NoEffect("a request that waits is let go when it is answered"),
        "Requests after which fetches that have ended are cleared away.";
    "producer.purgatory.purge.interval.requests": Int "1000", Any, ReadOnly, NoEffect("a request that waits is let go when it is answered"),
        "Requests after which produce requests that have ended are cleared away.";
    "delete.records.purgatory.purge.interval.requests": Int "1", Any, ReadOnly, NoEffect("a request that waits is let go when it is answered"),
        "Requests after which deletions that have ended are cleared away.";
    "share.fetch.purgatory.purge.interval.requests": Int "1000", Any, ReadOnly, NoEffect("a request that waits is let go when it is answered"),
        "Requests after which share fetches that have ended are cleared away.";
    "max.request.partition.size.limit": Int "2000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.max_request_partitions, v)),
        "Most partitions in one answer to DescribeTopicPartitions.";
}

fn memory(config: &mut BrokerConfig, text: &str) -> Result<(), String> {
    config.memory_bytes = Some(bytes(text)?);
    match config.memory_bytes {
        Some(bytes) if bytes < 64 << 20 => Err("64MiB or more is allowed".to_string()),
        _ => Ok(()),
    }
}
