//! `corelane log`: what is damaged is found by name, never served, and mended with all that is whole.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use support::{Broker, Setup};

fn log(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_corelane")).arg("log").args(args).output();
    output.expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn segments(broker: &Broker) -> Vec<PathBuf> {
    let dir = fs::read_dir(broker.data_inside().join("t-0")).expect("lists");
    let mut logs: Vec<PathBuf> = dir.map(|entry| entry.expect("an entry").path()).collect();
    logs.retain(|path| path.extension().is_some_and(|e| e == "log"));
    logs.sort();
    logs
}

#[test]
fn a_damaged_segment_is_found_not_served_and_mended() {
    let extra = "\"log.segment.bytes\" = 4000".to_string();
    let mut broker = Broker::start(Setup { extra, ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    for n in 0..20 {
        let line = format!("record {n} {}\n", "x".repeat(700));
        broker.run(&["produce", "t", "--acks", "1"], line.as_bytes());
    }
    let files = segments(&broker);
    let held = log(&["repair", files[0].to_str().expect("UTF-8")]);
    assert_eq!(held.status.code(), Some(1));
    assert!(text(&held.stderr).contains("running broker"), "{}", text(&held.stderr));

    let data = broker.data.clone();
    let files: Vec<_> =
        files.iter().map(|f| data.join("t-0").join(f.file_name().expect("a name"))).collect();
    assert_eq!(broker.stop(), Some(0));
    let dir = data.to_str().expect("UTF-8");
    let whole = log(&["verify", dir, "--json"]);
    assert!(whole.status.success(), "{}", text(&whole.stdout));

    // In the middle of the second batch of the second segment.
    let mut bytes = fs::read(&files[1]).expect("reads");
    bytes[1_200] ^= 1;
    fs::write(&files[1], &bytes).expect("writes");
    let found = log(&["verify", dir]);
    assert_eq!(found.status.code(), Some(1));
    let name = files[1].display().to_string();
    assert!(text(&found.stdout).contains(&name), "{}", text(&found.stdout));
    assert!(text(&found.stdout).contains("checksum"), "{}", text(&found.stdout));

    let mut broker = broker.start_again();
    let read = broker.fail(&["consume", "t", "--from-beginning", "--exit-at-end"], b"");
    assert!(!read.is_empty(), "a reader is told");
    assert_eq!(broker.stop(), Some(0));

    let before = fs::read(&files[1]).expect("reads");
    assert!(log(&["repair", dir, "--dry-run"]).status.success());
    assert_eq!(fs::read(&files[1]).expect("reads"), before, "nothing was changed");
    let mended = log(&["repair", dir]);
    assert!(mended.status.success(), "{}", text(&mended.stderr));
    assert!(log(&["verify", dir]).status.success());
    assert_eq!(fs::read(files[1].with_extension("log.damaged")).expect("is kept"), before);

    let broker = broker.start_again();
    let read = text(&broker.run(&["consume", "t", "--from-beginning", "--exit-at-end"], b""));
    assert_eq!(read.lines().count(), 19, "one batch of one record is lost");

    let dumped = log(&["dump", files[0].to_str().expect("UTF-8"), "--records", "--json"]);
    let first = text(&dumped.stdout);
    let line = first.lines().nth(1).expect("a record");
    let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(record["offset"], 0);
    assert!(record["value"].as_str().expect("text").starts_with("record 0 "));
}
