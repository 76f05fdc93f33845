//! librdkafka, through the `rdkafka` crate and our own command line: round trips, codecs, order,
//! restarts with other numbers of shards.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use support::{Broker, Setup, MODES};

fn send_all(broker: &Broker, topic: &str, codec: &str, records: &[(String, String)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("compression.codec", codec)
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    for (key, value) in records {
        producer.send(BaseRecord::to(topic).key(key).payload(value)).expect("queued");
    }
    producer.flush(Duration::from_secs(30)).expect("all delivered");
}

/// Values by partition, in order.
fn read_all(broker: &Broker, topic: &str, partitions: i32, total: usize) -> Vec<Vec<String>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", "test")
        .set("fetch.wait.max.ms", "50")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("added");
    }
    consumer.assign(&assignment).expect("assigned");
    let mut out = vec![Vec::new(); partitions as usize];
    let mut seen = 0;
    support::eventually("all records are read", || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
            out[message.partition() as usize].push(value);
            seen += 1;
        }
        seen == total
    });
    out
}

fn records(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("key-{}", n % 17), format!("{}:{n}", n % 17))).collect()
}

#[test]
fn every_codec_makes_the_round_trip_and_keys_keep_their_order() {
    for mode in MODES {
        let broker = Broker::start(Setup::new(mode));
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = format!("t-{codec}");
            broker.run(&["topic", "create", &topic, "--partitions", "4"], b"");
            let sent = records(2_000);
            send_all(&broker, &topic, codec, &sent);
            let read = read_all(&broker, &topic, 4, sent.len());
            let mut last: BTreeMap<String, (usize, usize)> = BTreeMap::new();
            for (partition, values) in read.iter().enumerate() {
                for value in values {
                    let (key, number) = value.split_once(':').expect("key:number");
                    let number: usize = number.parse().expect("a number");
                    let before = last.insert(key.to_string(), (partition, number));
                    let ordered = before.is_none_or(|(p, n)| p == partition && n < number);
                    assert!(ordered, "{mode} {codec} {value}");
                }
            }
            assert!(read.iter().all(|values| !values.is_empty()), "{mode} {codec}: spread");
        }
    }
}

#[test]
fn data_stays_while_the_number_of_shards_changes() {
    let mut broker = Broker::start(Setup { shards: 1, ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", "5"], b"");
    let mut total = 0;
    for shards in [2, 3, 1] {
        let sent = records(500);
        send_all(&broker, "t", "lz4", &sent);
        total += sent.len();
        broker = broker.restart_with(shards);
        let read = read_all(&broker, "t", 5, total);
        assert_eq!(read.iter().map(Vec::len).sum::<usize>(), total);
    }
}

#[test]
fn the_command_line_gives_back_what_it_was_given() {
    for mode in MODES {
        let broker = Broker::start(Setup::new(mode));
        broker.run(&["topic", "create", "lines", "--partitions", "8"], b"");
        let mut input = Vec::new();
        for n in 0..5_000 {
            input.extend_from_slice(format!("{},tail-{},\u{fc} line {n}\n", n, n % 40).as_bytes());
        }
        input.extend_from_slice(b"\xff\xfe,not text,\x00\n");
        let keyed = ["produce", "lines", "--key-field", "2", "--compression", "zstd"];
        broker.run(&keyed, &input);
        let output = broker.run(&["consume", "lines", "--from-beginning", "--exit-at-end"], b"");
        let sorted = |bytes: &[u8]| {
            let mut lines: Vec<Vec<u8>> =
                bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        assert!(sorted(&output) == sorted(&input), "{mode}: {} bytes", output.len());
        let json =
            broker.run(&["consume", "lines", "--offset", "0", "--count", "1", "--json"], b"");
        let record: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(record["topic"], "lines");
        assert!(record["key"].as_str().is_some_and(|key| key.starts_with("tail-")), "{record}");
        let topics = broker.run(&["topic", "list", "--json"], b"");
        let topics: serde_json::Value = serde_json::from_slice(&topics).expect("JSON");
        assert_eq!(topics[0]["partitions"], 8);
        let internal = broker.run(&["topic", "list", "^__", "--internal", "--json"], b"");
        assert_eq!(internal, b"[]\n", "{mode}: nobody has looked for a group's coordinator");
        broker.run(&["topic", "delete", "lines", "--yes"], b"");
        assert_eq!(broker.run(&["topic", "list", "--json"], b""), b"[]\n");
    }
}

#[test]
fn a_time_is_found_within_a_compressed_batch() {
    const FIRST_MS: i64 = 1_700_000_000_000;
    let broker = Broker::start(Setup::new("single"));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &broker.address)
            .set("compression.codec", codec)
            .set("linger.ms", "500")
            .create()
            .expect("a producer");
        for n in 0..100i64 {
            let value = format!("record {n} of many that are much alike");
            let record =
                BaseRecord::<(), _>::to(codec).payload(&value).timestamp(FIRST_MS + n * 10);
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("all delivered");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &broker.address)
            .create()
            .expect("a consumer");
        for (time, offset) in [(0, 0), (5, 1), (500, 50), (981, 99)] {
            let mut ask = TopicPartitionList::new();
            ask.add_partition_offset(codec, 0, Offset::Offset(FIRST_MS + time)).expect("added");
            let found = consumer.offsets_for_times(ask, Duration::from_secs(20)).expect("answered");
            let found = found.elements()[0].offset();
            assert_eq!(found, Offset::Offset(offset), "{codec} at {time}");
        }
    }
}
