//! What is found in a log directory at start.

mod support;

use std::fs;

use support::{Broker, Setup};

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
