//! Transactions one after the other: the next one begins while the markers of the last are on their way.

mod support;

use std::time::Duration;

use bytes::Bytes;
use corelane_shards::log::batch::build::{self, batch};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use support::{Broker, Raw, Setup};

const PARTITIONS: i32 = 8;
const TURNS: i16 = 200;

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("app"))
}

fn init(client: &mut Raw) -> i64 {
    let request =
        FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![id().0]);
    let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &request);
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000);
    let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, 5, &request);
    assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    answer.producer_id.0
}

/// A record to every partition, as a client of transaction version 2 sends it.
fn produce(client: &mut Raw, producer_id: i64, epoch: i16) {
    let producer = build::Producer { id: producer_id, epoch, sequence: 0 };
    let mut records = batch(&[epoch.to_string().as_bytes()], 1_000, Some(producer));
    records[22] |= 0x10;
    build::seal(&mut records);
    let records = Bytes::from(records);
    let data = (0..PARTITIONS).map(|index| {
        PartitionProduceData::default().with_index(index).with_records(Some(records.clone()))
    });
    let name = TopicName(StrBytes::from_static_str("t"));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(data.collect());
    let request = ProduceRequest::default()
        .with_transactional_id(Some(id()))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 12, &request);
    for partition in &answer.responses[0].partition_responses {
        assert_eq!(partition.error_code, 0, "epoch {epoch}");
    }
}

fn end(client: &mut Raw, producer_id: i64, epoch: i16, commit: bool) {
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch)
        .with_committed(commit);
    let answer: EndTxnResponse = client.ask(ApiKey::EndTxn, 5, &request);
    assert_eq!((answer.error_code, answer.producer_epoch), (0, epoch + 1));
}

/// All that was committed, by partition.
fn committed(broker: &Broker) -> Vec<Vec<i16>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", "none")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    for index in 0..PARTITIONS {
        from.add_partition_offset("t", index, Offset::Beginning).expect("adds");
    }
    consumer.assign(&from).expect("assigns");
    let mut read = vec![Vec::new(); PARTITIONS as usize];
    let mut ends = 0;
    while ends < PARTITIONS {
        match consumer.poll(Duration::from_secs(20)).expect("an answer") {
            Ok(record) => {
                let value = String::from_utf8_lossy(record.payload().expect("a value"));
                read[record.partition() as usize].push(value.parse().expect("a number"));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
    read
}

#[test]
fn records_belong_to_the_transaction_that_they_were_sent_in() {
    let broker = Broker::start(Setup { shards: 3, ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", &PARTITIONS.to_string()], b"");
    let (mut ends, mut sends) = (broker.client(), broker.client());
    let producer_id = init(&mut ends);
    for epoch in 0..TURNS {
        produce(&mut sends, producer_id, epoch);
        end(&mut ends, producer_id, epoch, epoch % 2 == 0);
    }
    // The markers of the last one may be on their way: it was aborted.
    let expected: Vec<i16> = (0..TURNS).step_by(2).collect();
    assert_eq!(committed(&broker), vec![expected; PARTITIONS as usize]);
}
