//! `corelane group` on a real broker.

mod support;

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::ClientConfig;
use serde_json::Value;
use support::{Broker, Setup};

#[test]
fn consume_shares_a_topic_with_its_group_and_goes_on_where_the_group_is() {
    let extra = "\"group.initial.rebalance.delay.ms\" = 0".to_string();
    let broker = Broker::start(Setup { extra, shards: 2, ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    let lines = |from: usize| (from..from + 100).map(|n| format!("{n}\n")).collect::<String>();
    let read = |more: &[&str]| {
        let args = ["consume", "t", "--group", "readers", "--from-beginning"];
        let output = broker.run(&[&args[..], more].concat(), b"");
        let mut read: Vec<usize> = String::from_utf8(output)
            .expect("text")
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        read.sort_unstable();
        read
    };
    broker.run(&["produce", "t"], lines(0).as_bytes());
    let some = read(&["--count", "30"]);
    assert_eq!(some.len(), 30);
    let rest = read(&["--exit-at-end"]);
    let mut all = [some, rest].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>(), "each once");
    broker.run(&["produce", "t"], lines(100).as_bytes());
    assert_eq!(read(&["--exit-at-end"]), (100..200).collect::<Vec<_>>());
    assert!(read(&["--exit-at-end"]).is_empty());
    let error = broker.fail(&["consume", "t", "--group", "readers", "--offset", "3"], b"");
    assert!(error.contains("cannot be used with"), "{error}");
}

fn json(broker: &Broker, args: &[&str]) -> Value {
    let args = [&["group"], args, &["--json"]].concat();
    serde_json::from_slice(&broker.run(&args, b"")).expect("JSON")
}

/// Committed offset and lag of partition 0 of `t`.
fn state(broker: &Broker) -> (i64, i64) {
    let described = json(broker, &["describe", "g"]);
    let partition = &described["partitions"][0];
    let number = |name: &str| partition[name].as_i64().expect("a number");
    assert_eq!(partition["topic"], "t");
    (number("committed"), number("lag"))
}

#[test]
fn offsets_are_shown_and_set_and_groups_deleted() {
    let extra = "\"group.initial.rebalance.delay.ms\" = 0".to_string();
    let broker = Broker::start(Setup { extra, shards: 2, ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    broker.run(&["produce", "t"], b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let error = broker.fail(&["group", "describe", "g"], b"");
    assert!(error.contains("the group 'g' does not exist"), "{error}");
    let error = broker.fail(&["group", "reset-offsets", "g", "--to-latest"], b"");
    assert!(error.contains("has committed nothing"), "{error}");

    let reset = |how: &[&str]| json(&broker, &[&["reset-offsets", "g"], how].concat());
    reset(&["--topic", "t", "--to-offset", "4"]);
    assert_eq!(state(&broker), (4, 6));
    let planned = reset(&["--to-earliest", "--dry-run"]);
    assert_eq!((&planned["dry_run"], &planned["offsets"][0]["to"]), (&true.into(), &0.into()));
    assert_eq!(state(&broker), (4, 6));
    for (how, offset) in [
        (&["--shift", "-2"][..], 2),
        (&["--shift", "100"], 10),
        (&["--to-earliest"], 0),
        (&["--to-time", "99999999999999"], 10),
        (&["--by-duration", "1h"], 0),
        (&["--to-latest"], 10),
    ] {
        reset(how);
        assert_eq!(state(&broker), (offset, 10 - offset), "{how:?}");
    }
    assert_eq!(json(&broker, &["list"])[0]["group"], "g");

    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", "g")
        .create()
        .expect("a consumer");
    member.subscribe(&["t"]).expect("subscribes");
    support::eventually("it has its partition", || {
        let _ = member.poll(Duration::from_millis(20));
        json(&broker, &["describe", "g"])["partitions"][0]["member"].is_string()
    });
    let members = json(&broker, &["members", "g"]);
    assert_eq!(members[0]["assignment"], serde_json::json!({"t": [0]}));
    assert_eq!(
        (&members[0]["client"], &members[0]["host"]),
        (&"rdkafka".into(), &"/127.0.0.1".into())
    );
    let table = String::from_utf8(broker.run(&["group", "members", "g"], b"")).expect("text");
    assert!(table.contains("/127.0.0.1") && table.contains("t 0"), "{table}");
    let error = broker.fail(&["group", "members", "nobody"], b"");
    assert!(error.contains("does not exist"), "{error}");
    let error = broker.fail(&["group", "reset-offsets", "g", "--to-earliest"], b"");
    assert!(error.contains("somebody is in the group 'g'"), "{error}");
    let error = broker.fail(&["group", "delete", "g", "--yes"], b"");
    assert!(error.contains("somebody is in it"), "{error}");
    drop(member);
    support::eventually("it has left", || {
        json(&broker, &["describe", "g"])["members"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(broker.run(&["group", "delete", "g", "--yes"], b""), b"deleted g\n");
    let error = broker.fail(&["group", "describe", "g"], b"");
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn groups_of_the_consumer_protocol_are_shown_like_others() {
    for mode in support::MODES {
        let broker = Broker::start(Setup::new(mode));
        broker.run(&["topic", "create", "t", "--partitions", "3"], b"");
        let member: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &broker.address)
            .set("group.id", "g")
            .set("group.protocol", "consumer")
            .set("client.id", "new")
            .create()
            .expect("a consumer");
        member.subscribe(&["t"]).expect("subscribes");
        support::eventually("it has its partitions", || {
            let _ = member.poll(Duration::from_millis(20));
            member.assignment().is_ok_and(|assignment| assignment.count() == 3)
        });
        let row = &json(&broker, &["list"])[0];
        assert_eq!((&row["group"], &row["state"]), (&"g".into(), &"Stable".into()));
        assert_eq!(row["members"], 1);
        let described = json(&broker, &["describe", "g"]);
        assert_eq!(
            (&described["state"], &described["protocol"]),
            (&"Stable".into(), &"uniform".into())
        );
        assert_eq!(described["partitions"][2]["member"], described["members"][0]["id"]);
        let shown = json(&broker, &["members", "g"]);
        assert_eq!(
            (&shown[0]["client"], &shown[0]["assignment"]["t"][2]),
            (&"new".into(), &2.into())
        );
    }
}
