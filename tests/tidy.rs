//! House rules that a machine can judge.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 800;
/// Files over 400 lines hold two ideas; this list may only shrink.
const LONG_FILES: &[&str] = &["src/controller/state.rs", "tests/wire.rs"];
const LONG_FILE_LINES: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dirs: &[&str]) -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("lists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut files = Vec::new();
    dirs.iter().for_each(|dir| walk(&root().join(dir), &mut files));
    files.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        (name, fs::read_to_string(path).expect("reads"))
    };
    files.into_iter().map(named).collect()
}

#[test]
fn files_are_short() {
    for (name, text) in sources(&["src", "shards/src", "tests"]) {
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE_LINES, "{name} has {lines} lines");
        let listed = LONG_FILES.contains(&name.as_str());
        assert!(lines <= LONG_FILE_LINES || listed, "{name} has {lines} lines: find the seam");
        assert!(lines > LONG_FILE_LINES || !listed, "{name} is short now: take it off the list");
    }
}

#[test]
fn only_the_engine_names_glommio() {
    for (name, text) in sources(&["src", "tests", "perf/src"]) {
        if name != "tests/tidy.rs" {
            assert!(!text.contains("glommio::"), "{name} names glommio");
        }
    }
    for (name, text) in sources(&["shards/src/log"]) {
        assert!(!text.contains("glommio::"), "{name}: the log reaches the disk through its seam");
    }
}

#[test]
fn no_lower_room_names_a_higher_one() {
    // Each room, and the rooms above it.
    let above: &[(&str, &[&str])] = &[
        (
            "machine",
            &[
                "wire",
                "config",
                "metadata",
                "controller",
                "partition",
                "doctor",
                "handlers",
                "connection",
                "broker",
                "cli",
            ],
        ),
        (
            "wire",
            &["metadata", "controller", "partition", "handlers", "connection", "broker", "cli"],
        ),
        ("metadata", &["controller", "partition", "handlers", "connection", "broker", "cli"]),
        (
            "config",
            &["metadata", "controller", "partition", "handlers", "connection", "broker", "cli"],
        ),
        ("controller", &["partition", "handlers", "connection", "broker", "cli"]),
        (
            "partition",
            &["group", "share", "transaction", "handlers", "connection", "broker", "cli"],
        ),
        ("group", &["share", "transaction", "handlers", "connection", "broker", "cli"]),
        ("share", &["transaction", "handlers", "connection", "broker", "cli"]),
        ("transaction", &["handlers", "connection", "broker", "cli"]),
        ("import", &["partition", "group", "handlers", "connection", "broker", "cli"]),
        (
            "doctor",
            &["controller", "partition", "group", "handlers", "connection", "broker", "cli"],
        ),
        ("handlers", &["connection", "cli"]),
        ("broker", &["cli"]),
    ];
    for (room, higher) in above {
        for (name, text) in sources(&[&format!("src/{room}")]) {
            for other in *higher {
                assert!(!text.contains(&format!("crate::{other}::")), "{name} names {other}");
            }
        }
    }
    for (name, text) in sources(&["shards/src/disk", "shards/src/net", "shards/src/runtime"]) {
        assert!(!text.contains("crate::log"), "{name} names the log");
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_safe() {
    for (name, text) in sources(&["src", "shards/src"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.contains("unsafe {") {
                let before = lines[at.saturating_sub(3)..at].join("\n");
                assert!(before.contains("SAFETY:"), "{name}:{}", at + 1);
            }
        }
    }
}
