//! `corelane doctor`: whether this machine suits a broker. Facts are read from `/proc` and `/sys`
//! below a root that tests put their own trees at; what follows from them is told by pure functions;
//! only `touch` and `probe` do anything to a disk, with a file that has no name.
//!
//! One file for each part of the machine, with its facts and its rules.

mod cpu;
mod disk;
mod filesystem;
mod finding;
mod kernel;
mod limits;
mod memory;
mod network;
mod probe;
mod speed;
#[cfg(test)]
mod tests;
mod touch;

use std::path::PathBuf;

pub use disk::in_use;
pub use finding::{Finding, Level};
pub use probe::{probe, Speeds};
pub use speed::judge as judge_speeds;
pub use touch::{touch, Direct, Touched};

use corelane_shards::runtime::{EngineConfig, RingProbe};

use crate::config::{cores, BrokerConfig};
pub use crate::machine::Root;

/// What the broker would take of the machine, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub shards: usize,
    /// Those that shards are pinned to.
    pub cores: Vec<usize>,
    /// Requests and caches of all shards.
    pub memory_bytes: u64,
    pub log_dirs: Vec<PathBuf>,
}

impl Plan {
    pub fn of(config: &BrokerConfig) -> Plan {
        let engine = EngineConfig {
            cores: config.cores.clone(),
            shards: config.shards,
            ..EngineConfig::default()
        };
        let placement = engine.placement();
        let shards = placement.len();
        Plan {
            shards,
            cores: placement.into_iter().flatten().collect(),
            memory_bytes: config.memory_per_shard(shards) * shards as u64,
            log_dirs: config.log_dirs.clone(),
        }
    }
}

/// A file with a list of numbers, as `0,2,4-7`; none where it cannot be read.
fn listed_numbers(root: &Root, path: &str) -> Vec<usize> {
    root.text(path).and_then(|text| cores(&text).ok()).unwrap_or_default()
}

/// Everything about the machine but the disks' speed.
pub fn examine(root: &Root, plan: &Plan, rings: &RingProbe, dirs: &[Touched]) -> Vec<Finding> {
    let process = limits::Process::read(root);
    let mut findings = limits::check(&process, plan);
    findings.extend(kernel::check(&kernel::Kernel::read(root), &process, rings));
    findings.extend(memory::check(&memory::Memory::read(root), plan));
    findings.extend(cpu::check(&cpu::Cpu::read(root), plan));
    findings.extend(network::check(&network::Network::read(root), plan));
    let disks: Vec<_> = dirs.iter().map(|dir| disk::Disk::read(root, dir)).collect();
    for (dir, disk) in dirs.iter().zip(&disks) {
        findings.extend(filesystem::check(dir, disk));
        findings.extend(disk::check(dir, disk));
    }
    findings.extend(disk::check_shared(dirs, &disks));
    findings
}
