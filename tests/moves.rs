//! Partitions move between log directories while clients use them.

mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup};

const LOG_DIR_NOT_FOUND: i16 = 57;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

/// Appends one record, durably.
fn produce(client: &mut Raw, number: u64) {
    let value = format!("{number:0>1000}");
    let batch = corelane_shards::log::batch::build::batch(&[value.as_bytes()], 1_000, None);
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch.into()));
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, number as i64));
}

/// Asks for partition `index` to be moved to `dir`; returns Kafka's code.
fn move_to(broker: &Broker, dir: &Path, index: i32) -> i16 {
    let partitions =
        AlterReplicaLogDirTopic::default().with_name(topic()).with_partitions(vec![index]);
    let dir = AlterReplicaLogDir::default()
        .with_path(StrBytes::from_string(dir.display().to_string()))
        .with_topics(vec![partitions]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
    let answer: AlterReplicaLogDirsResponse =
        broker.client().ask(ApiKey::AlterReplicaLogDirs, 2, &request);
    answer.results[0].partitions[0].error_code
}

/// The log directories of partition 0, and whether it is a copy on its way there.
fn places(broker: &Broker) -> Vec<(PathBuf, bool)> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let answer: DescribeLogDirsResponse = broker.client().ask(ApiKey::DescribeLogDirs, 4, &request);
    let mut places = Vec::new();
    for dir in &answer.results {
        let ours = dir.topics.iter().filter(|of| of.name == topic());
        for partition in ours.flat_map(|topic| &topic.partitions) {
            places.push((PathBuf::from(&*dir.log_dir), partition.is_future_key));
        }
    }
    places
}

/// The first `count` records.
fn read(broker: &Broker, count: u64) -> Vec<u64> {
    let count = count.to_string();
    let args = ["consume", "t", "--from-beginning", "--count", &count];
    let text = String::from_utf8(broker.run(&args, b"")).expect("text");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

fn start(extra: &str) -> (Broker, [PathBuf; 2]) {
    let extra = format!("\"log.segment.bytes\" = 20000\n{extra}");
    let broker =
        Broker::start(Setup { extra, more_dirs: vec!["other"], shards: 2, ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    let home = places(&broker)[0].0.clone();
    let dirs = [broker.data.clone(), broker.data.with_file_name("other")];
    let dirs = dirs.map(|dir| dir.canonicalize().expect("is there"));
    let at = dirs.iter().position(|dir| home.canonicalize().is_ok_and(|h| h == *dir));
    let [first, second] = dirs;
    match at {
        Some(0) => (broker, [first, second]),
        _ => (broker, [second, first]),
    }
}

fn has_moved(broker: &Broker, to: &Path) -> bool {
    places(broker) == [(to.to_path_buf(), false)]
}

#[test]
fn a_partition_moves_there_and_back_while_it_is_written_and_read() {
    let (mut broker, [from, to]) = start("");
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let written = std::thread::scope(|scope| {
        let mut client = broker.client();
        let _stop = support::SetAtEnd(&stop);
        let (stop, acknowledged) = (&stop, &acknowledged);
        let writer = scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                produce(&mut client, acknowledged.load(Ordering::SeqCst));
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            acknowledged.load(Ordering::SeqCst)
        });
        for dir in [&to, &from, &to] {
            assert_eq!(move_to(&broker, dir, 0), 0);
            support::eventually("it has moved", || has_moved(&broker, dir));
            let there = acknowledged.load(Ordering::SeqCst);
            assert!(read(&broker, there).into_iter().eq(0..there), "in order, each once");
        }
        stop.store(true, Ordering::SeqCst);
        writer.join().expect("writes")
    });
    assert!(read(&broker, written).into_iter().eq(0..written));
    support::eventually("nothing is left behind", || !from.join("t-0").exists());
    broker.stop();
    assert!(to.join("t-0/00000000000000000000.log").exists());
    let broker = broker.start_again();
    assert!(read(&broker, written).into_iter().eq(0..written));
}

#[test]
fn a_move_goes_on_after_a_crash_and_ends_where_it_began_when_it_is_cancelled() {
    let (broker, [from, to]) = start("\"replica.alter.log.dirs.io.max.bytes.per.second\" = 400000");
    let mut client = broker.client();
    for number in 0..300 {
        produce(&mut client, number);
    }
    assert_eq!(move_to(&broker, &to, 0), 0);
    support::eventually("it is on its way", || {
        let mut places = places(&broker);
        places.sort_by_key(|(_, future)| *future);
        places == [(from.clone(), false), (to.clone(), true)]
    });
    assert_eq!(move_to(&broker, &from, 0), 0);
    support::eventually("it is cancelled", || has_moved(&broker, &from));

    assert_eq!(move_to(&broker, &to, 0), 0);
    let is_there = |dir: &Path, end: &str| {
        let names = std::fs::read_dir(dir).expect("lists").map(|e| e.expect("an entry").path());
        let mut names = names.map(|path| path.display().to_string());
        names.any(|name| name.contains("/t-0") && name.ends_with(end))
    };
    support::eventually("it is on its way", || is_there(&to, "-future"));
    let broker = broker.crash_and_restart();
    support::eventually("it has moved", || has_moved(&broker, &to));
    assert!(read(&broker, 300).into_iter().eq(0..300));
    support::eventually("nothing is left behind", || {
        !is_there(&to, "-future") && !is_there(&from, "")
    });
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let (broker, [_, to]) = start("");
    assert_eq!(move_to(&broker, Path::new("/nowhere"), 0), LOG_DIR_NOT_FOUND);
    assert_eq!(move_to(&broker, &to, 7), UNKNOWN_TOPIC_OR_PARTITION);
}
