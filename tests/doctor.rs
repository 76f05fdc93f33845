//! `corelane doctor` on this machine: what it ends with, and that it leaves disks as they are.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Broker, Setup};

/// What a machine that runs these tests has.
const SMALL: &str = "shards = 1\nmemory = '64MiB'\n";
const PATIENCE: Duration = Duration::from_secs(30);

fn doctor(dir: &Path, data: &Path) -> Command {
    let config = dir.join("small.toml");
    fs::write(&config, SMALL).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.arg("doctor").arg("--config").arg(config).arg("--data-dir").arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn finding<'a>(shown: &'a Value, check: &str) -> &'a Value {
    let findings = shown["findings"].as_array().expect("a list");
    findings.iter().find(|finding| finding["check"] == check).unwrap_or(&Value::Null)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_machine_that_runs_a_broker_has_no_problem() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("not/there/yet");
    let output =
        doctor(dir.path(), &data).args(["--json", "--seconds", "1"]).output().expect("runs");
    let shown = json(&output);
    assert_eq!(output.status.code(), Some(0), "{shown:#}");
    assert_eq!(finding(&shown, "io_uring")["level"], "ok");
    assert_eq!(finding(&shown, "directory")["level"], "note");
    let speeds = &shown["speeds"][data.to_str().expect("text")];
    for part in ["write", "durable_write", "read"] {
        assert!(speeds[part]["operations"].as_u64() > Some(0), "{speeds}");
    }
    assert!(!data.exists() && names(dir.path()) == ["small.toml"], "nothing was made");
}

#[test]
fn a_problem_ends_with_1_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    // Nobody, not even root, makes files there.
    let output = doctor(dir.path(), Path::new("/proc/self/data")).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("problem: directory of /proc/self/data"), "{text}");
    assert!(text.contains("$ sudo install -d"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours but on a terminal");
    assert!(!text.contains("disk: write"), "what cannot be written is not tried");
    assert!(String::from_utf8_lossy(&output.stderr).contains("problem"));
}

#[test]
fn wrong_configuration_ends_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = doctor(dir.path(), dir.path());
    fs::write(dir.path().join("small.toml"), "shards = 0\n").expect("writes");
    assert_eq!(command.output().expect("runs").status.code(), Some(2));
}

/// Whether the process has a file in `dir` open that has no name.
fn has_nameless_file(child: &Child, dir: &Path) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    let mut targets = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|to| to.starts_with(dir) && to.to_string_lossy().ends_with("(deleted)"))
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().canonicalize().expect("is there").join("data");
    fs::create_dir(&data).expect("makes");
    fs::write(data.join("kept"), "as it was").expect("writes");
    let mut child = doctor(dir.path(), &data).args(["--seconds", "600"]).spawn().expect("runs");
    let started = Instant::now();
    while !has_nameless_file(&child, &data) {
        assert!(started.elapsed() < PATIENCE, "the disk is not tried");
        assert_eq!(child.try_wait().expect("is ours"), None);
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("is running");
    assert!(!child.wait().expect("ends").success());
    assert_eq!(names(&data), ["kept"]);
    assert_eq!(fs::read_to_string(data.join("kept")).expect("reads"), "as it was");
}

#[test]
fn a_broker_at_work_is_not_disturbed() {
    let broker = Broker::start(Setup::new("single"));
    let dir = tempfile::tempdir().expect("a directory");
    let output = doctor(dir.path(), &broker.data).arg("--json").output().expect("runs");
    let shown = json(&output);
    assert_eq!(finding(&shown, "directory")["found"], "a broker is running on it");
    assert_eq!(finding(&shown, "disk")["found"], "not tried: a broker is running on it");
    assert_eq!(shown["speeds"], serde_json::json!({}));
}
