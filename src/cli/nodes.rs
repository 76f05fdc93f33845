//! A small client for what librdkafka has no calls for: one request after the other, each to the node
//! that it is for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{anyhow, bail, Context};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
    RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::ResponseError;

use super::client::{Connect, ASK_TIMEOUT};

/// Longest answer that is taken.
const MOST_ANSWER_BYTES: usize = 100 << 20;
/// The first with topic ids; served by every Kafka since 2.8.
const METADATA_VERSION: i16 = 10;

/// A connection to one node.
pub struct Node {
    stream: TcpStream,
    next_id: i32,
}

/// The nodes of a cluster by their ids, and the one that was asked first.
pub struct Cluster {
    /// How long a node may take.
    limit: Duration,
    first: Node,
    addresses: BTreeMap<i32, String>,
    controller: i32,
}

impl Node {
    fn connect(address: &str, limit: Duration) -> std::io::Result<Node> {
        let mut last = None;
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, limit) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(limit))?;
                    stream.set_write_timeout(Some(limit))?;
                    stream.set_nodelay(true)?;
                    return Ok(Node { stream, next_id: 0 });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
    }

    /// Connects to the first that answers of several addresses with commas between them.
    fn connect_first(addresses: &str, limit: Duration) -> std::io::Result<Node> {
        let mut last = None;
        for address in addresses.split(',').map(str::trim).filter(|a| !a.is_empty()) {
            match Node::connect(address, limit) {
                Ok(node) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::other("no address is given")))
    }

    /// What the node serves.
    ///
    /// # Errors
    /// It does not answer.
    pub fn versions(&mut self) -> anyhow::Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("corelane"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        // Version 3 has no features that can be off (KIP-584); what does not know 4 answers in version 0.
        let answer: ApiVersionsResponse = match self.ask(ApiKey::ApiVersions, 4, &request) {
            Ok(answer) => answer,
            Err(_) => self.ask(ApiKey::ApiVersions, 3, &request)?,
        };
        check(answer.error_code)?;
        Ok(answer)
    }

    /// Fails with what to do where the node does not serve an API: it would only close the
    /// connection.
    ///
    /// # Errors
    /// It does not.
    pub fn must_serve(&mut self, key: ApiKey, version: i16) -> anyhow::Result<()> {
        let serves = |api: &ApiVersion| {
            api.api_key == key as i16 && (api.min_version..=api.max_version).contains(&version)
        };
        match self.versions()?.api_keys.iter().any(serves) {
            true => Ok(()),
            false => {
                bail!("this broker does not serve {key:?} v{version}; see `corelane cluster apis`")
            }
        }
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
        Cluster::connect_within(connect, ASK_TIMEOUT)
    }

    /// [`Cluster::connect`], where each node has to answer within `limit`.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn connect_within(connect: &Connect, limit: Duration) -> anyhow::Result<Cluster> {
        let nobody = |error: &dyn std::fmt::Display| {
            anyhow!(
                "no broker answers at {} ({error}): start one with `corelane serve`, or say where \
                 it is with --bootstrap",
                connect.bootstrap
            )
        };
        let first =
            Node::connect_first(&connect.bootstrap, limit).map_err(|error| nobody(&error))?;
        let mut cluster = Cluster { limit, first, addresses: BTreeMap::new(), controller: -1 };
        let metadata = cluster.metadata(Some(Vec::new())).map_err(|error| nobody(&error))?;
        cluster.controller = metadata.controller_id.0;
        let address =
            |broker: kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
                (broker.node_id.0, format!("{}:{}", broker.host, broker.port))
            };
        cluster.addresses = metadata.brokers.into_iter().map(address).collect();
        Ok(cluster)
    }

    /// Of `None`: of all topics.
    fn metadata(
        &mut self,
        topics: Option<Vec<MetadataRequestTopic>>,
    ) -> anyhow::Result<MetadataResponse> {
        let request =
            MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        self.first.ask(ApiKey::Metadata, METADATA_VERSION, &request)
    }

    /// The node that was asked first.
    pub fn first(&mut self) -> &mut Node {
        &mut self.first
    }

    /// A connection to the controller, or to a node that speaks to it.
    ///
    /// # Errors
    /// It does not answer.
    pub fn controller(&self) -> anyhow::Result<Node> {
        let known = self.addresses.contains_key(&self.controller);
        let any = self.addresses.keys().next().copied().unwrap_or(self.controller);
        self.node(if known { self.controller } else { any })
    }

    /// What is known of topics, by name; all that exist where none are named. Partitions in order.
    ///
    /// # Errors
    /// Nobody answers, or a named topic does not exist.
    pub fn topics(
        &mut self,
        names: Option<&[String]>,
    ) -> anyhow::Result<Vec<MetadataResponseTopic>> {
        let asked =
            |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let answer = self.metadata(names.map(|names| names.iter().map(asked).collect()))?;
        let mut topics = answer.topics;
        if let Some(error) = topics.iter().find(|topic| topic.error_code != 0 && names.is_some()) {
            let name = error.name.as_ref().map_or("?", |name| name.as_str());
            return Err(match ResponseError::try_from_code(error.error_code) {
                Some(ResponseError::UnknownTopicOrPartition) => no_topic(name),
                _ => explained(error.error_code, None).context(format!("topic {name}")),
            });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
        Ok(topics)
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
        Node::connect(address, self.limit).with_context(|| format!("node {id} at {address}"))
    }

    /// A connection to the leader of a partition.
    ///
    /// # Errors
    /// There is no such partition, or it has no leader.
    pub fn leader(&mut self, topic: &str, partition: i32) -> anyhow::Result<Node> {
        let topics = self.topics(Some(&[topic.to_string()]))?;
        let found = topics.first().context("the topic is not answered")?;
        let found = found.partitions.iter().find(|p| p.partition_index == partition);
        let found = found.ok_or_else(|| anyhow!("{topic} has no partition {partition}"))?;
        check(found.error_code).with_context(|| format!("partition {topic}-{partition}"))?;
        self.node(found.leader_id.0)
    }
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_string()))
}

pub fn no_topic(name: &str) -> anyhow::Error {
    anyhow!("the topic '{name}' does not exist; see `corelane topic list`")
}

/// An error code as an error.
pub fn check(code: i16) -> anyhow::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(explained(code, None)),
    }
}

/// An error code in words: the broker's own where it has some, and Kafka's name of the error.
pub fn explained(code: i16, message: Option<&str>) -> anyhow::Error {
    let message = message.filter(|message| !message.is_empty());
    match (ResponseError::try_from_code(code), message) {
        (Some(error), message) => {
            let name = kafkas_name(&format!("{error:?}"));
            let words = message.map_or_else(|| error.to_string(), str::to_string);
            anyhow!("{words} ({name})")
        }
        (None, Some(message)) => anyhow!("{message} (error {code})"),
        (None, None) => anyhow!("error {code}"),
    }
}

/// `TOPIC_ALREADY_EXISTS` for `TopicAlreadyExists`.
fn kafkas_name(name: &str) -> String {
    let mut kafkas = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !kafkas.is_empty() {
            kafkas.push('_');
        }
        kafkas.extend(c.to_uppercase());
    }
    kafkas
}
