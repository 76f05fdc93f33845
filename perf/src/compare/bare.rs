//! Bare measures, taken in the pairs of the workloads that are held against them.

use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::ceiling::client::{self, EchoArgs, SourceArgs};
use crate::ceiling::durable::{self, DurableArgs};
use crate::ceiling::{Blocks, Durability, BLOCK_BYTES};
use crate::workload::Bare;

/// Bytes of the message that is echoed: as small as the records it is held against.
const MESSAGE_BYTES: u64 = 100;
/// The trading feed: what a request with a small record has, how many are due at once, and how long
/// it is to the next.
const BURST: EchoArgs =
    EchoArgs { message_bytes: 250, burst: 50, every_ms: Some(20.0), seconds: 0.0, json: false };
/// Partitions, and so files, of the workload that these writes are held against.
const WRITERS: u32 = 1000;
/// What one run of fio reads, over all its files.
const READ_MIB: u64 = 2048;
/// Files read at once, as many as the workload has partitions.
const READ_FILES: u64 = 8;

/// Takes one measure on the file system of `dir`, for about so long; its value is in
/// [`Bare::unit`].
pub fn measure(bare: Bare, dir: &Path, seconds: f64) -> Result<f64> {
    match bare {
        Bare::Echo => echo(EchoArgs {
            message_bytes: MESSAGE_BYTES,
            burst: 1,
            every_ms: None,
            seconds,
            ..BURST
        }),
        Bare::EchoInBursts => echo(EchoArgs { seconds, ..BURST }),
        Bare::DurableWrite => {
            let report = durable::run(&writes(dir, 1, seconds))?;
            Ok(report.latency.context("nothing was written")?.p50_us / 1e3)
        }
        Bare::DurableWrites => Ok(durable::run(&writes(dir, WRITERS, seconds))?.writes_per_second),
        Bare::Fio => match Command::new("fio").arg("--version").output() {
            Ok(_) => fio(dir, seconds),
            // The same reads by our own program, which sends them over a socket as well.
            Err(_) => own_reader(dir, seconds),
        },
    }
}

fn echo(args: EchoArgs) -> Result<f64> {
    Ok(client::echo(&args)?.latency.context("nothing came back")?.p50_us / 1e3)
}

fn writes(dir: &Path, writers: u32, seconds: f64) -> DurableArgs {
    DurableArgs {
        dir: dir.to_owned(),
        write_bytes: BLOCK_BYTES as u64,
        durability: Durability::Dsync,
        blocks: Blocks::Written,
        writers,
        seconds,
        json: false,
    }
}

fn fio(dir: &Path, seconds: f64) -> Result<f64> {
    // fio leaves the files that it has made.
    let dir = tempfile::Builder::new().prefix("corelane-perf-").tempdir_in(dir)?;
    let output = Command::new("fio")
        .args(["--name=cold", "--rw=read", "--bs=1M", "--direct=1", "--ioengine=io_uring"])
        .args(["--iodepth=4", "--group_reporting", "--output-format=json"])
        .arg(format!("--numjobs={READ_FILES}"))
        .arg(format!("--size={}M", READ_MIB / READ_FILES))
        .arg(format!("--runtime={}", seconds.ceil().max(1.0)))
        .arg(format!("--directory={}", dir.path().display()))
        .output()?;
    ensure!(
        output.status.success(),
        "fio ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    mb_per_second(&String::from_utf8_lossy(&output.stdout))
}

/// The reading speed in fio's JSON, which warnings may precede.
fn mb_per_second(output: &str) -> Result<f64> {
    let json = output.find('{').map(|at| &output[at..]).context("fio said nothing")?;
    let report: Value = serde_json::from_str(json).context("fio's answer")?;
    let bytes = report["jobs"][0]["read"]["bw_bytes"].as_f64().context("fio told no speed")?;
    Ok(bytes / 1e6)
}

fn own_reader(dir: &Path, seconds: f64) -> Result<f64> {
    let report = client::fetch(&SourceArgs {
        connections: READ_FILES as u16,
        fetch_bytes: 1 << 20,
        seconds,
        bytes: READ_MIB << 20,
        dir: Some(dir.to_owned()),
        server_cpus: None,
        json: false,
    })?;
    Ok(report.mb_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_found_behind_a_warning() {
        let said = "note: old kernel\n{\"jobs\": [{\"read\": {\"bw_bytes\": 2500000}}]}";
        assert_eq!(mb_per_second(said).unwrap(), 2.5);
        assert!(mb_per_second("{\"jobs\": []}").is_err());
        assert!(mb_per_second("").is_err());
    }

    #[test]
    fn many_writers_write_for_as_long_as_they_are_told() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let report = durable::run(&writes(dir.path(), 3, 0.05)).unwrap();
        assert!(report.writes_per_second > 0.0 && report.writers == 3);
    }
}
