//! Fetches what one node leads, on a thread of its own. When the node is away it waits for it, or for
//! whoever leads its partitions then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use corelane_shards::log::batch::{
    check_whole, undone_records, BatchHeader, Codec, Marker, BATCH_HEADER_BYTES,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse};
use kafka_protocol::ResponseError;

use super::plan::Range;
use crate::cli::client::Connect;
use crate::cli::nodes::{explained, no_topic, topic_name, Cluster, Node};
use crate::cli::offsets::{at_times, leaders, Place, EARLIEST};

/// The last version that names topics instead of telling their ids.
const FETCH_VERSION: i16 = 12;
const MAX_WAIT_MS: i32 = 500;
const MAX_BYTES: i32 = 16 << 20;
const MAX_PARTITION_BYTES: i32 = 2 << 20;
/// Before a broker that was away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A partition is somewhere else by now, or will be, or is gone. Other errors would come again and
/// again, as that of a damaged batch.
const MOVED: [ResponseError; 8] = [
    ResponseError::NotLeaderOrFollower,
    ResponseError::LeaderNotAvailable,
    ResponseError::FencedLeaderEpoch,
    ResponseError::UnknownLeaderEpoch,
    ResponseError::ReplicaNotAvailable,
    ResponseError::OffsetNotAvailable,
    ResponseError::UnknownTopicOrPartition,
    ResponseError::UnknownTopicId,
];

/// What a reader tells.
pub enum Event {
    Part(Part),
    /// A range is read to its end.
    Done,
    Failed(anyhow::Error),
}

/// A batch's records.
pub struct Part {
    /// The number of its partition.
    pub index: usize,
    pub base_offset: i64,
    pub base_timestamp: i64,
    /// The timestamp of all of them, where the broker sets it.
    pub append_time: Option<i64>,
    /// Only the records of these offsets are wanted.
    pub from: i64,
    pub stop: Option<i64>,
    /// Not compressed.
    pub records: Bytes,
}

pub struct Reader {
    connect: Connect,
    /// By number; those that are read to their ends are gone.
    ranges: BTreeMap<usize, Range>,
    numbers: BTreeMap<Place, usize>,
    committed: bool,
    cluster: Option<Cluster>,
    nodes: BTreeMap<i32, Node>,
}

/// Nobody wants to hear of it any more.
struct Unwanted;

impl Reader {
    pub fn new(connect: Connect, ranges: BTreeMap<usize, Range>, committed: bool) -> Reader {
        let numbers = ranges.iter().map(|(index, range)| (range.place.clone(), *index)).collect();
        Reader { connect, ranges, numbers, committed, cluster: None, nodes: BTreeMap::new() }
    }

    pub fn run(mut self, events: &SyncSender<Event>) {
        while !self.ranges.is_empty() {
            let led: BTreeSet<i32> = self.ranges.values().map(|range| range.leader).collect();
            for node in led {
                match self.fetch(node) {
                    Ok(answer) => match self.take(answer, events) {
                        Ok(true) => (),
                        Ok(false) => {
                            std::thread::sleep(RETRY_INTERVAL);
                            self.look_again(events);
                        }
                        Err(Unwanted) => return,
                    },
                    Err(error) => {
                        tracing::debug!("node {node}: {error:#}");
                        self.nodes.remove(&node);
                        std::thread::sleep(RETRY_INTERVAL);
                        self.look_again(events);
                    }
                }
            }
        }
    }

    fn fetch(&mut self, node: i32) -> anyhow::Result<FetchResponse> {
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for range in self.ranges.values().filter(|range| range.leader == node) {
            let partition = FetchPartition::default()
                .with_partition(range.place.1)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(range.next)
                .with_partition_max_bytes(MAX_PARTITION_BYTES);
            topics.entry(&range.place.0).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            FetchTopic::default().with_topic(topic_name(topic)).with_partitions(partitions)
        });
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(MAX_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_isolation_level(i8::from(self.committed))
            .with_session_epoch(-1)
            .with_topics(topics.collect());
        if self.cluster.is_none() {
            self.cluster = Some(Cluster::connect(&self.connect)?);
        }
        if !self.nodes.contains_key(&node) {
            let cluster = self.cluster.as_ref().ok_or_else(|| anyhow!("no cluster"))?;
            self.nodes.insert(node, cluster.node(node)?);
        }
        let node = self.nodes.get_mut(&node).ok_or_else(|| anyhow!("no node"))?;
        node.ask(ApiKey::Fetch, FETCH_VERSION, &request)
    }

    /// Hands on what was fetched. `false`: a partition has another leader by now.
    fn take(
        &mut self,
        answer: FetchResponse,
        events: &SyncSender<Event>,
    ) -> Result<bool, Unwanted> {
        let tell = |event| events.send(event).map_err(|_| Unwanted);
        if answer.error_code != 0 {
            tell(Event::Failed(explained(answer.error_code, None)))?;
            return Err(Unwanted);
        }
        let mut same_leader = true;
        for topic in answer.responses {
            for partition in topic.partitions {
                let place = (topic.topic.to_string(), partition.partition_index);
                let Some(&index) = self.numbers.get(&place) else { continue };
                let Some(range) = self.ranges.get_mut(&index) else { continue };
                match ResponseError::try_from_code(partition.error_code) {
                    None => read(index, range, partition, &tell)?,
                    Some(ResponseError::OffsetOutOfRange) => {
                        if let Err(error) = skip_deleted(self.cluster.as_ref(), range) {
                            tell(Event::Failed(error))?;
                        }
                    }
                    Some(error) if MOVED.contains(&error) => same_leader = false,
                    Some(_) => {
                        let error = explained(partition.error_code, None);
                        let (topic, index) = &range.place;
                        tell(Event::Failed(error.context(format!("partition {topic}-{index}"))))?;
                    }
                }
                if range.is_done() {
                    self.ranges.remove(&index);
                    tell(Event::Done)?;
                }
            }
        }
        Ok(same_leader)
    }

    /// Learns who leads what now, if anybody answers.
    fn look_again(&mut self, events: &SyncSender<Event>) {
        let Ok(mut cluster) = Cluster::connect(&self.connect) else { return };
        let mut names: Vec<String> =
            self.ranges.values().map(|range| range.place.0.clone()).collect();
        names.dedup();
        let topics = match cluster.topics(Some(&names)) {
            Ok(topics) => topics,
            Err(error) => {
                let _ = events.send(Event::Failed(error));
                return;
            }
        };
        let leaders = leaders(&topics);
        for range in self.ranges.values_mut() {
            match leaders.get(&range.place) {
                Some(leader) => range.leader = *leader,
                None => drop(events.send(Event::Failed(no_topic(&range.place.0)))),
            }
        }
        self.cluster = Some(cluster);
        self.nodes.clear();
    }
}

/// Where what was to be read has been deleted, goes on with what is there.
fn skip_deleted(cluster: Option<&Cluster>, range: &mut Range) -> anyhow::Result<()> {
    let cluster = cluster.ok_or_else(|| anyhow!("no cluster"))?;
    let leaders = BTreeMap::from([(range.place.clone(), range.leader)]);
    let found = at_times(cluster, &leaders, &[(range.place.clone(), EARLIEST)], false)?;
    let start = found.get(&range.place).copied().unwrap_or(-1);
    if start <= range.next {
        let (topic, index) = &range.place;
        return Err(anyhow!(
            "{topic}-{index} ends before offset {}: it is not the one it was",
            range.next
        ));
    }
    range.next = start;
    Ok(())
}

/// Walks a partition's batches and tells those that count.
fn read(
    index: usize,
    range: &mut Range,
    partition: PartitionData,
    tell: &impl Fn(Event) -> Result<(), Unwanted>,
) -> Result<(), Unwanted> {
    let mut aborted = partition.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
    // Producers whose transaction will turn out to be aborted.
    let mut undone: BTreeSet<i64> = BTreeSet::new();
    let mut bytes = partition.records.unwrap_or_default();
    while let Some(header) = BatchHeader::peek(&bytes) {
        let size = usize::try_from(header.claimed_size()).unwrap_or(usize::MAX);
        if size > bytes.len() || range.is_done() {
            break;
        }
        let batch = bytes.split_to(size.max(1));
        if let Err(error) = check_whole(&batch) {
            let (topic, index) = &range.place;
            let error = anyhow!("{topic}-{index} at offset {}: {error}", header.base_offset.get());
            return tell(Event::Failed(error));
        }
        while aborted.last().is_some_and(|next| next.first_offset <= header.last_offset()) {
            undone.extend(aborted.pop().map(|transaction| transaction.producer_id.0));
        }
        let producer = header.producer_id.get();
        if header.is_control() {
            if Marker::of(&header, &batch).is_some_and(|marker| !marker.commit) {
                undone.remove(&producer);
            }
        } else if !(header.is_transactional() && undone.contains(&producer)) {
            match part(index, range, &header, &batch) {
                Ok(part) => tell(Event::Part(part))?,
                Err(error) => return tell(Event::Failed(error)),
            }
        }
        range.next = range.next.max(header.last_offset() + 1);
    }
    Ok(())
}

fn part(index: usize, range: &Range, header: &BatchHeader, batch: &Bytes) -> anyhow::Result<Part> {
    let records = match header.codec()? {
        Codec::None => batch.slice(BATCH_HEADER_BYTES..),
        _ => undone_records(header, batch)?.into(),
    };
    Ok(Part {
        index,
        base_offset: header.base_offset.get(),
        base_timestamp: header.base_timestamp.get(),
        append_time: header.is_log_append_time().then(|| header.max_timestamp.get()),
        from: range.next,
        stop: range.stop,
        records,
    })
}
