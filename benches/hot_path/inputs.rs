//! What the benchmarks are fed with: batches as a producer sends them, requests around them, and a
//! log that has them.

// Two programs use this, neither of them all.
#![allow(dead_code)]

use super::wire::fetch::{FetchResponse, PartitionData, TopicData};
use super::wire::produce::{PartitionResult, ProduceResponse, TopicResult};
use super::wire::{StrBytes, TopicRef};
use bytes::{Bytes, BytesMut};
use corelane_shards::log::batch::{build, BATCH_HEADER_BYTES};
use corelane_shards::log::bench::{Segment, WritePlan, WriterStep};
use corelane_shards::log::{Durability, LogConfig, LogState, Producers};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, FetchRequest, ProduceRequest, RequestHeader, TopicName as ProtocolTopicName,
};
use kafka_protocol::protocol::Encodable;

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// The sizes that batches come in: one record, librdkafka's and Java's default batch, a well filled
/// one, and the largest that a topic takes unless it is told otherwise.
pub const SIZES: [(&str, usize); 4] =
    [("100 B", 100), ("16 KiB", 16 * KIB), ("64 KiB", 64 * KIB), ("1 MiB", MIB)];

/// Values are of the size that Kafka's own comparisons have been made with since 2014.
const VALUE_BYTES: usize = 100;
/// The longest that a record of such a value gets: length, attributes, three deltas and lengths,
/// number of headers.
const RECORD_BYTES: usize = VALUE_BYTES + 12;

pub const PRODUCE_VERSION: i16 = 11;
pub const FETCH_VERSION: i16 = 12;
pub const TOPIC: &str = "orders";
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A batch of at most `bytes`, of records of 100 bytes; of one record where it is about that size.
pub fn batch(bytes: usize) -> Vec<u8> {
    let records = (bytes.saturating_sub(BATCH_HEADER_BYTES) / RECORD_BYTES).max(1);
    let values: Vec<Vec<u8>> = (0..records).map(value).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    build::batch(&values, NOW_MS, None)
}

/// Some bytes, others for every record.
fn value(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..VALUE_BYTES).map(|_| next()).collect()
}

/// A request's frame without its length, as a connection hands it on.
fn frame(key: ApiKey, version: i16, request: &impl Encodable) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(StrBytes::from_static_str("producer-1")));
    header.encode(&mut frame, key.request_header_version(version)).expect("encodes");
    request.encode(&mut frame, version).expect("encodes");
    frame.to_vec()
}

/// `acks=all`, to so many partitions of one topic, the same batch to each.
pub fn produce_frame(batch: &[u8], partitions: usize) -> Vec<u8> {
    let records = Bytes::copy_from_slice(batch);
    let data = |index| {
        PartitionProduceData::default().with_index(index).with_records(Some(records.clone()))
    };
    let topic = TopicProduceData::default()
        .with_name(ProtocolTopicName(StrBytes::from_static_str(TOPIC)))
        .with_partition_data((0..partitions as i32).map(data).collect());
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    frame(ApiKey::Produce, PRODUCE_VERSION, &request)
}

/// A fetch outside of any session, from so many partitions of one topic.
pub fn fetch_frame(partitions: usize) -> Vec<u8> {
    let ask = |index| {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(1_000)
            .with_partition_max_bytes(MIB as i32)
    };
    let topic = FetchTopic::default()
        .with_topic(ProtocolTopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions((0..partitions as i32).map(ask).collect());
    let request = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(50 * MIB as i32)
        .with_topics(vec![topic]);
    frame(ApiKey::Fetch, FETCH_VERSION, &request)
}

fn topic_ref() -> TopicRef {
    TopicRef::Name(StrBytes::from_static_str(TOPIC))
}

/// The answer to [`produce_frame`].
pub fn produce_response(partitions: usize) -> ProduceResponse {
    let result = |index| PartitionResult {
        index,
        error_code: 0,
        base_offset: 1_000_000,
        log_append_time_ms: -1,
        log_start_offset: 0,
        record_errors: Vec::new(),
        error_message: None,
        current_leader: None,
    };
    let partitions = (0..partitions as i32).map(result).collect();
    ProduceResponse {
        topics: vec![TopicResult { topic: topic_ref(), partitions }],
        throttle_time_ms: 0,
    }
}

/// The answer to [`fetch_frame`], with these records of each partition.
pub fn fetch_response(partitions: usize, records: &[Bytes]) -> FetchResponse {
    let data = |partition| PartitionData {
        high_watermark: 2_000_000,
        last_stable_offset: 2_000_000,
        log_start_offset: 0,
        records: records.to_vec(),
        ..PartitionData::error(partition, 0)
    };
    let partitions = (0..partitions as i32).map(data).collect();
    FetchResponse {
        topics: vec![TopicData { topic: topic_ref(), partitions }],
        ..FetchResponse::default()
    }
}

/// An empty log, nothing of it on any disk.
pub fn log() -> LogState {
    let config = LogConfig::default();
    LogState::new(config, vec![Segment::new(0)], 0, 0, Vec::new(), Producers::default())
}

/// A log with so many copies of a batch, all of them in memory and none written.
pub fn log_of(batch: &[u8], batches: usize) -> LogState {
    let mut log = log();
    for _ in 0..batches {
        append(&mut log, BytesMut::from(batch));
    }
    log
}

/// Appends as an `acks=all` request does.
pub fn append(log: &mut LogState, batch: BytesMut) -> i64 {
    let appended = log.append(batch, 0, Durability::Durable, NOW_MS);
    appended.expect("appends").base_offset
}

/// The write that makes durable what was appended.
pub fn plan(log: &mut LogState) -> WritePlan {
    match log.next_step() {
        WriterStep::Write(plan) => plan,
        other => panic!("a write was due, not {other:?}"),
    }
}

/// Notes that a write has completed: the log's first block is then its next write's.
pub fn written(log: &mut LogState, plan: &WritePlan, buffer: &[u8]) {
    let partial = (plan.end % 4096) as usize;
    let from = (plan.end - plan.start) as usize - partial;
    log.write_done(plan, buffer[from..from + partial].to_vec());
}

/// The bytes of a segment: so many copies of a batch, each with its offsets.
pub fn segment(batch: &[u8], batches: usize) -> Bytes {
    let log = log_of(batch, batches);
    let end = log.log_end();
    let pieces = log.read_tail(0, end, usize::MAX, true).expect("is in memory");
    Bytes::from(pieces.concat())
}
