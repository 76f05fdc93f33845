//! Compacted topics, through a client of the outside world: of each key the last value stays.

mod support;

use std::collections::BTreeMap;
use std::io::Write;

use corelane_shards::log::batch::{build, Codec};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Setup};

const INVALID_RECORD: i16 = 87;

const SETTINGS: &str = "\"log.cleaner.backoff.ms\" = 20\n\"log.segment.bytes\" = 20000\n\
    \"log.cleaner.min.cleanable.ratio\" = 0.01\n\"log.segment.delete.delay.ms\" = 0";

/// Lines of `key:value`, some keys often.
fn lines(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..300u32 {
        let key = n * 7919 % (20 + round * 10);
        writeln!(out, "key-{key}:value {round}-{n} {}", "x".repeat(100)).expect("memory");
    }
    out
}

fn last_of(lines: &[u8], last: &mut BTreeMap<String, String>) {
    for line in String::from_utf8_lossy(lines).lines() {
        let (key, value) = line.split_once(':').expect("a key");
        last.insert(key.to_string(), value.to_string());
    }
}

fn read(broker: &Broker, format: &str) -> String {
    let args = ["consume", "t", "--from-beginning", "--exit-at-end", "--format", format];
    String::from_utf8(broker.run(&args, b"")).expect("text")
}

#[test]
fn of_each_key_the_last_value_stays_in_every_codec() {
    let setup = Setup { extra: SETTINGS.to_string(), ..Setup::new("single") };
    let mut broker = Broker::start(setup);
    broker.run(&["topic", "create", "t", "--config", "cleanup.policy=compact"], b"");
    let mut expected = BTreeMap::new();
    let mut sent = 0;
    for (round, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let lines = lines(round as u32);
        last_of(&lines, &mut expected);
        sent += 300;
        broker.run(&["produce", "t", "--key-separator", ":", "--compression", codec], &lines);
        if round == 2 {
            broker = broker.crash_and_restart();
        }
    }
    // Compressed batches are few: some more, so that those before are in closed segments.
    for round in 5..8 {
        last_of(&lines(round), &mut expected);
        sent += 300;
        broker.run(&["produce", "t", "--key-separator", ":"], &lines(round));
    }
    support::eventually("most records are compacted away", || {
        read(&broker, "%o\\n").lines().count() < sent / 3
    });
    for _ in 0..2 {
        let read = read(&broker, "%o %k:%s\\n");
        let mut last = BTreeMap::new();
        let mut before = -1;
        for line in read.lines() {
            let (offset, record) = line.split_once(' ').expect("an offset");
            let offset: i64 = offset.parse().expect("a number");
            assert!(offset > before, "offsets ascend");
            before = offset;
            last_of(record.as_bytes(), &mut last);
        }
        assert_eq!(last, expected);
        assert_eq!(before, sent as i64 - 1, "the last record is never compacted");
        broker = broker.crash_and_restart();
    }
}

#[test]
fn records_without_a_key_are_refused_and_compression_is_the_topics() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t", "--config", "cleanup.policy=compact,delete"], b"");
    for codec in ["none", "gzip"] {
        let refused = broker.fail(&["produce", "t", "--compression", codec], b"no key\n");
        assert!(refused.contains("InvalidRecord"), "{refused}");
    }
    broker.run(&["produce", "t", "--key-separator", ":"], b"a:1\n");
    assert_eq!(read(&broker, "%k=%s\\n"), "a=1\n");

    broker.run(&["topic", "create", "z", "--config", "compression.type=zstd"], b"");
    let text = "the same words again and again ".repeat(3_000);
    broker.run(&["produce", "z"], text.as_bytes());
    let described = broker.run(&["topic", "describe", "z", "--json"], b"");
    let file = broker.data_inside().join("z-0/00000000000000000000.log");
    let stored = std::fs::read(file).expect("reads");
    let stored = stored.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    assert!(stored < text.len() / 10, "{stored} bytes: {}", String::from_utf8_lossy(&described));
    let read = broker.run(&["consume", "z", "--from-beginning", "--exit-at-end"], b"");
    assert_eq!(read, [text.as_bytes(), b"\n"].concat());
}

#[test]
fn records_without_a_key_are_refused_by_name() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t", "--config", "cleanup.policy=compact"], b"");
    let pairs: [build::Pair; 3] = [(None, Some(b"a")), (Some(b"k"), Some(b"b")), (None, None)];
    for codec in [Codec::None, Codec::Zstd] {
        let batch = build::keyed(&pairs, 1_000, None, codec);
        let partition =
            PartitionProduceData::default().with_index(0).with_records(Some(batch.into()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let answer: ProduceResponse = broker.client().ask(ApiKey::Produce, 9, &request);
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (INVALID_RECORD, -1));
        let said = answer.error_message.as_deref().expect("a message");
        assert!(said.contains("due to 2 record errors in total"), "{said}");
        let named: Vec<i32> = answer.record_errors.iter().map(|one| one.batch_index).collect();
        assert_eq!(named, [0, 2], "{codec:?}");
    }
}
