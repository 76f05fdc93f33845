use corelane_shards::runtime::ShardId;

use crate::config::{Advertise, BrokerConfig, HostPort};

/// A node as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: u16,
}

/// Where clients are told to connect. Computed once at start, the same on all shards.
#[derive(Debug, Clone)]
pub struct Advertised {
    mode: Advertise,
    node_id: i32,
    shards: usize,
    addresses: Vec<HostPort>,
    pub cluster_id: String,
}

impl Advertised {
    /// `bound`: what is listened on, with real ports, in the order of `listeners`.
    pub fn new(config: &BrokerConfig, bound: &[HostPort], shards: usize, cluster_id: &str) -> Self {
        let addresses = match &config.advertised_listeners[..] {
            [] => bound.iter().map(reachable).collect(),
            given => given.to_vec(),
        };
        Advertised {
            mode: config.advertise,
            node_id: config.node_id,
            shards,
            addresses,
            cluster_id: cluster_id.to_string(),
        }
    }

    /// All nodes, for a client that came in through listener number `listener`.
    pub fn nodes(&self, listener: usize) -> Vec<Node> {
        let address = self.addresses.get(listener).or(self.addresses.first());
        let Some(address) = address else { return Vec::new() };
        let count = match self.mode {
            Advertise::Single => 1,
            Advertise::PerShard => self.shards,
        };
        let node = |shard: usize| Node {
            id: self.node_id + shard as i32,
            host: address.host.clone(),
            port: address.port.wrapping_add(shard as u16),
        };
        (0..count).map(node).collect()
    }

    /// The node that leads a partition owned by `shard`.
    pub fn leader(&self, shard: ShardId) -> i32 {
        match self.mode {
            Advertise::Single => self.node_id,
            Advertise::PerShard => self.node_id + shard.index() as i32,
        }
    }

    /// The node that administrative requests go to.
    pub fn controller(&self) -> i32 {
        self.node_id
    }
}

/// "All interfaces" is no address to connect to: this host's name is, or the loopback.
fn reachable(bound: &HostPort) -> HostPort {
    let host = match bound.host.as_str() {
        "0.0.0.0" | "::" => host_name(),
        other => other.to_string(),
    };
    HostPort { host, port: bound.port }
}

fn host_name() -> String {
    use std::net::ToSocketAddrs;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let resolves =
        (name.as_str(), 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
    if resolves {
        name
    } else {
        "127.0.0.1".to_string()
    }
}
