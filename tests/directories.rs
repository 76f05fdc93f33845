//! What is found in a log directory at start.

mod support;

use std::fs;
use std::path::Path;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Setup, MODES};

#[test]
fn what_a_crash_left_of_deleted_topics_is_removed() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    let left = broker.data.join("0.6f1f3c8d1d7f4a55a4b1a7f2e3c4d5e6-delete");
    fs::create_dir(&left).expect("makes");
    fs::write(left.join("00000000000000000000.log"), b"old").expect("writes");
    let broker = broker.crash_and_restart();
    support::eventually("the directory is gone", || !left.exists());
    broker.run(&["produce", "t"], b"still here\n");
}

#[test]
fn records_are_never_written_over() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    broker.run(&["produce", "t"], b"precious\n");
    let data = broker.data.clone();
    fs::remove_file(data.join("t-0/partition.metadata")).expect("removes");
    let broker = broker.crash_and_restart();
    let names = || fs::read_dir(&data).expect("lists").map(|e| e.expect("an entry").file_name());
    let stray = names().map(|name| name.to_string_lossy().into_owned());
    let stray: Vec<String> = stray.filter(|name| name.ends_with("-stray")).collect();
    assert_eq!(stray.len(), 1, "set aside: {stray:?}");
    let segment = data.join(&stray[0]).join("00000000000000000000.log");
    let kept = fs::read(segment).expect("reads");
    assert!(kept.windows(8).any(|bytes| bytes == b"precious"));
    broker.run(&["produce", "t"], b"new\n");
    let read = broker.run(&["consume", "t", "--from-beginning", "--count", "1"], b"");
    assert_eq!(read, b"new\n");
}

/// The partition of `topic` that lies in directory `dir` of the broker's.
fn partition_in(dir: &Path, topic: &str) -> String {
    let names = fs::read_dir(dir).expect("lists").map(|e| e.expect("an entry").file_name());
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    let found = names.find(|name| name.starts_with(&format!("{topic}-"))).expect("a partition");
    found.rsplit_once('-').expect("a number").1.to_string()
}

fn produce(broker: &Broker, partition: &str, text: &[u8]) {
    broker.run(&["produce", "t", "--partition", partition, "--acks", "1"], text);
}

/// The error code of a produce request to one partition, asked without a client's patience.
fn produce_code(broker: &Broker, partition: &str) -> i16 {
    let batch = corelane_shards::log::batch::build::batch(&[b"raw"], 1_700_000_000_000, None);
    let partition = PartitionProduceData::default()
        .with_index(partition.parse().expect("a number"))
        .with_records(Some(batch.into()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
    let answer: ProduceResponse = broker.client().ask(ApiKey::Produce, 9, &request);
    answer.responses[0].partition_responses[0].error_code
}

const STORAGE_ERROR: i16 = 56;

#[test]
fn a_directory_that_fails_or_is_missing_takes_its_partitions_offline_and_no_others() {
    for mode in MODES {
        let extra = "\"log.segment.bytes\" = 2000".to_string();
        let mut broker =
            Broker::start(Setup { extra, more_dirs: vec!["other"], ..Setup::new(mode) });
        broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
        let other = broker.data.with_file_name("other");
        let (good, bad) = (partition_in(&broker.data, "t"), partition_in(&other, "t"));
        produce(&broker, &good, b"good\n");
        produce(&broker, &bad, b"bad\n");

        // While it runs: no file can be opened there any more.
        let away = broker.data.with_file_name("away");
        fs::rename(&other, &away).expect("moves");
        support::eventually("the directory has failed", || {
            produce_code(&broker, &bad) == STORAGE_ERROR
        });
        produce(&broker, &good, b"still\n");
        let dirs = broker.client().ask::<DescribeLogDirsResponse>(
            ApiKey::DescribeLogDirs,
            1,
            &DescribeLogDirsRequest::default().with_topics(None),
        );
        let codes: Vec<i16> = dirs.results.iter().map(|dir| dir.error_code).collect();
        assert_eq!(codes, [0, STORAGE_ERROR]);

        // At start: a file is in its place.
        fs::write(&other, b"not a directory").expect("writes");
        broker.stop();
        let mut broker = broker.start_again();
        assert_eq!(produce_code(&broker, &bad), STORAGE_ERROR);
        produce(&broker, &good, b"again\n");

        // And it is back.
        broker.stop();
        fs::remove_file(&other).expect("removes");
        fs::rename(&away, &other).expect("moves back");
        let broker = broker.start_again();
        let read = |partition: &str| {
            let args =
                ["consume", "t", "--partition", partition, "--from-beginning", "--exit-at-end"];
            String::from_utf8(broker.run(&args, b"")).expect("text")
        };
        assert_eq!(read(&good), "good\nstill\nagain\n");
        assert!(read(&bad).starts_with("bad\n"));
        assert_eq!(produce_code(&broker, &bad), 0);
    }
}
