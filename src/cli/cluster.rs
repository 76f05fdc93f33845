//! A small client for what librdkafka has no calls for: one request after the other, each to the node
//! that it is for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use anyhow::{anyhow, bail, Context};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, MetadataRequest, MetadataResponse, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::ResponseError;

use super::client::{Connect, ASK_TIMEOUT};

/// Longest answer that is taken.
const MOST_ANSWER_BYTES: usize = 100 << 20;
/// Served by every Kafka since 2.4.
const METADATA_VERSION: i16 = 9;

/// A connection to one node.
pub struct Node {
    stream: TcpStream,
    next_id: i32,
}

/// The nodes of a cluster by their ids, and the one that was asked first.
pub struct Cluster {
    first: Node,
    addresses: BTreeMap<i32, String>,
}

impl Node {
    fn connect(address: &str) -> std::io::Result<Node> {
        let mut last = None;
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, ASK_TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
                    stream.set_write_timeout(Some(ASK_TIMEOUT))?;
                    stream.set_nodelay(true)?;
                    return Ok(Node { stream, next_id: 0 });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
    }

    /// Sends a request and waits for its answer.
    pub fn ask<R: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &impl Encodable,
    ) -> anyhow::Result<R> {
        self.next_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.next_id)
            .with_client_id(Some(StrBytes::from_static_str("corelane-cli")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, key.request_header_version(version))?;
        request.encode(&mut frame, version)?;
        let len = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.stream.write_all(&frame)?;
        let answer = self.receive().with_context(|| format!("{key:?} is not answered"))?;
        self.decode(key, version, answer)
    }

    fn receive(&mut self) -> anyhow::Result<Bytes> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let len = usize::try_from(i32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > MOST_ANSWER_BYTES {
            bail!("an answer of {len} bytes");
        }
        let mut answer = vec![0; len];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    fn decode<R: Decodable>(
        &self,
        key: ApiKey,
        version: i16,
        mut answer: Bytes,
    ) -> anyhow::Result<R> {
        if answer.try_get_i32() != Ok(self.next_id) {
            bail!("{key:?} was answered with something else");
        }
        if key.response_header_version(version) >= 1 {
            // No tagged field of a header is known.
            answer.try_get_u8()?;
        }
        R::decode(&mut answer, version)
    }
}

impl Cluster {
    /// Connects to the first broker and learns of the others.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn connect(connect: &Connect) -> anyhow::Result<Cluster> {
        let nobody = |error: &dyn std::fmt::Display| {
            anyhow!(
                "no broker answers at {} ({error}): start one with `corelane serve`, or say where \
                 it is with --bootstrap",
                connect.bootstrap
            )
        };
        let first = Node::connect(&connect.bootstrap).map_err(|error| nobody(&error))?;
        let mut cluster = Cluster { first, addresses: BTreeMap::new() };
        let metadata = cluster.metadata(Vec::new()).map_err(|error| nobody(&error))?;
        let address =
            |broker: kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
                (broker.node_id.0, format!("{}:{}", broker.host, broker.port))
            };
        cluster.addresses = metadata.brokers.into_iter().map(address).collect();
        Ok(cluster)
    }

    fn metadata(&mut self, topics: Vec<MetadataRequestTopic>) -> anyhow::Result<MetadataResponse> {
        let request = MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false);
        self.first.ask(ApiKey::Metadata, METADATA_VERSION, &request)
    }

    /// The node that was asked first.
    pub fn first(&mut self) -> &mut Node {
        &mut self.first
    }

    pub fn ids(&self) -> Vec<i32> {
        self.addresses.keys().copied().collect()
    }

    /// A connection to a node.
    ///
    /// # Errors
    /// It is not known, or does not answer.
    pub fn node(&self, id: i32) -> anyhow::Result<Node> {
        let address = self.addresses.get(&id).ok_or_else(|| anyhow!("node {id} is not known"))?;
        Node::connect(address).with_context(|| format!("node {id} at {address}"))
    }

    /// A connection to the leader of a partition.
    ///
    /// # Errors
    /// There is no such partition, or it has no leader.
    pub fn leader(&mut self, topic: &str, partition: i32) -> anyhow::Result<Node> {
        let name = TopicName(StrBytes::from_string(topic.to_string()));
        let asked = MetadataRequestTopic::default().with_name(Some(name));
        let metadata = self.metadata(vec![asked])?;
        let found = metadata.topics.first().context("the topic is not answered")?;
        check(found.error_code).with_context(|| format!("topic {topic}"))?;
        let found = found.partitions.iter().find(|p| p.partition_index == partition);
        let found = found.ok_or_else(|| anyhow!("{topic} has no partition {partition}"))?;
        check(found.error_code).with_context(|| format!("partition {topic}-{partition}"))?;
        self.node(found.leader_id.0)
    }
}

/// An error code as an error.
pub fn check(code: i16) -> anyhow::Result<()> {
    match ResponseError::try_from_code(code) {
        Some(error) => Err(anyhow!("{error:?}: {error}")),
        None if code != 0 => Err(anyhow!("error {code}")),
        None => Ok(()),
    }
}
