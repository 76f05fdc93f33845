//! Produce (key 0), versions 3–13: `acks` 0, 1 and all; one record batch per partition (as Kafka
//! demands since 0.11); idempotent and transactional producers (KIP-98, KIP-890). KIP-467: what is wrong,
//! and with which records.
//!
//! Knowingly missing: batches are undone only where their topic asks for it (it is compacted, has another
//! compression, or has a first time), so that elsewhere a compressed batch's last time is what it claims.

use std::cell::Cell;
use std::rc::Rc;

use bytes::BytesMut;
use corelane_shards::log::batch::{self, BatchError, BatchHeader, Codec, RecordTimes};
use corelane_shards::log::NewBatch;
use corelane_shards::runtime::ShardId;

use super::buffer_memory::BufferMemory;
use super::record_errors::{judge, Rules};
use super::route::{locate, Groups};
use crate::broker::{Routed, Shard};
use crate::config::{TimestampType, TopicConfig};
use crate::group::is_internal;
use crate::metadata::MetadataImage;
use crate::partition::{
    InTransaction, Operation, Outcome, PartitionKey, ProduceGroup, ProduceOutcome,
};
use crate::wire::produce::{PartitionResult, ProduceRequest, ProduceResponse, TopicResult};
use crate::wire::{ErrorCode, StrBytes, TopicRef, NO_SUCH_PARTITION};

/// A request whose appends have begun in order; what is left is to wait for them.
pub struct Admitted {
    /// `false` for `acks=0`: nothing is answered.
    pub wants_answer: bool,
    topics: Vec<(TopicRef, Vec<i32>)>,
    results: Vec<PartitionResult>,
    under_way: Vec<(Vec<usize>, Routed)>,
    /// The shard of all its partitions, if that is one.
    pub owner: Option<ShardId>,
}

/// Versions from which on the broker adds partitions to the transaction by itself, and the client
/// knows what TRANSACTION_ABORTABLE means (KIP-890).
const ADDS_FROM: i16 = 12;
const ABORTABLE_FROM: i16 = 11;

/// Records of a request that an answer names: each is some hundred bytes.
const MOST_NAMED: usize = 1_000;

/// Why a batch is refused: Kafka's code and words for the client.
type Refused = (ErrorCode, String);

/// Checks a request and begins its appends on the owning shards, in the order of the connection.
/// `memory`: what is held by keeping any part of its frame.
pub async fn admit(
    shard: &Rc<Shard>,
    version: i16,
    request: ProduceRequest,
    memory: &BufferMemory,
    now_ms: i64,
) -> Admitted {
    let image = shard.image();
    let mut admitted = Admitted {
        wants_answer: request.acks != 0,
        topics: Vec::with_capacity(request.topics.len()),
        results: Vec::new(),
        under_way: Vec::new(),
        owner: None,
    };
    let named = Cell::new(0);
    let check = Check { image: &image, version, acks: request.acks, now_ms, named };
    let mut groups: Groups<(PartitionKey, NewBatch)> = Groups::new();
    let mut transaction = None;
    for topic in request.topics {
        let mut indexes = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let place = admitted.results.len();
            indexes.push(partition.index);
            let mut result = nothing_appended(partition.index);
            let checked =
                check.partition(&topic.topic, partition.index, partition.records, &mut result);
            let checked = checked.and_then(|(owner, key, bytes)| {
                note_transaction(&request.transactional_id, version, &bytes, &mut transaction)?;
                Ok((owner, key, bytes))
            });
            match checked {
                Ok((owner, key, bytes)) => {
                    let batch = NewBatch { bytes, memory: memory.charge(owner) };
                    groups.add(owner, place, (key, batch));
                }
                Err((code, message)) => {
                    result.error_code = code.code();
                    result.error_message = Some(message);
                }
            }
            admitted.results.push(result);
        }
        admitted.topics.push((topic.topic, indexes));
    }
    let durable = request.acks == -1;
    admitted.owner = groups.only();
    for (owner, places, entries) in groups.into_parts() {
        let group = ProduceGroup { durable, now_ms, transaction: transaction.clone(), entries };
        if let Ok(routed) = shard.route(owner, Operation::Produce(group)).await {
            admitted.under_way.push((places, routed));
        }
    }
    admitted
}

impl Admitted {
    /// Waits until every append is as safe as was asked for.
    pub async fn finish(mut self) -> ProduceResponse {
        for (places, routed) in std::mem::take(&mut self.under_way) {
            match routed.outcome().await {
                Some(Outcome::Produce(outcomes)) => {
                    for (place, outcome) in places.into_iter().zip(outcomes) {
                        fill(&mut self.results[place], outcome);
                    }
                }
                _ => places.into_iter().for_each(|place| {
                    self.results[place].error_code = ErrorCode::NotLeaderOrFollower.code();
                }),
            }
        }
        let mut results = self.results.into_iter();
        let topic = |(topic, indexes): (TopicRef, Vec<i32>)| TopicResult {
            topic,
            partitions: results.by_ref().take(indexes.len()).collect(),
        };
        ProduceResponse {
            topics: self.topics.into_iter().map(topic).collect(),
            throttle_time_ms: 0,
        }
    }
}

/// Notes whose transaction a batch is part of: all of a request are part of one.
fn note_transaction(
    id: &Option<StrBytes>,
    version: i16,
    batch: &[u8],
    noted: &mut Option<InTransaction>,
) -> Result<(), Refused> {
    let Some(header) = BatchHeader::peek(batch).filter(BatchHeader::is_transactional) else {
        return Ok(());
    };
    let Some(id) = id else {
        let message = "A transactional batch needs a transactional id.".to_string();
        return Err((ErrorCode::TransactionalIdAuthorizationFailed, message));
    };
    let (producer_id, producer_epoch) = (header.producer_id.get(), header.producer_epoch.get());
    if producer_id < 0 {
        let message = "A transactional batch needs a producer id.".to_string();
        return Err((ErrorCode::InvalidRecord, message));
    }
    let first = noted.get_or_insert_with(|| InTransaction {
        id: id.to_string(),
        producer_id,
        producer_epoch,
        adds_partitions: version >= ADDS_FROM,
        knows_abortable: version >= ABORTABLE_FROM,
        refused: None,
    });
    if (first.producer_id, first.producer_epoch) != (producer_id, producer_epoch) {
        let message = "The batches of a request are of one producer.".to_string();
        return Err((ErrorCode::InvalidProducerIdMapping, message));
    }
    Ok(())
}

fn nothing_appended(index: i32) -> PartitionResult {
    PartitionResult {
        index,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..PartitionResult::default()
    }
}

fn fill(result: &mut PartitionResult, outcome: ProduceOutcome) {
    if outcome.error_code != 0 {
        result.log_append_time_ms = -1;
    }
    result.error_code = outcome.error_code;
    result.error_message = outcome.error_message;
    result.base_offset = outcome.base_offset;
    result.log_start_offset = outcome.log_start_offset;
}

fn refused(error: BatchError) -> Refused {
    let code = match error {
        BatchError::Checksum { .. }
        | BatchError::Length { .. }
        | BatchError::Compression(_)
        | BatchError::TooShort { .. } => ErrorCode::CorruptMessage,
        BatchError::Codec(_) => ErrorCode::UnsupportedCompressionType,
        _ => ErrorCode::InvalidRecord,
    };
    (code, error.to_string())
}

/// A batch's records, as far as they were looked at.
struct Inside {
    header: BatchHeader,
    times: Option<RecordTimes>,
    undone: Option<Vec<u8>>,
}

impl Inside {
    /// The records undone, which they are now if they were not.
    fn undo(&mut self, batch: &[u8]) -> Result<&[u8], Refused> {
        if self.undone.is_none() {
            let (undone, times) = batch::check_inside(&self.header, batch).map_err(refused)?;
            (self.undone, self.times) = (Some(undone), Some(times));
        }
        Ok(self.undone.as_deref().unwrap_or_default())
    }

    /// Whether records may have times that are not taken. A compressed batch is undone to know the first
    /// of them; the last is believed if it is the only one that matters.
    fn is_suspicious(&mut self, batch: &[u8], taken: Option<(i64, i64)>) -> Result<bool, Refused> {
        let Some((earliest, latest)) = taken else { return Ok(self.header.is_log_append_time()) };
        if self.times.is_none() && earliest > 0 {
            self.undo(batch)?;
        }
        Ok(match self.times {
            Some(times) => times.least < earliest || times.greatest > latest,
            None => self.header.max_timestamp.get() > latest,
        })
    }
}

struct Check<'a> {
    image: &'a MetadataImage,
    version: i16,
    acks: i16,
    now_ms: i64,
    /// Records that were named so far.
    named: Cell<usize>,
}

impl Check<'_> {
    /// Everything that can be known before the owner sees the batch.
    fn partition(
        &self,
        topic: &TopicRef,
        index: i32,
        records: Option<BytesMut>,
        result: &mut PartitionResult,
    ) -> Result<(corelane_shards::runtime::ShardId, PartitionKey, BytesMut), Refused> {
        if !(-1..=1).contains(&self.acks) {
            let message = format!("acks={} is not allowed, only 0, 1 and -1 (all)", self.acks);
            return Err((ErrorCode::InvalidRequiredAcks, message));
        }
        let (owner, key) = locate(self.image, topic, index)
            .map_err(|code| (code, NO_SUCH_PARTITION.to_string()))?;
        let topic = match self.image.by_id.get(&key.topic) {
            Some(topic) if is_internal(topic.name.as_str()) => {
                let message = "The topic belongs to the broker.".to_string();
                return Err((ErrorCode::InvalidTopicException, message));
            }
            Some(topic) => topic,
            None => return Err((ErrorCode::UnknownTopicId, String::new())),
        };
        let config = &topic.config;
        let mut records = records.unwrap_or_default();
        let mut inside = self.check_batch(&records, config)?;
        let times = self.times(config);
        if config.log.compact || inside.is_suspicious(&records, times)? {
            let (partition, needs_keys) = (index, config.log.compact);
            let rules = Rules { topic: topic.name.as_str(), partition, needs_keys, times };
            let header = inside.header;
            self.check_records(&rules, &header, inside.undo(&records)?, result)?;
        }
        let codec = inside.header.codec().map_err(refused)?;
        if let Some(wanted) = config.compression.filter(|wanted| *wanted != codec) {
            let header = inside.header;
            let other = batch::recompress(&header, inside.undo(&records)?, wanted);
            let other = other.map_err(|e| (ErrorCode::UnknownServerError, e.to_string()))?;
            records = BytesMut::from(&other[..]);
        }
        match (config.timestamp_type, inside.times) {
            (TimestampType::LogAppendTime, _) => {
                batch::stamp_append_time(&mut records, self.now_ms);
                result.log_append_time_ms = self.now_ms;
            }
            (TimestampType::CreateTime, Some(times)) => {
                batch::set_last_time(&mut records, times.greatest);
            }
            (TimestampType::CreateTime, None) => (),
        }
        Ok((owner, key, records))
    }

    fn check_batch(&self, records: &[u8], config: &TopicConfig) -> Result<Inside, Refused> {
        let invalid = |message: &str| (ErrorCode::InvalidRecord, message.to_string());
        let header = match BatchHeader::peek(records) {
            Some(header) => header,
            None if records.is_empty() => {
                return Err(invalid("a produce request has one record batch per partition"))
            }
            // Too short for a header of version 2: the older formats have their version at 16.
            None => return Err(invalid("not a record batch of version 2")),
        };
        match header.magic {
            batch::MAGIC_V2 => {}
            0 | 1 => return Err(invalid("only record batches of version 2 are allowed")),
            other => {
                let message = format!("record batches of version {other} do not exist");
                return Err((ErrorCode::CorruptMessage, message));
            }
        }
        if (0..records.len() as i64).contains(&header.claimed_size()) {
            return Err(invalid("a produce request has exactly one record batch per partition"));
        }
        if header.claimed_size() > records.len() as i64 {
            return Err(invalid("the record batch is cut off"));
        }
        if header.codec() == Ok(Codec::Zstd) && self.version < 7 {
            let message = "Produce requests below version 7 may not use ZStandard".to_string();
            return Err((ErrorCode::UnsupportedCompressionType, message));
        }
        if records.len() > config.max_message_bytes {
            let message = format!(
                "the record batch is {} bytes long and the topic's max.message.bytes is {}",
                records.len(),
                config.max_message_bytes
            );
            return Err((ErrorCode::MessageTooLarge, message));
        }
        let times = batch::check_produced(records).map_err(refused)?;
        Ok(Inside { header, times, undone: None })
    }

    /// The first and last times that a topic takes, where its producers' times count.
    fn times(&self, config: &TopicConfig) -> Option<(i64, i64)> {
        let range = || {
            let first = self.now_ms.saturating_sub(config.timestamp_before_max_ms);
            (first, self.now_ms.saturating_add(config.timestamp_after_max_ms))
        };
        (config.timestamp_type != TimestampType::LogAppendTime).then(range)
    }

    fn check_records(
        &self,
        rules: &Rules<'_>,
        header: &BatchHeader,
        undone: &[u8],
        result: &mut PartitionResult,
    ) -> Result<(), Refused> {
        let most = MOST_NAMED - self.named.get();
        if let Some(refusal) = judge(rules, header, undone, most) {
            self.named.set(self.named.get() + refusal.records.len());
            result.record_errors = refusal.records;
            return Err((refusal.code, refusal.message));
        }
        Ok(())
    }
}
