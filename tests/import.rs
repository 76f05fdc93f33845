//! `corelane import kafka` on the directories of a real Kafka 4.0.0, made by `scripts/import-kafka.sh`:
//! two log directories and what consumers read from that broker.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rustix::fs::{fcntl_lock, FlockOperation};
use support::{Broker, Setup};

struct Kafka {
    dir: std::rc::Rc<tempfile::TempDir>,
}

impl Kafka {
    fn unpack() -> Kafka {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-4.0.0.tar.gz");
        let tar = Command::new("tar").args(["xzf", archive, "-C"]).arg(dir.path()).status();
        assert!(tar.expect("tar runs").success());
        Kafka { dir: std::rc::Rc::new(dir) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        command.args(["import", "kafka"]);
        for dir in ["k1", "k2"].map(|dir| self.path(dir)).iter().filter(|dir| dir.exists()) {
            command.arg("--from").arg(dir);
        }
        command.current_dir(self.dir.path()).args(more).output().expect("runs")
    }

    /// What an import that is refused says. Nothing is changed by it, nor made.
    fn refused(&self) -> String {
        let before = self.files();
        let output = self.import(&["--data-dir", "new"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(!self.path("new").exists());
        assert_eq!(self.files(), before);
        String::from_utf8(output.stderr).expect("text")
    }

    /// Every file of Kafka's with its content. Reading the lock's would release it.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut left = vec![self.path("k1"), self.path("k2")];
        while let Some(dir) = left.pop() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    left.push(path);
                } else if !path.ends_with(".lock") {
                    files.insert(path.clone(), fs::read(&path).expect("reads"));
                }
            }
        }
        files
    }

    /// The largest segment of a partition.
    fn segment(&self, partition: &str) -> PathBuf {
        let names = fs::read_dir(self.path(partition)).expect("lists");
        let paths = names.map(|entry| entry.expect("an entry").path());
        let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "log"));
        segments.max_by_key(|path| fs::metadata(path).expect("is there").len()).expect("one")
    }
}

/// What our broker gives consumers, printed as the fixture has it.
fn read_all(broker: &Broker) -> String {
    let mut all = String::new();
    for (topic, partition) in
        [("compacted", "0"), ("empty", "0"), ("events", "0"), ("events", "1"), ("events", "2")]
    {
        let format = "%t %p %o %T %k %s %h\\n";
        let args = ["consume", topic, "--partition", partition, "--from-beginning"];
        let read = broker.run(&[&args[..], &["--exit-at-end", "--format", format]].concat(), b"");
        all.push_str(&String::from_utf8(read).expect("text"));
    }
    all
}

fn epoch_end(broker: &Broker, epoch: i32) -> (i32, i64) {
    let partition = OffsetForLeaderPartition::default().with_partition(0).with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str("events")))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    let answer: OffsetForLeaderEpochResponse =
        broker.client().ask(ApiKey::OffsetForLeaderEpoch, 4, &request);
    let answer = &answer.topics[0].partitions[0];
    (answer.leader_epoch, answer.end_offset)
}

/// What is said to a client that has read a record of `epoch` before `offset`: an error code, or where
/// the log parts from that; records come otherwise.
fn fetch_behind(broker: &Broker, offset: i64, epoch: i32) -> (i16, Option<(i32, i64)>) {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(epoch)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_static_str("events")))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let answer: FetchResponse = broker.client().ask(ApiKey::Fetch, 12, &request);
    let answer = &answer.responses[0].partitions[0];
    let end = &answer.diverging_epoch;
    let diverging = (end.epoch >= 0).then_some((end.epoch, end.end_offset));
    let has_records = answer.records.as_ref().is_some_and(|records| !records.is_empty());
    assert_eq!(has_records, diverging.is_none() && answer.error_code == 0);
    (answer.error_code, diverging)
}

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What the group `readers` had read when it committed: records of partition 2 of `events` alone.
const KAFKA_COMMITTED: i64 = 500;

/// The sum of what `readers` has committed, as soon as that is read from its log.
fn committed(broker: &Broker) -> i64 {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(StrBytes::from_static_str("readers")))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let mut sum = 0;
    support::eventually("groups are loaded", || {
        let answer: OffsetFetchResponse = broker.client().ask(ApiKey::OffsetFetch, 8, &request);
        let group = &answer.groups[0];
        let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
        sum = partitions.map(|partition| partition.committed_offset).sum();
        group.error_code == 0
    });
    sum
}

#[test]
fn what_kafka_held_is_read_from_us_and_goes_on() {
    for how in ["--copy", "--link"] {
        let kafka = Kafka::unpack();
        let before = kafka.files();
        let dry = kafka.import(&["--data-dir", "data", how, "--dry-run", "--json"]);
        assert!(dry.status.success() && !kafka.path("data").exists());
        let dry: serde_json::Value = serde_json::from_slice(&dry.stdout).expect("JSON");
        assert_eq!(dry["cluster_id"], "4L6g3nShT-eMCtK--X86sw");
        let ends = dry["partitions"].as_array().expect("a list").iter();
        let ledger = ends.filter(|p| p["topic"] == "ledger").map(|p| p["log_end_offset"].as_i64());
        assert_eq!(ledger.collect::<Vec<_>>(), [Some(126)]);
        let mut topics = dry["topics"].as_array().expect("a list").iter();
        let events = topics.find(|topic| topic["name"] == "events").expect("is there");
        assert_eq!(events["configs"]["max.message.bytes"], "500000");
        assert_eq!(events["configs"]["flush.ms"], serde_json::Value::Null);

        let done = kafka.import(&["--data-dir", "data", "--data-dir", "other", how]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let again = kafka.import(&["--data-dir", "data", "--data-dir", "other", how]);
        let error = String::from_utf8(again.stderr).expect("text");
        assert!(error.contains("data: it is not empty"), "{error}");

        let data = kafka.path("data");
        let setup = Setup { more_dirs: vec!["other"], ..Setup::new("single") };
        let mut broker = Broker::start_on(setup, data, std::rc::Rc::clone(&kafka.dir));
        let expected = fs::read_to_string(kafka.path("expected")).expect("reads");
        assert!(read_all(&broker) == expected, "the same records");
        // Kafka was stopped, without a leader then, and started: 50 records came in the third epoch.
        assert_eq!(epoch_end(&broker, 0), (0, 1000));
        assert_eq!(epoch_end(&broker, 2), (2, 1050));
        assert_eq!(committed(&broker), KAFKA_COMMITTED);
        broker.run(&["produce", "events", "--partition", "0"], b"more\n");
        assert_eq!(epoch_end(&broker, 2), (2, 1051));
        for (offset, epoch, expected) in [
            (900, 0, (0, None)),
            (1020, 0, (0, Some((0, 1000)))),
            (1020, 2, (0, None)),
            (5000, 2, (0, Some((2, 1051)))),
            (900, 7, (OFFSET_OUT_OF_RANGE, None)),
        ] {
            assert_eq!(fetch_behind(&broker, offset, epoch), expected, "{offset} {epoch}");
        }
        broker.run(&["topic", "delete", "compacted", "--yes"], b"");
        broker.stop();
        assert_eq!(kafka.files(), before, "Kafka's files are as they were");
        assert_eq!(checkpoints(&kafka.path("data")), ["events 0 1051"]);
    }
}

/// The lines about `events` of the recovery checkpoint in a directory of ours.
fn checkpoints(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("recovery-point-offset-checkpoint")).expect("reads");
    text.lines().filter(|line| line.starts_with("events")).map(str::to_string).collect()
}

#[test]
fn a_link_shares_closed_segments_and_no_others() {
    let kafka = Kafka::unpack();
    assert!(kafka.import(&["--data-dir", "data", "--link"]).status.success());
    let names = fs::read_dir(kafka.path("data/events-0")).expect("lists");
    let mut segments: Vec<_> = names.map(|entry| entry.expect("an entry").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|e| e == "log"));
    segments.sort();
    let links: Vec<_> = segments.iter().map(|s| fs::metadata(s).expect("there").nlink()).collect();
    assert!(links.len() > 2, "{links:?}");
    let (active, closed) = links.split_last().expect("segments");
    assert_eq!(*active, 1);
    assert!(closed.iter().all(|links| *links == 2));
}

#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let kafka = Kafka::unpack();
    let segment = kafka.segment("k2/events-2");
    let whole = fs::read(&segment).expect("reads");

    let mut bytes = whole.clone();
    bytes[70] ^= 1;
    fs::write(&segment, &bytes).expect("writes");
    let error = kafka.refused();
    assert!(error.contains("k2/events-2/") && error.contains("damaged at position 0"), "{error}");

    let mut bytes = whole.clone();
    bytes[16] = 1;
    fs::write(&segment, &bytes).expect("writes");
    assert!(kafka.refused().contains("message format 1"));

    fs::write(&segment, &whole[..whole.len() - 1]).expect("writes");
    assert!(kafka.refused().contains("cut off"));
    fs::write(&segment, &whole).expect("writes");

    let id = kafka.path("k2/events-2/partition.metadata");
    let text = fs::read(&id).expect("reads");
    fs::write(&id, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n").expect("writes");
    assert!(kafka.refused().contains("the metadata log has topic id"));
    fs::write(&id, text).expect("writes");

    fs::write(kafka.path("k1/.lock"), b"").expect("writes");
    let lock = fs::File::options().write(true).open(kafka.path("k1/.lock")).expect("opens");
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).expect("locks");
    assert!(kafka.refused().contains("a broker is running on it"));
    drop(lock);

    fs::rename(kafka.path("k2"), kafka.path("away")).expect("renames");
    assert!(kafka.refused().contains("is in none of the directories"));
    fs::rename(kafka.path("away"), kafka.path("k2")).expect("renames");

    fs::remove_file(kafka.path("k2/.kafka_cleanshutdown")).expect("removes");
    assert!(kafka.refused().contains("not stopped in order"));
}
