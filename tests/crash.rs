//! The process is killed under load, again and again; whatever it acknowledged with `acks=all` is
//! there afterwards, once and in order. `CORELANE_CRASH_ROUNDS` asks for more rounds.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use bytes::Bytes;
use corelane_shards::log::batch::{build, BatchHeader};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, StrBytes};
use support::{Broker, Raw, Setup};

const PARTITIONS: i32 = 4;
const IN_FLIGHT: usize = 8;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("crash"))
}

/// Sends numbered records to one partition until the connection breaks; returns each number that
/// was acknowledged with its offset.
fn load(address: String, partition: i32, answered: Arc<AtomicUsize>) -> Vec<(i64, u64)> {
    let mut client = Raw::connect(&address);
    let mut acknowledged = Vec::new();
    let mut waiting = std::collections::VecDeque::new();
    for number in 0u64.. {
        let padding = vec![b'x'; (number as usize * 37) % 3_000];
        let value = [&number.to_be_bytes()[..], &padding].concat();
        let records = build::batch(&[&value], 1_000, None);
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(Bytes::from(records)));
        let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]);
        if client.try_send(ApiKey::Produce, 9, &request).is_none() {
            return acknowledged;
        }
        waiting.push_back(number);
        if waiting.len() < IN_FLIGHT {
            continue;
        }
        let Some((_, body)) = client.receive() else { return acknowledged };
        let response = ProduceResponse::decode(&mut body.slice(1..), 9).expect("decodes");
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, 0);
        acknowledged.push((answer.base_offset, waiting.pop_front().expect("was sent")));
        answered.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Every record of a partition as (offset, number).
fn read(client: &mut Raw, partition: i32) -> Vec<(i64, u64)> {
    let mut out = Vec::new();
    loop {
        let offset = out.last().map_or(0, |(offset, _)| offset + 1);
        let ask = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(1 << 20);
        let ask = FetchTopic::default().with_topic(topic()).with_partitions(vec![ask]);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![ask]);
        let response: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        let records = answer.records.clone().unwrap_or_default();
        let mut rest = &records[..];
        while let Some(header) = BatchHeader::peek(rest) {
            let len = header.claimed_size() as usize;
            if len > rest.len() {
                break;
            }
            // Attributes, two deltas, no key: the value's length and the value follow.
            let mut body = &rest[61..len];
            corelane_shards::log::batch::take_varint(&mut body).expect("a length");
            body = &body[1..];
            for _ in 0..4 {
                corelane_shards::log::batch::take_varint(&mut body).expect("a varint");
            }
            let number = u64::from_be_bytes(body[..8].try_into().expect("eight bytes"));
            out.push((header.base_offset.get(), number));
            rest = &rest[len..];
        }
        if records.is_empty() {
            return out;
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var("CORELANE_CRASH_ROUNDS").map_or(6, |n| n.parse().expect("a number"));
    let extra = "\"log.segment.bytes\" = 300000".to_string();
    let mut broker = Broker::start(Setup { extra, ..Setup::new("single") });
    broker.run(&["topic", "create", "crash", "--partitions", "4"], b"");
    let mut known: Vec<Vec<(i64, u64)>> = vec![Vec::new(); PARTITIONS as usize];
    for round in 0..rounds {
        let answered: Vec<Arc<AtomicUsize>> = (0..PARTITIONS).map(|_| Arc::default()).collect();
        let loads: Vec<_> = (0..PARTITIONS)
            .map(|partition| {
                let (address, answered) =
                    (broker.address.clone(), Arc::clone(&answered[partition as usize]));
                std::thread::spawn(move || load(address, partition, answered))
            })
            .collect();
        // Another moment in every round: at once, or after several segments.
        let enough = 1 + round * 769 % 1_500;
        support::eventually("all partitions are under load", || {
            answered.iter().all(|count| count.load(Ordering::SeqCst) >= enough)
        });
        broker = broker.crash_and_restart();
        let mut client = broker.client();
        for (partition, load) in loads.into_iter().enumerate() {
            let acknowledged = load.join().expect("the load ends");
            let found = read(&mut client, partition as i32);
            assert!(
                found.iter().enumerate().all(|(at, (offset, _))| *offset == at as i64),
                "holes"
            );
            let before = known[partition].len();
            assert_eq!(found[..before], known[partition][..], "what was there before");
            for (offset, number) in &acknowledged {
                let there = found.get(*offset as usize);
                assert_eq!(there, Some(&(*offset, *number)), "round {round} partition {partition}");
            }
            let new: Vec<u64> = found[before..].iter().map(|(_, number)| *number).collect();
            let in_order: Vec<u64> = (0..new.len() as u64).collect();
            assert_eq!(new, in_order, "once each, in order");
            known[partition] = found;
        }
    }
}
