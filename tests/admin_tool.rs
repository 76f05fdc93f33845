//! `corelane topic`, `config`, `log-dir` and `cluster` on a real broker.

mod support;

use serde_json::Value;
use support::{Broker, Setup};

fn broker() -> Broker {
    Broker::start(Setup::new("per-shard"))
}

fn json(broker: &Broker, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    serde_json::from_slice(&broker.run(&args, b"")).expect("JSON")
}

/// The cells of a table, by line.
fn cells(broker: &Broker, args: &[&str]) -> Vec<Vec<String>> {
    let text = String::from_utf8(broker.run(args, b"")).expect("text");
    let words = |line: &str| line.split_whitespace().map(String::from).collect();
    text.lines().map(words).collect()
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let broker = broker();
    let create = ["topic", "create", "a", "b", "--partitions", "3", "-c", "retention.ms=1000"];
    let would = json(&broker, &[&create[..], &["--dry-run"]].concat());
    assert_eq!(would[1]["topic"], "b");
    assert_eq!(json(&broker, &["topic", "list"]), Value::Array(Vec::new()));
    assert_eq!(json(&broker, &create)[0]["partitions"], 3);
    assert!(broker.fail(&["topic", "create", "a"], b"").contains("already exists"));
    broker.run(&["topic", "create", "a", "--if-not-exists"], b"");
    let error = broker.fail(&["topic", "create", "c", "--config", "retention.ms"], b"");
    assert!(error.contains("KEY=VALUE is wanted"), "{error}");

    assert_eq!(cells(&broker, &["topic", "list"])[1], ["a", "3", "1"]);
    assert_eq!(broker.run(&["topic", "list", "^b$", "--names"], b""), b"b\n");
    broker.run(&["produce", "a", "--partition", "1"], b"1\n2\n");
    let described = json(&broker, &["topic", "describe", "a"]);
    assert_eq!(described["configs"]["retention.ms"], "1000");
    let partition = &described["partitions"][1];
    assert_eq!((&partition["start"], &partition["end"]), (&0.into(), &2.into()));
    let table = cells(&broker, &["topic", "describe", "a"]);
    assert_eq!(table[0][..3], ["a:", "3", "partitions,"]);
    assert_eq!(table[1], ["retention.ms=1000"]);
    assert_eq!(table[4][4..], ["0", "2", "2"]);

    let error = broker.fail(&["topic", "delete", "a"], b"y\n");
    assert!(error.contains("--yes"), "{error}");
    let error = broker.fail(&["topic", "delete", "a", "nothing", "--yes"], b"");
    assert!(error.contains("topic nothing: it does not exist"), "{error}");
    assert!(error.contains("1 topic of 2 could not be deleted"), "{error}");
    broker.run(&["topic", "delete", "a", "b", "--yes", "--if-exists"], b"");
    assert_eq!(json(&broker, &["topic", "list"]), Value::Array(Vec::new()));
    let error = broker.fail(&["topic", "describe", "a"], b"");
    assert!(error.contains("the topic 'a' does not exist; see `corelane topic list`"), "{error}");
}

#[test]
fn topics_get_partitions_and_lose_old_records() {
    let broker = broker();
    broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
    let add = ["topic", "add-partitions", "t"];
    assert_eq!(json(&broker, &[&add[..], &["--by", "1", "--dry-run"]].concat())[0]["to"], 3);
    assert_eq!(json(&broker, &["topic", "list"])[0]["partitions"], 2);
    broker.run(&[&add[..], &["--to", "4"]].concat(), b"");
    assert_eq!(json(&broker, &["topic", "list"])[0]["partitions"], 4);
    broker.fail(&[&add[..], &["--to", "3"]].concat(), b"");

    for partition in ["0", "3"] {
        broker.run(&["produce", "t", "--partition", partition], b"1\n2\n3\n4\n5\n");
    }
    let trim = ["topic", "trim", "t"];
    let trimmed = |more: &[&str]| {
        let answer = json(&broker, &[&trim[..], more].concat());
        let rows = answer["partitions"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["to"].as_i64().expect("an offset")).collect::<Vec<_>>()
    };
    let start = |partition: usize| {
        json(&broker, &["topic", "describe", "t"])["partitions"][partition]["start"].clone()
    };
    assert_eq!(trimmed(&["--to-offset", "2", "--dry-run"]), [2, 0, 0, 2]);
    assert_eq!(trimmed(&["--before", "1h", "--dry-run"]), [0, 0, 0, 0]);
    assert_eq!(trimmed(&["--before", "now", "--dry-run"]), [5, 0, 0, 5]);
    assert!(broker.fail(&[&trim[..], &["--to-end"]].concat(), b"").contains("--yes"));
    assert_eq!(start(3), 0);
    assert_eq!(trimmed(&["--to-offset", "2", "--partition", "3", "--yes"]), [2]);
    assert_eq!((start(0), start(3)), (0.into(), 2.into()));
    assert_eq!(trimmed(&["--to-end", "--yes"]), [5, 0, 0, 5]);
    assert_eq!((start(0), start(3)), (5.into(), 5.into()));
    let error = broker.fail(&[&trim[..], &["--partition", "9", "--to-end", "-y"]].concat(), b"");
    assert!(error.contains("'t' has no partition 9"), "{error}");
    let error = broker.fail(&[&trim[..], &["--before", "whenever"]].concat(), b"");
    assert!(error.contains("'whenever' is no time"), "{error}");
}

#[test]
fn settings_of_topics_are_shown_set_unset_and_compared() {
    let broker = broker();
    broker.run(&["topic", "create", "a", "b", "--partitions", "1"], b"");
    let value = |key: &str| {
        let output = broker.run(&["config", "get", "--topic", "a", key, "--value"], b"");
        String::from_utf8(output).expect("text").trim().to_string()
    };
    let set = ["config", "set", "--topic", "a", "retention.ms=1000", "cleanup.policy=compact"];
    let would = json(&broker, &[&set[..], &["--dry-run"]].concat());
    assert_eq!(would[0]["changes"][0]["to"], "1000");
    assert_ne!(value("retention.ms"), "1000");
    broker.run(&set, b"");
    assert_eq!((value("retention.ms"), value("cleanup.policy")), ("1000".into(), "compact".into()));
    broker.run(&["topic", "alter", "a", "--set", "cleanup.policy+=delete"], b"");
    assert_eq!(value("cleanup.policy"), "compact,delete");

    let diff = json(&broker, &["config", "diff", "--topic", "a"]);
    assert_eq!(
        (&diff[0]["key"], &diff[0]["default"]),
        (&"cleanup.policy".into(), &"delete".into())
    );
    assert_eq!(diff[1]["key"], "retention.ms");
    let diff = cells(&broker, &["config", "diff", "--topic", "a", "--topic", "b"]);
    assert_eq!(diff[0], ["KEY", "topic", "a", "topic", "b"]);
    assert_eq!(diff[1], ["cleanup.policy", "compact,delete", "delete"]);
    assert_eq!(diff.len(), 3);

    let diff = cells(&broker, &["config", "diff", "--topic", "a"]);
    let retention = diff.iter().find(|row| row[0] == "retention.ms").expect("is its own");
    assert_eq!(retention[2], "604800000", "the default, which brokers do not tell");
    let all = ["config", "set", "--broker-defaults", "log.retention.ms=5000"];
    broker.run(&all, b"");
    let diff = cells(&broker, &["config", "diff", "--broker", "1"]);
    let retention = diff.iter().find(|row| row[0] == "log.retention.ms").expect("is set");
    assert_eq!(retention[2], "log.retention.hours=168", "in its own unit");
    broker.run(&["config", "unset", "--broker-defaults", "log.retention.ms"], b"");

    let unset =
        json(&broker, &["config", "unset", "--topic", "a", "retention.ms", "cleanup.policy"]);
    assert_eq!(unset[0]["changes"][0]["to"], "604800000");
    assert_eq!(unset[0]["changes"][1]["to"], "delete");
    assert_eq!(value("cleanup.policy"), "delete");
    assert_eq!(json(&broker, &["config", "diff", "--topic", "a"]), Value::Array(Vec::new()));

    let error = broker.fail(&["config", "set", "--topic", "a", "retention=1"], b"");
    assert!(error.contains("has no setting 'retention': did you mean 'retention.ms'?"), "{error}");
    let error = broker.fail(&["config", "set", "--topic", "a", "retention.byte=1"], b"");
    assert!(error.contains("did you mean 'retention.bytes'?"), "{error}");
    let error = broker.fail(&["topic", "create", "x", "--config", "retention.byte=1"], b"");
    assert!(error.contains("did you mean retention.bytes?"), "{error}");
    let both = ["config", "set", "--topic", "a", "retention.ms=5", "segment.bytes=no"];
    broker.fail(&both, b"");
    assert_ne!(value("retention.ms"), "5", "all or nothing");
    let error = broker.fail(&["config", "get", "--topic", "c"], b"");
    assert!(error.contains("the topic 'c' does not exist"), "{error}");
    let error = broker.fail(&["config", "get"], b"");
    assert!(error.contains("--topic"), "{error}");
    let shown = json(&broker, &["config", "get", "--broker", "1", "node.id"]);
    assert_eq!(shown[0]["configs"][0]["value"], "1");
}

#[test]
fn log_directories_are_listed_and_partitions_moved_between_them() {
    let setup = Setup { more_dirs: vec!["other"], ..Setup::new("single") };
    let broker = Broker::start(setup);
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    broker.run(&["produce", "t"], b"1\n2\n3\n");
    let dirs = json(&broker, &["log-dir", "list", "--topic", "t"]);
    let dirs = dirs.as_array().expect("directories");
    assert_eq!(dirs.len(), 2);
    let held = |dir: &Value| dir["partitions"].as_array().expect("partitions").len();
    assert_eq!(held(&dirs[0]) + held(&dirs[1]), 4);
    let to = dirs[1]["directory"].as_str().expect("a path");
    let moved = json(&broker, &["log-dir", "move", "t", "--to", to]);
    assert_eq!(moved.as_array().expect("rows").len(), 4);
    let rows = cells(&broker, &["log-dir", "list"]);
    assert_eq!((rows[1][1].as_str() == to, rows[1][2].as_str()), (false, "0"));
    assert_eq!((rows[2][1].as_str(), rows[2][2].as_str()), (to, "4"));
    let again = json(&broker, &["log-dir", "move", "t", "--partition", "2", "--to", to]);
    assert_eq!(again[0]["state"], "was there");
    let error = broker.fail(&["log-dir", "move", "t", "--to", "/nowhere"], b"");
    assert!(error.contains("no log directory /nowhere; there are: "), "{error}");
}

#[test]
fn the_cluster_is_shown() {
    let broker = broker();
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    let info = json(&broker, &["cluster", "info"]);
    assert_eq!((&info["topics"], &info["partitions"]), (&1.into(), &4.into()));
    let brokers = info["brokers"].as_array().expect("brokers");
    assert_eq!(brokers.iter().map(|b| b["leads"].as_i64().unwrap_or(0)).sum::<i64>(), 4);
    let table = cells(&broker, &["cluster", "info"]);
    assert_eq!(table.len(), 3 + brokers.len());
    let features = json(&broker, &["cluster", "features"]);
    let names = features["features"].as_array().expect("features");
    assert!(names.iter().any(|feature| feature["feature"] == "transaction.version"));
    let apis = cells(&broker, &["cluster", "apis"]);
    assert_eq!(apis[1], ["0", "Produce", "0–13"]);
    let error = broker.fail(&["cluster", "features", "upgrade", "no-level"], b"");
    assert!(error.contains("FEATURE=LEVEL"), "{error}");
}
