//! Times of single records: those that a topic does not take are refused by their place in the batch,
//! whatever the batch's header claims. What is expected was answered by Apache Kafka 4.1.1.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use corelane_shards::log::batch::{build, Codec};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Setup};

const NONE: i16 = 0;
const INVALID_TIMESTAMP: i16 = 32;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Where a batch's header has its last time.
const LAST_TIME: std::ops::Range<usize> = 35..43;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}

fn produce(broker: &Broker, topic: &str, batch: &[u8]) -> PartitionProduceResponse {
    let records = Some(batch.to_vec().into());
    let partition = PartitionProduceData::default().with_index(0).with_records(records);
    let topic =
        TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let answer: ProduceResponse = broker.client().ask(ApiKey::Produce, 9, &request);
    answer.responses[0].partition_responses[0].clone()
}

/// The batch with another last time in its header, and a right checksum.
fn claiming(mut batch: Vec<u8>, last_ms: i64) -> Vec<u8> {
    batch[LAST_TIME].copy_from_slice(&last_ms.to_be_bytes());
    build::seal(&mut batch);
    batch
}

/// The first record at or after a time: its offset and its time.
fn at(broker: &Broker, topic: &str, time_ms: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(time_ms);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer: ListOffsetsResponse = broker.client().ask(ApiKey::ListOffsets, 5, &request);
    let partition = &answer.topics[0].partitions[0];
    (partition.offset, partition.timestamp)
}

#[test]
fn records_too_old_or_too_late_in_the_middle_of_a_batch_are_refused_by_place() {
    let broker = Broker::start(Setup::new("single"));
    let hour = HOUR.to_string();
    let (before, after) = (
        format!("message.timestamp.before.max.ms={hour}"),
        format!("message.timestamp.after.max.ms={hour}"),
    );
    broker.run(&["topic", "create", "t", "--config", &before, "--config", &after], b"");
    let now = now_ms();
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let cases: &[(&[i64], i64, &[i32])] = &[
            (&[0, -10, 5], 5, &[]),
            (&[0, -DAY, 0], 0, &[1]),
            (&[0, -DAY, DAY, -DAY], DAY, &[1, 2, 3]),
            (&[0, DAY, 0], 0, &[1]),
            (&[0, DAY, 0], DAY, &[1]),
            (&[0, 1, 0], DAY, &[]),
            (&[0, i64::MAX, 0], 0, &[1]),
        ];
        for (deltas, claimed, expected) in cases {
            let batch = claiming(build::timed(deltas, now, codec), now.saturating_add(*claimed));
            let answer = produce(&broker, "t", &batch);
            let named: Vec<i32> = answer.record_errors.iter().map(|e| e.batch_index).collect();
            assert_eq!(named, *expected, "{codec:?} {deltas:?} {claimed}");
            let code = if expected.is_empty() { NONE } else { INVALID_TIMESTAMP };
            assert_eq!(answer.error_code, code, "{codec:?} {deltas:?}: {:?}", answer.error_message);
        }
        // Without a time, and (-2) just before: only the first is always taken.
        let answer = produce(&broker, "t", &build::timed(&[0, 0], -1, codec));
        assert_eq!(answer.error_code, NONE, "{codec:?}");
        let answer = produce(&broker, "t", &build::timed(&[0, -1], -1, codec));
        assert_eq!((answer.error_code, answer.record_errors[0].batch_index), (32, 1), "{codec:?}");
    }
}

#[test]
fn later_than_the_header_claims_is_seen_without_undoing_and_after_it() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    let now = now_ms();
    let late = build::timed(&[0, DAY], now, Codec::None);
    for batch in [claiming(late.clone(), now), late] {
        let answer = produce(&broker, "t", &batch);
        assert_eq!((answer.error_code, answer.record_errors[0].batch_index), (32, 1));
    }
    // Compressed, an honest header is enough to name the record.
    let answer = produce(&broker, "t", &build::timed(&[0, DAY], now, Codec::Zstd));
    assert_eq!((answer.error_code, answer.record_errors[0].batch_index), (32, 1));
    let old = produce(&broker, "t", &build::timed(&[0, -30 * DAY], now, Codec::Zstd));
    assert_eq!(old.error_code, NONE, "no topic is too young by default");
}

#[test]
fn what_a_header_claims_wrongly_is_put_right_where_records_are_seen() {
    let mut broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    let now = now_ms();
    // Claims too little, far too much (and is undone for it), and an hour's quarter too much.
    let cases = [(Codec::None, 0), (Codec::None, DAY), (Codec::Zstd, DAY), (Codec::None, HOUR / 4)];
    for (codec, claimed) in cases {
        let batch = claiming(build::timed(&[0, 7, 3], now, codec), now + claimed);
        let answer = produce(&broker, "t", &batch);
        assert_eq!(answer.error_code, NONE, "{codec:?} {claimed}: {:?}", answer.error_message);
    }
    for _ in 0..2 {
        assert_eq!(at(&broker, "t", now + 7), (1, now + 7));
        assert_eq!(at(&broker, "t", now + 8), (-1, -1), "no record is later");
        broker = broker.crash_and_restart();
    }
}
