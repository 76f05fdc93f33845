//! Connections that go to the shard that owns what they produce to.

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use corelane_shards::log::batch::build::batch;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup};

/// More than it takes to move a connection once, fewer than to move it back.
const REQUESTS: i64 = 100;

fn start() -> (Broker, Arc<Mutex<String>>) {
    let log = Arc::<Mutex<String>>::default();
    let broker = Broker::start(Setup { log: Some(Arc::clone(&log)), ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
    (broker, log)
}

fn moves(log: &Mutex<String>) -> usize {
    log.lock().expect("nobody panicked").matches("a connection moves").count()
}

fn request(partition: i32, value: &str) -> ProduceRequest {
    let records = Some(Bytes::from(batch(&[value.as_bytes()], 1_000, None)));
    let data = PartitionProduceData::default().with_index(partition).with_records(records);
    let name = TopicName(StrBytes::from_static_str("t"));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

fn offset(answer: &ProduceResponse) -> i64 {
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0);
    partition.base_offset
}

/// What `corelane consume` finds in a partition.
fn values(broker: &Broker, partition: &str) -> Vec<String> {
    let args = [
        "consume",
        "t",
        "--partition",
        partition,
        "--from-beginning",
        "--exit-at-end",
        "--format",
        "%s\\n",
    ];
    let text = broker.run(&args, b"");
    String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn a_producer_moves_to_its_partitions_shard_and_nothing_is_lost_or_out_of_order() {
    let (broker, log) = start();
    let mut sent: [Vec<String>; 2] = Default::default();
    // To which shard a connection comes is the kernel's choice: one that comes right stays.
    for number in 0..64 {
        let partition = number % 2;
        let mut client = broker.client();
        for _ in 0..REQUESTS {
            let sent = &mut sent[partition];
            let value = format!("{number}-{}", sent.len());
            let answer = client.ask(ApiKey::Produce, 9, &request(partition as i32, &value));
            assert_eq!(offset(&answer), sent.len() as i64);
            sent.push(value);
        }
        let asked = MetadataRequest::default().with_topics(Some(Vec::new()));
        let _: MetadataResponse = client.ask(ApiKey::Metadata, 9, &asked);
        assert!(moves(&log) <= number + 1, "a connection moves once");
        if moves(&log) >= 4 {
            break;
        }
    }
    assert!(moves(&log) >= 4, "{} connections moved", moves(&log));
    assert_eq!(values(&broker, "0"), sent[0]);
    assert_eq!(values(&broker, "1"), sent[1]);
}

/// One that has several requests under way stays, whatever shard it came to.
#[test]
fn a_producer_with_many_requests_under_way_stays() {
    let (broker, log) = start();
    for number in 0..8 {
        let mut client: Raw = broker.client();
        for _ in 0..4 {
            client.send(ApiKey::Produce, 9, &request(number % 2, "x"));
        }
        for _ in 0..REQUESTS {
            client.send(ApiKey::Produce, 9, &request(number % 2, "x"));
            client.receive().expect("an answer");
        }
    }
    assert_eq!(moves(&log), 0);
}
