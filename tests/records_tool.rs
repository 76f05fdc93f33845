//! `corelane produce` and `corelane consume` on a real broker.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::ClientConfig;
use serde_json::{json, Value};
use support::{Broker, Setup};

fn text(broker: &Broker, args: &[&str]) -> String {
    String::from_utf8(broker.run(args, b"")).expect("text")
}

/// What `consume -e` prints, a line each, sorted.
fn lines(broker: &Broker, topic: &str, more: &[&str]) -> Vec<String> {
    let printed = text(broker, &[&["consume", topic, "-e"], more].concat());
    let mut lines: Vec<String> = printed.lines().map(String::from).collect();
    lines.sort();
    lines
}

/// What `consume -e --json` prints.
fn objects(broker: &Broker, topic: &str, more: &[&str]) -> Vec<Value> {
    let lines = lines(broker, topic, &[more, &["--json"]].concat());
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn what_comes_before_a_record_that_is_wrong_is_stored() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    let input = b"{\"value\":\"1\"}\n{\"value\":\"2\"}\nwrong\n{\"value\":\"3\"}\n";
    let error = broker.fail(&["produce", "t", "--json"], input);
    assert!(error.contains("2 records to t"), "{error}");
    assert!(error.contains("standard input, record 3: no JSON"), "{error}");
    assert_eq!(lines(&broker, "t", &[]), ["1", "2"]);
    let error = broker.fail(&["produce", "__consumer_offsets"], b"x\n");
    assert!(!error.contains("Broker:"), "{error}");
}

#[test]
fn records_are_read_from_lines_fields_files_and_json() {
    let broker = Broker::start(Setup::new("per-shard"));
    broker.run(&["topic", "create", "t", "whole", "copy", "--partitions", "2"], b"");
    let sent = ["produce", "t", "-K", ":", "-H", "h=1", "-Z", "--partition", "1", "-z", "zstd"];
    broker.run(&sent, b"a:1\nb:\n\nlast");
    let found = objects(&broker, "t", &[]);
    let part = |index: usize| (found[index]["key"].clone(), found[index]["value"].clone());
    let null = Value::Null;
    let mut parts: Vec<(Value, Value)> = (0..4).map(part).collect();
    parts.sort_by_key(|part| format!("{part:?}"));
    let expected = [
        (null.clone(), null.clone()),
        (null.clone(), "last".into()),
        ("a".into(), "1".into()),
        ("b".into(), null),
    ];
    assert_eq!(parts, expected);
    assert!(found.iter().all(|record| record["headers"] == json!({"h": "1"})));
    assert!(found.iter().all(|record| record["partition"] == 1));

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a");
    std::fs::write(&file, b"\xff\n\0two lines").expect("writes");
    let file = file.display().to_string();
    broker.run(&["produce", "whole", "--whole", &file, &file, "-k", "key"], b"");
    let found = objects(&broker, "whole", &[]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["value"], json!({"base64": "/woAdHdvIGxpbmVz"}));
    assert_eq!(
        broker.run(&["consume", "whole", "-e", "-n", "1", "--raw"], b""),
        b"\xff\n\0two lines"
    );
    let hex = text(&broker, &["consume", "whole", "-e", "-n", "1", "--hex"]);
    assert!(hex.contains("ff 0a 00 74 77 6f") && hex.contains("|...two lines|"), "{hex}");

    // What is printed as JSON comes back as it was.
    let printed = broker.run(&["consume", "t", "-e", "--json"], b"");
    broker.run(&["produce", "copy", "--json", "--keep-partition", "--keep-timestamp"], &printed);
    let strip = |mut records: Vec<Value>| {
        records.iter_mut().for_each(|record| record["topic"] = Value::Null);
        records
    };
    assert_eq!(strip(objects(&broker, "copy", &[])), strip(objects(&broker, "t", &[])));
    let error = broker.fail(&["produce", "copy", "--json"], b"{}\n[]\n");
    assert!(error.contains("standard input, record 2: a JSON object is wanted"), "{error}");
    let error = broker.fail(&["produce", "copy", "--partition", "7"], b"x\n");
    assert!(error.contains("no such partition"), "{error}");
}

#[test]
fn a_part_of_a_topic_is_read_by_offset_time_and_filter() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
    for partition in 0..2 {
        let record = |n: i64| {
            json!({
                "key": format!("k{}", n % 3),
                "value": format!("v{partition}{n}"),
                "timestamp": 1_700_000_000_000 + n * 1_000,
                "headers": {"odd": (n % 2).to_string()},
            })
        };
        let input: String = (0..10).map(|n| format!("{}\n", record(n))).collect();
        let partition = partition.to_string();
        let args = ["produce", "t", "--json", "--keep-timestamp", "-p", &partition, "-z", "lz4"];
        broker.run(&args, input.as_bytes());
    }
    let read = |more: &[&str]| lines(&broker, "t", more);
    assert_eq!(read(&[]).len(), 20);
    assert_eq!(read(&["--tail", "1"]), ["v09", "v19"]);
    assert_eq!(read(&["--offset", "-2", "-p", "1"]), ["v18", "v19"]);
    assert_eq!(read(&["--offset", "9"]), ["v09", "v19"]);
    assert_eq!(read(&["--offset", "100"]), [""; 0]);
    assert_eq!(read(&["-n", "3"]).len(), 3);
    let from_until = ["--from", "2023-11-14T22:13:25Z", "--until", "1700000007000"];
    assert_eq!(read(&from_until), ["v05", "v06", "v15", "v16"]);
    assert_eq!(read(&["--from", "1h"]), [""; 0]);
    assert_eq!(read(&["--until", "1700000001000"]), ["v00", "v10"]);
    assert_eq!(read(&["--key", "k0", "-p", "0"]), ["v00", "v03", "v06", "v09"]);
    assert_eq!(
        read(&["--key-regex", "[12]", "--header", "odd=0", "-p", "0"]),
        ["v02", "v04", "v08"]
    );
    assert_eq!(read(&["--grep", "^v.7$"]), ["v07", "v17"]);
    assert_eq!(
        read(&["--value", "v17", "-f", "%p/%o %k %T %h\\n"]),
        ["1/7 k1 1700000007000 odd=1"]
    );
    let error = broker.fail(&["consume", "t", "-p", "2", "-e"], b"");
    assert!(error.contains("'t' has no partition 2"), "{error}");
    let error = broker.fail(&["consume", "none", "-e"], b"");
    assert!(error.contains("the topic 'none' does not exist"), "{error}");
    let error = broker.fail(&["consume", "t", "--grep", "("], b"");
    assert!(error.contains("--value-regex"), "{error}");

    // Records that were deleted meanwhile are left out.
    broker.run(&["topic", "trim", "t", "--to-offset", "8", "--yes"], b"");
    assert_eq!(read(&["--offset", "3"]), ["v08", "v09", "v18", "v19"]);
}

#[test]
fn several_topics_are_read_alone_and_in_a_group() {
    let extra = "\"group.initial.rebalance.delay.ms\" = 0".to_string();
    let broker = Broker::start(Setup { extra, ..Setup::new("per-shard") });
    broker.run(&["topic", "create", "a1", "a2", "b", "--partitions", "3"], b"");
    for topic in ["a1", "a2", "b"] {
        let input: String = (0..100).map(|n| format!("{topic} {n}\n")).collect();
        broker.run(&["produce", topic, "-K", " "], input.as_bytes());
    }
    let counted = |args: &[&str]| text(&broker, args).lines().count();
    assert_eq!(counted(&["consume", "a1", "b", "-e"]), 200);
    assert_eq!(counted(&["consume", "^a", "-e"]), 200);
    let error = broker.fail(&["consume", "^c", "-e"], b"");
    assert!(error.contains("no topic matches '^c'"), "{error}");
    assert_eq!(counted(&["topic", "list", "^__", "--internal", "--names"]), 0);
    assert_eq!(counted(&["consume", "a1", "a2", "--group", "g", "-e"]), 200);
    assert_eq!(counted(&["consume", "a1", "a2", "--group", "g", "-e"]), 0);
    assert_eq!(counted(&["consume", "^a", "b", "--group", "g", "-e"]), 100);
}

#[test]
fn aborted_transactions_are_not_shown_unless_asked_for() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("transactional.id", "app")
        .create()
        .expect("a producer");
    let limit = Duration::from_secs(20);
    producer.init_transactions(limit).expect("starts");
    for (value, commit) in [("one", true), ("two", false), ("three", true), ("four", false)] {
        producer.begin_transaction().expect("begins");
        producer.send(BaseRecord::<(), _>::to("t").payload(value)).expect("sends");
        producer.flush(limit).expect("sends");
        match commit {
            true => producer.commit_transaction(limit).expect("commits"),
            false => producer.abort_transaction(limit).expect("aborts"),
        }
    }
    assert_eq!(lines(&broker, "t", &[]), ["one", "three"]);
    let all = lines(&broker, "t", &["--isolation", "uncommitted"]);
    assert_eq!(all, ["four", "one", "three", "two"]);
    let group = ["--group", "g"];
    assert_eq!(lines(&broker, "t", &group), ["one", "three"]);
}

#[test]
fn a_reader_goes_on_when_its_broker_has_been_away() {
    let mut broker = Broker::start(Setup::new("per-shard"));
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    broker.run(&["produce", "t"], b"1\n2\n");
    let mut reader = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["consume", "t", "--from-beginning", "-n", "4", "-b", &broker.address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut printed = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let mut read = |count: usize| {
        let mut lines: Vec<String> = printed.by_ref().take(count).map_while(Result::ok).collect();
        lines.sort();
        lines
    };
    assert_eq!(read(2), ["1", "2"]);
    broker = broker.crash_and_restart_in_place();
    broker.run(&["produce", "t"], b"3\n4\n");
    assert_eq!(read(3), ["3", "4"]);
    assert!(reader.wait().expect("ends").success());
}
