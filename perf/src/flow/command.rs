//! `run`: one workload on a broker that is there.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{Limits, Outcome, Target};
use crate::size::parse_bytes;
use crate::workload;

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Name of the workload
    pub workload: String,
    /// Directory of the workloads
    #[arg(long, default_value = "perf/workloads")]
    pub workloads: PathBuf,
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of the same load before, on a topic of its own, which are not counted
    #[arg(long, default_value_t = 5.0)]
    pub warm_up: f64,
    /// Most bytes of batches that are produced
    #[arg(long, default_value = "4GiB", value_parser = parse_bytes)]
    pub bytes: u64,
    /// Batches a second, for a workload that asks for a share of Kafka's
    #[arg(long)]
    pub rate: Option<f64>,
    /// Process whose CPU time, memory and context switches are reported
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Count the system calls of that process, by `perf stat`
    #[arg(long, requires = "broker_pid")]
    pub count_system_calls: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. The topics `corelane-perf` and `corelane-perf-warm-up` are created if they are
/// not there.
pub fn run(args: &RunArgs) -> Result<Outcome> {
    let workloads = workload::read_all(&args.workloads, std::slice::from_ref(&args.workload))?;
    let workload = &workloads[0];
    let target = Target {
        address: args.bootstrap.clone(),
        pid: args.broker_pid,
        count_system_calls: args.count_system_calls,
        topic: workload.topic.clone(),
    };
    let limits = Limits {
        time: Duration::try_from_secs_f64(args.seconds)?,
        bytes: args.bytes,
        batches_per_second: args.rate,
    };
    if args.warm_up > 0.0 {
        let time = Duration::try_from_secs_f64(args.warm_up)?;
        super::warm_up(workload, &target, &Limits { time, ..limits })?;
    }
    super::prepare(workload, &target)?;
    super::measure(workload, &target, &limits)
}
