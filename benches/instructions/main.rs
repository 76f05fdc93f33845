//! Does the hot path take more instructions than it did? Counted by valgrind, which does not depend
//! on how busy the machine is, and compared with `benches/instructions.toml`. `benches/README.md`
//! tells how to read it.
//!
//! `cargo run --release -p corelane-instructions` fails where a count has grown by more than its
//! tolerance; with `-- --accept` the counts of now become what is compared with.

mod baseline;
mod counted;
#[path = "../hot_path/inputs.rs"]
mod inputs;
// The broker's room as it is, without the broker: see Cargo.toml.
#[allow(dead_code, unused_imports)]
#[path = "../../src/wire/mod.rs"]
mod wire;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use anyhow::{bail, ensure, Context};
use baseline::{Baseline, Tools};
use serde_json::Value;

/// The broker's own allocator: allocations are a part of the path. (The wire's tests have theirs.)
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../instructions.toml");
/// Says to the child that it is one: it runs the benchmarks and does not judge them.
const COUNT: &str = "CORELANE_COUNT_INSTRUCTIONS";
const RUNNER: &str = "gungraun-runner";

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_counted = args.first().is_some_and(|arg| arg == "--gungraun-run");
    if is_counted || std::env::var_os(COUNT).is_some() {
        counted::run();
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(reason) = missing() {
        eprintln!(
            "\n*** SKIPPED: the instructions of the hot path were not counted: {reason} ***\n"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let counts = count()?;
    let tools = Tools { rustc: version_of("rustc")?, valgrind: version_of("valgrind")? };
    let before = Baseline::read(BASELINE)?;
    if args.iter().any(|arg| arg == "--accept") {
        before.accepting(&counts, tools).write(BASELINE)?;
        println!("benches/instructions.toml has the counts of now");
        return Ok(ExitCode::SUCCESS);
    }
    let verdict = before.judge(&counts, &tools);
    println!("{}", verdict.table);
    if verdict.complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\nThe hot path is not what benches/instructions.toml says:\n");
    verdict.complaints.iter().for_each(|complaint| eprintln!("  {complaint}"));
    eprintln!(
        "\nIf that is as it should be, accept it, and commit the file with the reason:\n\n  \
         cargo run --release -p corelane-instructions -- --accept\n"
    );
    Ok(ExitCode::FAILURE)
}

/// What keeps us from counting here, if anything does.
fn missing() -> Option<String> {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
        return Some("they are compared with those of x86-64 on Linux".to_string());
    }
    for tool in ["valgrind", RUNNER] {
        // Without arguments the runner complains; that it starts is what matters.
        let started = Command::new(tool).arg("--version").output();
        if let Err(error) = started {
            return Some(format!("{tool}: {error}"));
        }
    }
    None
}

fn version_of(tool: &str) -> anyhow::Result<String> {
    let output = Command::new(tool).arg("--version").output().context(tool.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Runs all benchmarks under valgrind: instructions by function and case.
fn count() -> anyhow::Result<BTreeMap<String, u64>> {
    let output = Command::new(std::env::current_exe()?)
        .env(COUNT, "1")
        .args(["--bench", "--output-format=json", "--nocapture=no"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run the benchmarks")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "the benchmarks failed under valgrind:\n{text}");
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let summary: Value = serde_json::from_str(line).context("not what gungraun prints")?;
        let (name, instructions) = instructions_of(&summary)
            .with_context(|| format!("gungraun says nothing of instructions: {line}"))?;
        counts.insert(name, instructions);
    }
    if counts.is_empty() {
        bail!("gungraun has counted nothing:\n{text}");
    }
    Ok(counts)
}

fn instructions_of(summary: &Value) -> Option<(String, u64)> {
    let function = summary.get("function_name")?.as_str()?;
    let case = summary.get("id")?.as_str()?;
    let metrics = summary.pointer("/profiles/0/data/total/metrics/Ir/values/new")?;
    Some((format!("{function}.{case}"), metrics.as_u64()?))
}
