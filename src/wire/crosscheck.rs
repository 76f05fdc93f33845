//! Our codecs of Produce and Fetch against those of the `kafka-protocol` crate, in every version.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use proptest::prelude::*;
use theirs::produce_response::BatchIndexAndErrorMessage;
use theirs::{BrokerId, TopicName, TransactionalId};

use super::{allocations, apis, fetch, produce, ApiKey, StrBytes, TopicRef, Uuid, WireError};

fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    match key {
        ApiKey::Produce => 3..=13,
        _ => apis::find(key).expect("is served").versions.clone(),
    }
}

/// A topic, by name or id as the version has it.
fn topic(version: i16, number: u8) -> (TopicRef, TopicName, Uuid) {
    let name = StrBytes::from_string(format!("topic-{number}"));
    let id = Uuid::from_u128(u128::from(number) + 1);
    match version >= 13 {
        true => (TopicRef::Id(id), TopicName::default(), id),
        false => (TopicRef::Name(name.clone()), TopicName(name), Uuid::nil()),
    }
}

fn encoded(message: &impl Encodable, version: i16) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("the crate encodes it");
    out
}

/// What follows length, correlation id and header of a response frame.
fn body_of(frame: &[u8], flexible: bool) -> Bytes {
    let mut frame = Bytes::copy_from_slice(frame);
    assert_eq!(frame.get_i32() as usize, frame.len());
    assert_eq!(frame.get_i32(), 77);
    if flexible {
        assert_eq!(frame.get_u8(), 0);
    }
    frame
}

type Partitions = Vec<(i32, Option<Vec<u8>>)>;

prop_compose! {
    fn any_topics()(
        topics in prop::collection::vec(
            prop::collection::vec(
                (any::<i32>(), prop::option::of(prop::collection::vec(any::<u8>(), 0..200))),
                0..4,
            ),
            0..4,
        )
    ) -> Vec<Partitions> { topics }
}

fn produce_request(version: i16, topics: &[Partitions]) -> theirs::ProduceRequest {
    use theirs::produce_request::{PartitionProduceData, TopicProduceData};
    let data = topics.iter().enumerate().map(|(number, partitions)| {
        let (_, name, id) = topic(version, number as u8);
        let partition = |(index, records): &(i32, Option<Vec<u8>>)| {
            PartitionProduceData::default()
                .with_index(*index)
                .with_records(records.clone().map(Bytes::from))
        };
        TopicProduceData::default()
            .with_name(name)
            .with_topic_id(id)
            .with_partition_data(partitions.iter().map(partition).collect())
    });
    theirs::ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("tx"))))
        .with_acks(-1)
        .with_timeout_ms(1234)
        .with_topic_data(data.collect())
}

fn fetch_request(version: i16, topics: &[Partitions]) -> theirs::FetchRequest {
    use theirs::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
    let asked = topics.iter().enumerate().map(|(number, partitions)| {
        let (_, name, id) = topic(version, number as u8);
        let partition = |(index, _): &(i32, Option<Vec<u8>>)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_current_leader_epoch(if version >= 9 { 5 } else { -1 })
                .with_fetch_offset(i64::from(*index) * 3)
                .with_last_fetched_epoch(if version >= 12 { 4 } else { -1 })
                .with_log_start_offset(if version >= 5 { 2 } else { -1 })
                .with_partition_max_bytes(999)
        };
        FetchTopic::default()
            .with_topic(name)
            .with_topic_id(id)
            .with_partitions(partitions.iter().map(partition).collect())
    });
    let request = theirs::FetchRequest::default()
        .with_max_wait_ms(11)
        .with_min_bytes(12)
        .with_max_bytes(13)
        .with_isolation_level(1)
        .with_topics(asked.collect());
    let request = match version >= 15 {
        true => request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(9))),
        false => request.with_replica_id(BrokerId(9)),
    };
    if version < 7 {
        return request;
    }
    let (_, name, id) = topic(version, 200);
    let forgotten =
        ForgottenTopic::default().with_topic(name).with_topic_id(id).with_partitions(vec![1, 2, 3]);
    let request = request
        .with_session_id(21)
        .with_session_epoch(22)
        .with_forgotten_topics_data(vec![forgotten]);
    match version >= 11 {
        true => request.with_rack_id(StrBytes::from_static_str("rack")),
        false => request,
    }
}

proptest! {
    #[test]
    fn produce_requests_are_read_as_the_crate_writes_them(topics in any_topics()) {
        for version in versions(ApiKey::Produce) {
            let request = produce_request(version, &topics);
            let ours = produce::parse(version, encoded(&request, version)).expect("parses");
            prop_assert_eq!(ours.transactional_id.as_deref(), Some("tx"));
            prop_assert_eq!((ours.acks, ours.timeout_ms), (-1, 1234));
            prop_assert_eq!(ours.topics.len(), topics.len());
            for (number, (ours, theirs)) in ours.topics.iter().zip(&topics).enumerate() {
                prop_assert_eq!(&ours.topic, &topic(version, number as u8).0);
                let got: Partitions = ours
                    .partitions
                    .iter()
                    .map(|p| (p.index, p.records.as_ref().map(|r| r.to_vec())))
                    .collect();
                prop_assert_eq!(&got, theirs);
            }
        }
    }

    #[test]
    fn fetch_requests_are_read_as_the_crate_writes_them(topics in any_topics()) {
        for version in versions(ApiKey::Fetch) {
            let request = fetch_request(version, &topics);
            let ours = fetch::parse(version, encoded(&request, version).freeze()).expect("parses");
            prop_assert_eq!(ours.replica_id, 9);
            prop_assert_eq!((ours.max_wait_ms, ours.min_bytes, ours.max_bytes), (11, 12, 13));
            prop_assert_eq!(ours.isolation_level, 1);
            let session = if version >= 7 { (21, 22) } else { (0, -1) };
            prop_assert_eq!((ours.session_id, ours.session_epoch), session);
            prop_assert_eq!(ours.rack_id.as_deref(), (version >= 11).then_some("rack"));
            prop_assert_eq!(ours.forgotten.len(), usize::from(version >= 7));
            for forgotten in &ours.forgotten {
                prop_assert_eq!(&forgotten.topic, &topic(version, 200).0);
                prop_assert_eq!(&forgotten.partitions, &[1, 2, 3]);
            }
            for (number, (ours, theirs)) in ours.topics.iter().zip(&request.topics).enumerate() {
                prop_assert_eq!(&ours.topic, &topic(version, number as u8).0);
                prop_assert_eq!(ours.partitions.len(), theirs.partitions.len());
                for (ours, theirs) in ours.partitions.iter().zip(&theirs.partitions) {
                    prop_assert_eq!(ours.partition, theirs.partition);
                    prop_assert_eq!(ours.current_leader_epoch, theirs.current_leader_epoch);
                    prop_assert_eq!(ours.fetch_offset, theirs.fetch_offset);
                    prop_assert_eq!(ours.last_fetched_epoch, theirs.last_fetched_epoch);
                    prop_assert_eq!(ours.log_start_offset, theirs.log_start_offset);
                    prop_assert_eq!(ours.max_bytes, theirs.partition_max_bytes);
                }
            }
        }
    }

    #[test]
    fn produce_answers_are_read_by_the_crate(topics in any_topics(), moved: bool, text: Option<String>) {
        for version in versions(ApiKey::Produce) {
            let partition = |(index, _): &(i32, Option<Vec<u8>>)| produce::PartitionResult {
                index: *index,
                error_code: 6,
                base_offset: 8,
                log_append_time_ms: 9,
                log_start_offset: 10,
                record_errors: text.iter().map(|text| {
                    produce::RecordError { index: 11, message: text.clone() }
                }).collect(),
                error_message: text.clone(),
                current_leader: moved.then_some((3, 4)),
            };
            let response = produce::ProduceResponse {
                topics: topics.iter().enumerate().map(|(number, partitions)| produce::TopicResult {
                    topic: topic(version, number as u8).0,
                    partitions: partitions.iter().map(partition).collect(),
                }).collect(),
                throttle_time_ms: 5,
            };
            let frame = produce::encode(&response, version, 77);
            let mut body = body_of(&frame, version >= 9);
            let read = theirs::ProduceResponse::decode(&mut body, version).expect("decodes");
            prop_assert!(body.is_empty());
            prop_assert_eq!(read.throttle_time_ms, 5);
            prop_assert_eq!(read.responses.len(), topics.len());
            for (number, (read, asked)) in read.responses.iter().zip(&topics).enumerate() {
                let (_, name, id) = topic(version, number as u8);
                prop_assert_eq!((&read.name, read.topic_id), (&name, id));
                for (read, (index, _)) in read.partition_responses.iter().zip(asked) {
                    prop_assert_eq!((read.index, read.error_code, read.base_offset), (*index, 6, 8));
                    prop_assert_eq!(read.log_append_time_ms, 9);
                    prop_assert_eq!(read.log_start_offset, if version >= 5 { 10 } else { -1 });
                    let expected = text.as_deref().filter(|_| version >= 8);
                    prop_assert_eq!(read.error_message.as_deref(), expected);
                    let record = |one: &BatchIndexAndErrorMessage| {
                        (one.batch_index, one.batch_index_error_message.as_deref().map(str::to_string))
                    };
                    let records: Vec<_> = read.record_errors.iter().map(record).collect();
                    let named = expected.map(|text| (11, Some(text.to_string())));
                    prop_assert_eq!(records, named.into_iter().collect::<Vec<_>>());
                    let leader = if moved && version >= 10 { (3, 4) } else { (-1, -1) };
                    let told = &read.current_leader;
                    prop_assert_eq!((told.leader_id.0, told.leader_epoch), leader);
                }
            }
        }
    }

    #[test]
    fn fetch_answers_are_read_by_the_crate(
        topics in any_topics(), moved: bool, committed: bool, diverging: bool,
    ) {
        for version in versions(ApiKey::Fetch) {
            let partition = |(index, records): &(i32, Option<Vec<u8>>)| {
                let mut data = fetch::PartitionData::error(*index, 7);
                (data.high_watermark, data.last_stable_offset, data.log_start_offset) = (8, 9, 10);
                data.aborted = committed.then(|| vec![(1, 2), (3, 4)]);
                data.current_leader = moved.then_some((3, 4));
                data.diverging = diverging.then_some((5, 6));
                let records = records.clone().unwrap_or_default();
                // As the log gives them: in several slices.
                data.records = records.chunks(33).map(Bytes::copy_from_slice).collect();
                data
            };
            let response = fetch::FetchResponse {
                throttle_time_ms: 5,
                error_code: if version >= 7 { 6 } else { 0 },
                session_id: if version >= 7 { 7 } else { 0 },
                topics: topics.iter().enumerate().map(|(number, partitions)| fetch::TopicData {
                    topic: topic(version, number as u8).0,
                    partitions: partitions.iter().map(partition).collect(),
                }).collect(),
            };
            let pieces = fetch::encode(response.clone(), version, 77);
            let mut body = body_of(&pieces.concat(), version >= 12);
            let read = theirs::FetchResponse::decode(&mut body, version).expect("decodes");
            prop_assert!(body.is_empty());
            prop_assert_eq!(read.throttle_time_ms, 5);
            prop_assert_eq!((read.error_code, read.session_id), (response.error_code, response.session_id));
            prop_assert_eq!(read.responses.len(), topics.len());
            for (number, (read, asked)) in read.responses.iter().zip(&topics).enumerate() {
                let (_, name, id) = topic(version, number as u8);
                prop_assert_eq!((&read.topic, read.topic_id), (&name, id));
                for (read, (index, records)) in read.partitions.iter().zip(asked) {
                    prop_assert_eq!((read.partition_index, read.error_code), (*index, 7));
                    prop_assert_eq!((read.high_watermark, read.last_stable_offset), (8, 9));
                    prop_assert_eq!(read.log_start_offset, if version >= 5 { 10 } else { -1 });
                    let aborted = read.aborted_transactions.as_ref().map(|list| {
                        list.iter().map(|t| (t.producer_id.0, t.first_offset)).collect::<Vec<_>>()
                    });
                    prop_assert_eq!(aborted, committed.then(|| vec![(1, 2), (3, 4)]));
                    let expected = records.clone().unwrap_or_default();
                    prop_assert_eq!(read.records.as_ref().map(|r| r.to_vec()), Some(expected));
                    let end = if diverging && version >= 12 { (5, 6) } else { (-1, -1) };
                    let told = &read.diverging_epoch;
                    prop_assert_eq!((told.epoch, told.end_offset), end);
                    let leader = if moved && version >= 12 { (3, 4) } else { (-1, -1) };
                    let told = &read.current_leader;
                    prop_assert_eq!((told.leader_id.0, told.leader_epoch), leader);
                }
            }
        }
    }

    #[test]
    fn damaged_requests_neither_panic_nor_take_much(
        topics in any_topics(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        for version in versions(ApiKey::Produce) {
            let bytes = damaged(encoded(&produce_request(version, &topics), version), &damage, &cut);
            let limit = bytes.len() * 16 + (64 << 10);
            let (_, peak) = allocations::peak_of(|| produce::parse(version, bytes));
            prop_assert!(peak <= limit, "{peak} of {limit}");
        }
        for version in versions(ApiKey::Fetch) {
            let bytes = damaged(encoded(&fetch_request(version, &topics), version), &damage, &cut);
            let limit = bytes.len() * 16 + (64 << 10);
            let (_, peak) = allocations::peak_of(|| fetch::parse(version, bytes.freeze()));
            prop_assert!(peak <= limit, "{peak} of {limit}");
        }
    }
}

fn damaged(
    mut bytes: BytesMut,
    damage: &[(prop::sample::Index, u8)],
    cut: &prop::sample::Index,
) -> BytesMut {
    for (at, value) in damage {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    bytes.truncate(cut.index(bytes.len()) + 1);
    bytes
}

#[test]
fn lists_that_are_null_or_dense_are_refused() {
    // Version 8 is the last with a length of four bytes: transactional id, acks, timeout, topics.
    let produce = |topics: &[u8]| {
        let head = [&(-1i16).to_be_bytes()[..], &1i16.to_be_bytes(), &9i32.to_be_bytes()].concat();
        produce::parse(8, BytesMut::from(&[&head, topics].concat()[..])).map(|_| ())
    };
    let null = produce(&(-1i32).to_be_bytes());
    assert!(matches!(null, Err(WireError::Count { count: -1, .. })), "{null:?}");
    let empty_topics = [&60_000i32.to_be_bytes()[..], &[0; 6 * 60_000]].concat();
    assert!(produce(&0i32.to_be_bytes()).is_ok());
    // 360,000 bytes of topics without name or partition: 64 bytes each are within the limit.
    assert!(produce(&empty_topics).is_ok());
    // Null records of 8 bytes each, for which 368 bytes would be kept.
    let dense =
        [&1i32.to_be_bytes()[..], &[0; 2], &60_000i32.to_be_bytes(), &[0; 480_000]].concat();
    let refused = produce(&dense);
    assert!(matches!(refused, Err(WireError::Dense { .. })), "{refused:?}");
}
