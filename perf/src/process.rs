//! What a process costs, read from `/proc`.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Counters of one process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessSample {
    cpu_seconds: f64,
    rss_bytes: u64,
    peak_rss_bytes: u64,
    switches: Switches,
    io: Option<Io>,
}

/// What a process read and wrote, of files and sockets, as the kernel counts it; the bytes are those
/// of disks. What goes by io_uring is in the bytes, not in the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Io {
    pub read_calls: u64,
    pub write_calls: u64,
    pub disk_read_bytes: u64,
    pub disk_written_bytes: u64,
}

/// Context switches, summed over the threads that live at the moment of reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    pub voluntary: u64,
    pub involuntary: u64,
}

/// What a process used between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    /// None for this process itself: its load threads end, and take their counts with them.
    pub switches: Option<Switches>,
    /// None where the kernel does not tell.
    pub io: Option<Io>,
}

impl ProcessSample {
    /// Reads the counters of process `pid`.
    pub fn read(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let ticks = cpu_ticks(&read("stat")?)
            .with_context(|| format!("/proc/{pid}/stat has an unknown form"))?;
        let status = read("status")?;
        let mut switches = Switches::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the reading.
            if let Ok(status) = fs::read_to_string(task?.path().join("status")) {
                switches.voluntary += status_field(&status, "voluntary_ctxt_switches");
                switches.involuntary += status_field(&status, "nonvoluntary_ctxt_switches");
            }
        }
        Ok(Self {
            cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            rss_bytes: status_field(&status, "VmRSS") * 1024,
            peak_rss_bytes: status_field(&status, "VmHWM") * 1024,
            switches,
            io: read("io").ok().map(|io| Io::parse(&io)),
        })
    }

    /// The counters of this process.
    pub fn of_self() -> Result<Self> {
        Self::read(std::process::id())
    }

    pub fn rss_bytes(&self) -> u64 {
        self.rss_bytes
    }

    /// What was used from `self` until `later`.
    pub fn until(&self, later: &Self) -> ProcessUse {
        ProcessUse {
            cpu_seconds: later.cpu_seconds - self.cpu_seconds,
            rss_bytes: later.rss_bytes,
            peak_rss_bytes: later.peak_rss_bytes,
            switches: Some(Switches {
                voluntary: later.switches.voluntary.saturating_sub(self.switches.voluntary),
                involuntary: later.switches.involuntary.saturating_sub(self.switches.involuntary),
            }),
            io: self.io.zip(later.io).map(|(before, after)| before.until(&after)),
        }
    }
}

impl Io {
    fn parse(io: &str) -> Self {
        Self {
            read_calls: status_field(io, "syscr"),
            write_calls: status_field(io, "syscw"),
            disk_read_bytes: status_field(io, "read_bytes"),
            disk_written_bytes: status_field(io, "write_bytes"),
        }
    }

    fn until(&self, later: &Self) -> Self {
        Self {
            read_calls: later.read_calls.saturating_sub(self.read_calls),
            write_calls: later.write_calls.saturating_sub(self.write_calls),
            disk_read_bytes: later.disk_read_bytes.saturating_sub(self.disk_read_bytes),
            disk_written_bytes: later.disk_written_bytes.saturating_sub(self.disk_written_bytes),
        }
    }
}

impl ProcessUse {
    /// What this process used from `before` until now.
    pub fn of_self_since(before: &ProcessSample) -> Result<Self> {
        let used = before.until(&ProcessSample::of_self()?);
        Ok(Self { switches: None, ..used })
    }

    /// CPU seconds for each 10^9 of `bytes`; 0 for no bytes.
    pub fn cpu_seconds_per_gb(&self, bytes: u64) -> f64 {
        if bytes == 0 {
            return 0.0;
        }
        self.cpu_seconds / (bytes as f64 / 1e9)
    }
}

/// User and system time, fields 14 and 15; the name before them may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_hostile_process_name() {
        let stat = "42 (a) b (c)) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("42 (short) S 1"), None);
    }

    #[test]
    fn status_field_is_not_found_inside_a_longer_name() {
        let status =
            "VmRSS:\t   12 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(status_field(status, "VmRSS"), 12);
        assert_eq!(status_field(status, "voluntary_ctxt_switches"), 7);
        assert_eq!(status_field(status, "nonvoluntary_ctxt_switches"), 3);
        assert_eq!(status_field(status, "VmHWM"), 0);
    }

    #[test]
    fn io_is_the_difference_and_never_negative() {
        let before = Io::parse("rchar: 9\nsyscr: 5\nsyscw: 7\nread_bytes: 4096\nwrite_bytes: 0\n");
        let after = Io::parse("rchar: 9\nsyscr: 8\nsyscw: 6\nread_bytes: 8192\nwrite_bytes: 1\n");
        let used = before.until(&after);
        assert_eq!((used.read_calls, used.write_calls), (3, 0));
        assert_eq!((used.disk_read_bytes, used.disk_written_bytes), (4096, 1));
    }

    #[test]
    fn own_process_has_memory() {
        assert!(ProcessSample::of_self().unwrap().rss_bytes() > 0);
    }
}
