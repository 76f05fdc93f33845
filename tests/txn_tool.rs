//! `corelane txn` on a real broker.

mod support;

use std::time::Duration;

use bytes::Bytes;
use corelane_shards::log::batch::build::{self, batch};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::ClientConfig;
use serde_json::Value;
use support::{Broker, Setup, MODES};

fn json(broker: &Broker, args: &[&str]) -> Value {
    let args = [&["txn"], args, &["--json"]].concat();
    serde_json::from_slice(&broker.run(&args, b"")).expect("JSON")
}

#[test]
fn ids_are_listed_and_described() {
    for mode in MODES {
        let broker = Broker::start(Setup::new(mode));
        broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &broker.address)
            .set("transactional.id", "app")
            .create()
            .expect("a producer");
        let limit = Duration::from_secs(20);
        producer.init_transactions(limit).expect("starts");
        let listed = json(&broker, &["list"]);
        assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&"app".into(), &"Empty".into()));
        producer.begin_transaction().expect("begins");
        producer.send(BaseRecord::<(), _>::to("t").partition(1).payload("x")).expect("sends");
        producer.flush(limit).expect("sends");
        let described = json(&broker, &["describe", "app"]);
        assert_eq!(described["state"], "Ongoing");
        assert_eq!(described["partitions"][0]["partition"], 1);
        assert_eq!(json(&broker, &["list", "--state", "Ongoing"])[0]["id"], "app");
        assert_eq!(json(&broker, &["list", "--longer-than", "1h"]), Value::Array(Vec::new()));
        // It is open, and its coordinator knows it.
        let abort = ["txn", "abort", "t", "--partition", "1", "--older-than", "0s"];
        assert!(broker.fail(&abort, b"").contains("no transaction hangs in t-1"));
        producer.commit_transaction(limit).expect("commits");
        let shown = broker.run(&["txn", "describe", "app"], b"");
        assert!(String::from_utf8_lossy(&shown).starts_with("app is "));
        assert!(broker.fail(&["txn", "describe", "none"], b"").contains("is not known"));
        let wrong = broker.fail(&["txn", "list", "--state", "Odd"], b"");
        assert!(wrong.contains("'Odd' is no state"), "{wrong}");
    }
}

/// Writes a record of a transaction that no coordinator knows.
fn write_unknown(broker: &Broker, producer: i64) {
    let producer = build::Producer { id: producer, epoch: 3, sequence: 0 };
    let mut records = batch(&[b"lost"], 1_000, Some(producer));
    records[22] |= 0x10;
    build::seal(&mut records);
    let name = TopicName(StrBytes::from_static_str("t"));
    let data = PartitionProduceData::default().with_records(Some(Bytes::from(records)));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("app"))))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let answer: ProduceResponse = broker.client().ask(ApiKey::Produce, 9, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn a_transaction_that_hangs_is_found_and_ended() {
    let extra = "\"transaction.partition.verification.enable\" = false".to_string();
    let broker = Broker::start(Setup { extra, ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    write_unknown(&broker, 70);
    write_unknown(&broker, 80);
    let abort = ["abort", "t", "--partition", "0"];
    assert_eq!(
        json(&broker, &[&abort[..], &["--dry-run", "--older-than", "900000d"]].concat()),
        Value::Array(Vec::new())
    );
    let found = json(&broker, &[&abort[..], &["--dry-run"]].concat());
    assert_eq!((&found[0]["producer_id"], &found[1]["producer_id"]), (&70.into(), &80.into()));
    let error = broker.fail(&["txn", "abort", "t", "--partition", "0"], b"");
    assert!(error.contains("2 transactions hang in t-0"), "{error}");
    let ended = json(&broker, &[&abort[..], &["--start-offset", "1"]].concat());
    assert_eq!(ended[0]["producer_id"], 80);
    let ended = broker.run(&["txn", "abort", "t", "--partition", "0"], b"");
    assert!(String::from_utf8_lossy(&ended).contains("producer 70, from offset 0"));
    assert!(broker
        .fail(&["txn", "abort", "t", "--partition", "0"], b"")
        .contains("no transaction"));
    let error = broker.fail(&["txn", "abort", "none", "--partition", "0"], b"");
    assert!(error.contains("the topic 'none' does not exist"), "{error}");
}
