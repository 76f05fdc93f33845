//! Fetch 4–18, without a copy of any record: a response is its fields with the log's own slices
//! between them.

use bytes::{Buf, BufMut, Bytes};

use super::reader::Reader;
use super::writer::Writer;
use super::{StrBytes, TopicRef, WireError};

const FLEXIBLE_FROM: i16 = 12;
const TOPIC_ID_FROM: i16 = 13;
/// What a partition takes in the session, on its way to its log and in the answer.
const ANSWER_BYTES: usize = 320;

#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// −1 for a consumer, else the follower's node id.
    pub replica_id: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0: read uncommitted, 1: read committed.
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten: Vec<ForgottenTopic>,
    pub rack_id: Option<StrBytes>,
    /// About what the request and its answer take beside frame and records.
    pub memory_bytes: usize,
}

#[derive(Debug, Clone)]
pub struct FetchTopic {
    pub topic: TopicRef,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    pub partition: i32,
    /// −1 where the client does not know it.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub max_bytes: i32,
}

#[derive(Debug, Clone)]
pub struct ForgottenTopic {
    pub topic: TopicRef,
    pub partitions: Vec<i32>,
}

/// Reads a request's body.
///
/// # Errors
/// The body is not what its version says.
pub fn parse(version: i16, body: Bytes) -> Result<FetchRequest, WireError> {
    let mut r = Reader::new(body, version >= FLEXIBLE_FROM);
    let replica_id = if version <= 14 { r.i32()? } else { -1 };
    let (max_wait_ms, min_bytes, max_bytes) = (r.i32()?, r.i32()?, r.i32()?);
    let isolation_level = r.i8()?;
    let (session_id, session_epoch) = if version >= 7 { (r.i32()?, r.i32()?) } else { (0, -1) };
    let (count, mut topics) = r.list(2)?;
    for _ in 0..count {
        topics.push(parse_topic(version, &mut r)?);
    }
    let forgotten = if version >= 7 { parse_all_forgotten(version, &mut r)? } else { Vec::new() };
    let rack_id = if version >= 11 { r.nullable_string()? } else { None };
    let mut request = FetchRequest {
        replica_id,
        max_wait_ms,
        min_bytes,
        max_bytes,
        isolation_level,
        session_id,
        session_epoch,
        topics,
        forgotten,
        rack_id,
        memory_bytes: r.charged(),
    };
    r.each_tag(|tag, mut bytes| {
        // ReplicaState: from version 15 on the follower's id is a tagged field.
        if tag == 1 && version >= 15 {
            request.replica_id = bytes.try_get_i32().map_err(|_| WireError::Truncated)?;
        }
        Ok(())
    })?;
    Ok(request)
}

fn parse_topic_ref(version: i16, r: &mut Reader<Bytes>) -> Result<TopicRef, WireError> {
    match version >= TOPIC_ID_FROM {
        true => Ok(TopicRef::Id(r.uuid()?)),
        false => Ok(TopicRef::Name(r.string()?)),
    }
}

fn parse_topic(version: i16, r: &mut Reader<Bytes>) -> Result<FetchTopic, WireError> {
    let topic = parse_topic_ref(version, r)?;
    let (count, mut partitions) = r.list(16)?;
    r.charge(count, ANSWER_BYTES)?;
    for _ in 0..count {
        partitions.push(FetchPartition {
            partition: r.i32()?,
            current_leader_epoch: if version >= 9 { r.i32()? } else { -1 },
            fetch_offset: r.i64()?,
            last_fetched_epoch: if version >= 12 { r.i32()? } else { -1 },
            log_start_offset: if version >= 5 { r.i64()? } else { -1 },
            max_bytes: r.i32()?,
        });
        r.skip_tags()?;
    }
    r.skip_tags()?;
    Ok(FetchTopic { topic, partitions })
}

fn parse_all_forgotten(
    version: i16,
    r: &mut Reader<Bytes>,
) -> Result<Vec<ForgottenTopic>, WireError> {
    let (count, mut forgotten) = r.list(2)?;
    for _ in 0..count {
        let topic = parse_topic_ref(version, r)?;
        let (count, mut partitions) = r.list(4)?;
        for _ in 0..count {
            partitions.push(r.i32()?);
        }
        r.skip_tags()?;
        forgotten.push(ForgottenTopic { topic, partitions });
    }
    Ok(forgotten)
}

#[derive(Debug, Clone, Default)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub topics: Vec<TopicData>,
}

#[derive(Debug, Clone)]
pub struct TopicData {
    pub topic: TopicRef,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Clone)]
pub struct PartitionData {
    pub partition: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Producer id and first offset of each aborted transaction; `None` unless read committed.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// An epoch and where it ends, for a client that has read what is not in this log (KIP-595).
    pub diverging: Option<(i32, i64)>,
    /// Leader's node id and epoch, for a client that asked the wrong one.
    pub current_leader: Option<(i32, i32)>,
    pub records: Vec<Bytes>,
}

impl PartitionData {
    /// An answer without records.
    pub fn error(partition: i32, error_code: i16) -> Self {
        PartitionData {
            partition,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted: None,
            diverging: None,
            current_leader: None,
            records: Vec::new(),
        }
    }

    pub fn record_bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

/// The response frame in pieces to be sent in order; the first begins with the frame's length.
pub fn encode(response: FetchResponse, version: i16, correlation_id: i32) -> Vec<Bytes> {
    let mut pieces = vec![Bytes::new()];
    let mut out = Writer::new(version >= FLEXIBLE_FROM, 256);
    out.buf.put_i32(response.throttle_time_ms);
    if version >= 7 {
        out.buf.put_i16(response.error_code);
        out.buf.put_i32(response.session_id);
    }
    out.count(Some(response.topics.len()));
    for topic in response.topics {
        out.topic(&topic.topic);
        out.count(Some(topic.partitions.len()));
        for partition in topic.partitions {
            encode_partition(&mut out, &mut pieces, partition, version);
        }
        out.no_tags();
    }
    out.no_tags();
    pieces.push(out.buf.freeze());
    pieces[0] = frame_start(&pieces, version, correlation_id);
    pieces
}

fn frame_start(pieces: &[Bytes], version: i16, correlation_id: i32) -> Bytes {
    let body: usize = pieces.iter().map(Bytes::len).sum();
    let mut start = Writer::new(version >= FLEXIBLE_FROM, 9);
    let header = if start.flexible { 5 } else { 4 };
    start.buf.put_i32((body + header) as i32);
    start.buf.put_i32(correlation_id);
    start.no_tags();
    start.buf.freeze()
}

fn encode_partition(
    out: &mut Writer,
    pieces: &mut Vec<Bytes>,
    mut partition: PartitionData,
    version: i16,
) {
    out.buf.put_i32(partition.partition);
    out.buf.put_i16(partition.error_code);
    out.buf.put_i64(partition.high_watermark);
    out.buf.put_i64(partition.last_stable_offset);
    if version >= 5 {
        out.buf.put_i64(partition.log_start_offset);
    }
    out.count(partition.aborted.as_ref().map(Vec::len));
    for (producer_id, first_offset) in partition.aborted.iter().flatten() {
        out.buf.put_i64(*producer_id);
        out.buf.put_i64(*first_offset);
        out.no_tags();
    }
    if version >= 11 {
        out.buf.put_i32(-1); // preferred read replica: none
    }
    out.bytes_len(partition.record_bytes());
    if !partition.records.is_empty() {
        pieces.push(out.buf.split().freeze());
        pieces.append(&mut partition.records);
    }
    match version >= 12 {
        true => encode_tags(out, &partition),
        false => out.no_tags(),
    }
}

/// Each field that is there: its number, its length, what it holds, no tags of its own.
fn encode_tags(out: &mut Writer, partition: &PartitionData) {
    let count = partition.diverging.iter().count() + partition.current_leader.iter().count();
    out.buf.put_u8(count as u8);
    if let Some((epoch, end_offset)) = partition.diverging {
        out.buf.put_slice(&[0, 13]);
        out.buf.put_i32(epoch);
        out.buf.put_i64(end_offset);
        out.buf.put_u8(0);
    }
    if let Some((id, epoch)) = partition.current_leader {
        out.buf.put_slice(&[1, 9]);
        out.buf.put_i32(id);
        out.buf.put_i32(epoch);
        out.buf.put_u8(0);
    }
}
