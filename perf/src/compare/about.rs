//! What a comparison was taken on and with: machine, versions, settings.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::workload::Settings;

/// All that one needs to repeat a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub command: String,
    /// When it began, in UTC.
    pub began: String,
    pub machine: Machine,
    pub corelane: SideAbout,
    pub kafka: SideAbout,
    /// None where it was not there.
    #[serde(default)]
    pub nats: Option<SideAbout>,
    pub seconds: f64,
    pub warm_up_seconds: f64,
    pub most_bytes: u64,
    /// Cores of both brokers; none where they have all.
    pub broker_cpus: Option<String>,
    pub client_cpus: Option<String>,
    /// What a reader has to know, such as caches that could not be dropped.
    pub notes: Vec<String>,
}

/// One side's version and what it was started with, beside what a workload asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SideAbout {
    pub version: String,
    pub command: String,
    pub settings: Settings,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    pub disks: Vec<Disk>,
}

/// Where one of the data directories is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    pub dir: PathBuf,
    pub device: String,
    pub file_system: String,
    pub options: String,
    /// Rotating or not, scheduler and write cache, as far as the kernel tells.
    pub properties: String,
}

impl Machine {
    /// This machine, with data in `dirs`.
    pub fn this(dirs: &[PathBuf]) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let processor = value_of(&cpuinfo, "model name").unwrap_or("unknown").to_owned();
        let meminfo = read("/proc/meminfo");
        let memory_kib = value_of(&meminfo, "MemTotal")
            .and_then(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok());
        let mounts = read("/proc/self/mounts");
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_kib.unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            disks: dirs.iter().map(|dir| Disk::of(dir, &mounts)).collect(),
        }
    }
}

impl Disk {
    fn of(dir: &Path, mounts: &str) -> Self {
        let Some((device, file_system, options)) = mount_of(dir, mounts) else {
            return Self { dir: dir.to_owned(), ..Self::default() };
        };
        let name = device.trim_start_matches("/dev/");
        let property = |what: &str| {
            let value = read(&format!("/sys/class/block/{name}/queue/{what}"));
            let value = value.trim();
            (!value.is_empty()).then(|| format!("{what} {value}"))
        };
        let properties: Vec<String> =
            ["rotational", "scheduler", "write_cache"].into_iter().filter_map(property).collect();
        Self {
            dir: dir.to_owned(),
            device: device.to_owned(),
            file_system: file_system.to_owned(),
            options: options.to_owned(),
            properties: properties.join(", "),
        }
    }
}

/// Device, type and options of the mount that holds `dir`: the one with the longest path.
fn mount_of<'a>(dir: &Path, mounts: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let device = fields.next()?;
            let point = fields.next()?;
            let rest = (device, fields.next()?, fields.next()?);
            dir.starts_with(point).then_some((point.len(), rest))
        })
        .max_by_key(|(len, _)| *len)
        .map(|(_, rest)| rest)
}

/// The value behind `name` and a colon.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_belongs_to_the_innermost_mount() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\n/dev/vdb /mnt xfs rw,noatime 0 0\n/dev/vdc /mnt2 xfs rw 0 0\n";
        let of = |dir| mount_of(Path::new(dir), mounts).unwrap().0;
        assert_eq!(of("/mnt/data"), "/dev/vdb");
        assert_eq!(of("/mnt"), "/dev/vdb");
        assert_eq!(of("/mnt2/x"), "/dev/vdc");
        assert_eq!(of("/home"), "/dev/vda");
    }

    #[test]
    fn this_machine_has_memory() {
        let machine = Machine::this(&[PathBuf::from("/")]);
        assert!(machine.memory_bytes > 1 << 20);
        assert_eq!(machine.disks.len(), 1);
    }
}
