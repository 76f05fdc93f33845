//! A machine that is a tree of files.

use std::fs;
use std::path::PathBuf;

use corelane_shards::runtime::RingProbe;
use tempfile::TempDir;

use crate::doctor::touch::Space;
use crate::doctor::{examine, Direct, Finding, Level, Plan, Root, Touched};

/// `/proc` and `/sys` of a good machine with four cores, and changes to it.
pub struct Machine {
    pub dir: TempDir,
    pub rings: RingProbe,
    pub plan: Plan,
    pub log_dir: Touched,
}

impl Machine {
    pub fn good() -> Machine {
        let plan = Plan {
            shards: 4,
            cores: vec![0, 1, 2, 3],
            memory_bytes: 2 << 30,
            log_dirs: vec![PathBuf::from("/data")],
        };
        let space = Space { total_bytes: 1 << 40, free_bytes: 1 << 39, free_files: 10_000_000 };
        let log_dir = Touched {
            path: PathBuf::from("/data"),
            exists: true,
            nearest: PathBuf::from("/mnt/nvme/data"),
            device: (259, 1),
            lock_inode: Some(77),
            space: Some(space),
            direct: Direct::Works,
        };
        let dir = tempfile::tempdir().expect("a directory");
        let machine = Machine { dir, rings: RingProbe::Works, plan, log_dir };
        let disk = "sys/devices/nvme0n1";
        let clock = "sys/devices/system/clocksource/clocksource0";
        let card = "sys/devices/card";
        machine
            .with("proc/self/limits", include_str!("../../../tests/fixtures/doctor/limits"))
            .with("proc/self/status", include_str!("../../../tests/fixtures/doctor/status"))
            .with("proc/meminfo", include_str!("../../../tests/fixtures/doctor/meminfo"))
            .with("proc/self/cgroup", "0::/system.slice/corelane.service\n")
            .with("proc/self/mountinfo", &mount("ext4", "rw,noatime"))
            .with("proc/locks", "")
            .with("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
            .with("proc/sys/kernel/io_uring_disabled", "0\n")
            .with("proc/sys/vm/swappiness", "60\n")
            .with("proc/sys/net/core/somaxconn", "4096\n")
            .with("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
            .with("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
            .with("sys/devices/system/node/node0/cpulist", "0-3\n")
            .with(&format!("{clock}/current_clocksource"), "tsc\n")
            .with(&format!("{clock}/available_clocksource"), "tsc hpet acpi_pm\n")
            .with(&format!("{disk}/uevent"), "MAJOR=259\nDEVNAME=nvme0n1\n")
            .with(&format!("{disk}/queue/logical_block_size"), "512\n")
            .with(&format!("{disk}/queue/physical_block_size"), "4096\n")
            .with(&format!("{disk}/queue/write_cache"), "write through\n")
            .with(&format!("{disk}/queue/scheduler"), "[none] mq-deadline bfq\n")
            .with(&format!("{disk}/nvme0n1p1/partition"), "1\n")
            .with(&format!("{card}/virtio0/net/eth0/operstate"), "up\n")
            .with(&format!("{card}/msi_irqs/41"), "msix\n")
            .with(&format!("{card}/msi_irqs/42"), "msix\n")
            .with("proc/irq/41/effective_affinity_list", "0\n")
            .with("proc/irq/42/smp_affinity_list", "2-3\n")
            .queues(4, "0")
            .link("sys/dev/block/259:1", "../../devices/nvme0n1/nvme0n1p1")
            .link("sys/class/net/eth0", "../../devices/card/virtio0/net/eth0")
            .link("sys/devices/card/virtio0/net/eth0/device", "../..")
    }

    pub fn with(self, path: &str, content: &str) -> Machine {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("makes");
        fs::write(path, content).expect("writes");
        self
    }

    pub fn link(self, path: &str, to: &str) -> Machine {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("makes");
        std::os::unix::fs::symlink(to, path).expect("links");
        self
    }

    pub fn queues(mut self, queues: usize, cores: &str) -> Machine {
        let all = "sys/devices/card/virtio0/net/eth0/queues";
        let _ = fs::remove_dir_all(self.dir.path().join(all));
        for queue in 0..queues {
            self = self.with(&format!("{all}/rx-{queue}/rps_cpus"), cores);
        }
        self.with(&format!("{all}/tx-0/xps_cpus"), "0")
    }

    pub fn limit(self, name: &str, soft_and_hard: &str) -> Machine {
        let limits = include_str!("../../../tests/fixtures/doctor/limits");
        let line = limits.lines().find(|line| line.starts_with(name)).expect("is there");
        let changed = format!("{name:<26}{soft_and_hard:<21}{soft_and_hard:<21}units");
        self.with("proc/self/limits", &limits.replace(line, &changed))
    }

    pub fn status(self, name: &str, value: &str) -> Machine {
        let status = include_str!("../../../tests/fixtures/doctor/status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("is there");
        self.with("proc/self/status", &status.replace(line, &format!("{name}:\t{value}")))
    }

    pub fn swap_kib(self, kib: u64) -> Machine {
        let info = include_str!("../../../tests/fixtures/doctor/meminfo");
        let line = info.lines().find(|line| line.starts_with("SwapTotal")).expect("is there");
        self.with("proc/meminfo", &info.replace(line, &format!("SwapTotal: {kib} kB")))
    }

    pub fn examined(&self) -> Vec<Finding> {
        let root = Root::new(self.dir.path());
        examine(&root, &self.plan, &self.rings, std::slice::from_ref(&self.log_dir))
    }

    /// The worst that is said about `check`.
    #[track_caller]
    pub fn says(&self, check: &str) -> Finding {
        let found = self.examined().into_iter().filter(|finding| finding.check == check);
        found.max_by_key(|finding| finding.level).unwrap_or_else(|| panic!("nothing of {check}"))
    }

    /// All else is well: only `check` is worse than [`Level::Ok`].
    #[track_caller]
    pub fn only(&self, check: &str, level: Level) -> Finding {
        for finding in self.examined() {
            let expected = if finding.check == check { level } else { Level::Ok };
            assert_eq!(finding.level, expected, "{finding:?}");
        }
        let finding = self.says(check);
        let silent = level == Level::Ok || finding.cost.is_some();
        assert!(silent, "what it costs is not said: {finding:?}");
        finding
    }
}

pub fn mount(file_system: &str, options: &str) -> String {
    format!(
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,discard\n\
         30 22 259:1 / /mnt/nvme rw,relatime - {file_system} /dev/nvme0n1p1 {options}\n"
    )
}
