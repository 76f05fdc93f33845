//! Produce 3–13, without a copy of any record: a partition's batch is its own part of the frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::Reader;
use super::writer::Writer;
use super::{StrBytes, TopicRef, WireError};

const FLEXIBLE_FROM: i16 = 9;
const TOPIC_ID_FROM: i16 = 13;
/// What a partition takes on its way to its log and in the answer.
const ADMITTED_BYTES: usize = 320;

#[derive(Debug)]
pub struct ProduceRequest {
    pub transactional_id: Option<StrBytes>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<ProduceTopic>,
    /// About what the request takes beside its frame until it is answered.
    pub memory_bytes: usize,
}

#[derive(Debug)]
pub struct ProduceTopic {
    pub topic: TopicRef,
    pub partitions: Vec<ProducePartition>,
}

#[derive(Debug)]
pub struct ProducePartition {
    pub index: i32,
    /// What the client sent as record batches, unchecked.
    pub records: Option<BytesMut>,
}

/// Reads a request's body.
///
/// # Errors
/// The body is not what its version says.
pub fn parse(version: i16, body: BytesMut) -> Result<ProduceRequest, WireError> {
    let mut reader = Reader::new(body, version >= FLEXIBLE_FROM);
    let transactional_id = reader.nullable_string()?;
    let acks = reader.i16()?;
    let timeout_ms = reader.i32()?;
    let (count, mut topics) = reader.list(2)?;
    for _ in 0..count {
        topics.push(parse_topic(version, &mut reader)?);
    }
    reader.skip_tags()?;
    let memory_bytes = reader.charged();
    Ok(ProduceRequest { transactional_id, acks, timeout_ms, topics, memory_bytes })
}

fn parse_topic(version: i16, reader: &mut Reader<BytesMut>) -> Result<ProduceTopic, WireError> {
    let topic = match version >= TOPIC_ID_FROM {
        true => TopicRef::Id(reader.uuid()?),
        false => TopicRef::Name(reader.string()?),
    };
    let (count, mut partitions) = reader.list(5)?;
    reader.charge(count, ADMITTED_BYTES)?;
    for _ in 0..count {
        let index = reader.i32()?;
        let records = reader.own_bytes()?;
        reader.skip_tags()?;
        partitions.push(ProducePartition { index, records });
    }
    reader.skip_tags()?;
    Ok(ProduceTopic { topic, partitions })
}

#[derive(Debug, Clone, Default)]
pub struct ProduceResponse {
    pub topics: Vec<TopicResult>,
    pub throttle_time_ms: i32,
}

#[derive(Debug, Clone)]
pub struct TopicResult {
    pub topic: TopicRef,
    pub partitions: Vec<PartitionResult>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionResult {
    pub index: i32,
    pub error_code: i16,
    /// −1 where nothing was appended.
    pub base_offset: i64,
    /// −1 unless the topic stamps its records (`LogAppendTime`).
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// Those that a batch was refused for (KIP-467).
    pub record_errors: Vec<RecordError>,
    pub error_message: Option<String>,
    /// Leader's node id and epoch, for a client that asked the wrong one.
    pub current_leader: Option<(i32, i32)>,
}

/// A record that its batch was refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch.
    pub index: i32,
    pub message: String,
}

/// The whole response frame, length first.
pub fn encode(response: &ProduceResponse, version: i16, correlation_id: i32) -> Bytes {
    let mut out = Writer::new(version >= FLEXIBLE_FROM, 128);
    out.buf.put_i32(0);
    out.buf.put_i32(correlation_id);
    out.no_tags();
    out.count(Some(response.topics.len()));
    for topic in &response.topics {
        out.topic(&topic.topic);
        out.count(Some(topic.partitions.len()));
        for partition in &topic.partitions {
            encode_partition(&mut out, partition, version);
        }
        out.no_tags();
    }
    out.buf.put_i32(response.throttle_time_ms);
    out.no_tags();
    let len = (out.buf.len() - 4) as i32;
    out.buf[..4].copy_from_slice(&len.to_be_bytes());
    out.buf.freeze()
}

fn encode_partition(out: &mut Writer, partition: &PartitionResult, version: i16) {
    out.buf.put_i32(partition.index);
    out.buf.put_i16(partition.error_code);
    out.buf.put_i64(partition.base_offset);
    out.buf.put_i64(partition.log_append_time_ms);
    if version >= 5 {
        out.buf.put_i64(partition.log_start_offset);
    }
    if version >= 8 {
        out.count(Some(partition.record_errors.len()));
        for record in &partition.record_errors {
            out.buf.put_i32(record.index);
            out.nullable_string(Some(&record.message));
            out.no_tags();
        }
        out.nullable_string(partition.error_message.as_deref());
    }
    match partition.current_leader {
        Some((id, epoch)) if version >= 10 => {
            // One tagged field, number 0, of nine bytes: id, epoch, no tags of its own.
            out.buf.put_slice(&[1, 0, 9]);
            out.buf.put_i32(id);
            out.buf.put_i32(epoch);
            out.buf.put_u8(0);
        }
        _ => out.no_tags(),
    }
}
