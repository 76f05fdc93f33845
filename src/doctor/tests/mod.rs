//! What is said of machines, good and bad.

mod machine;

use std::fs;
use std::path::PathBuf;

use corelane_shards::runtime::RingProbe;

use super::probe::Speed;
use super::touch::Space;
use super::*;
use machine::{mount, Machine};

use Level::{Note, Ok as Good, Problem, Warning};

#[test]
fn a_good_machine_is_good() {
    let machine = Machine::good();
    let finding = machine.only("kernel", Good);
    assert_eq!(finding.found, "Linux 6.1.0-18-amd64");
    // Every part was looked at.
    let checks: Vec<&str> = machine.examined().iter().map(|finding| finding.check).collect();
    let all = [
        "locked memory",
        "open files",
        "kernel",
        "io_uring",
        "memory",
        "swap",
        "transparent huge pages",
        "cores",
        "CPU governor",
        "clock source",
        "NUMA",
        "network queues",
        "interrupts",
        "connection backlog",
        "directory",
        "file system",
        "mount options",
        "direct I/O",
        "free space",
        "block size",
        "write cache",
        "I/O scheduler",
    ];
    assert_eq!(checks, all);
}

#[test]
fn a_machine_of_which_nothing_can_be_read_is_no_panic() {
    let mut machine = Machine::good();
    machine.dir = tempfile::tempdir().expect("a directory");
    assert!(machine.examined().iter().all(|finding| finding.level == Good));
}

#[test]
fn limits_are_judged_by_what_shards_need() {
    let locked = |bytes: &str| Machine::good().limit("Max locked memory", bytes);
    let finding = locked("65536").only("locked memory", Problem);
    assert!(finding.found.contains("64 KiB"), "{finding:?}");
    assert!(finding.fix.is_some_and(|fix| fix.contains("LimitMEMLOCK")));
    locked("1048576").only("locked memory", Note);
    // 4 shards × 3 MiB.
    locked("12582912").only("locked memory", Good);
    locked("unlimited").only("locked memory", Good);
    let files = |files: &str| Machine::good().limit("Max open files", files);
    files("300").only("open files", Problem);
    let finding = files("20000").only("open files", Warning);
    assert!(finding.cost.is_some_and(|cost| cost.contains("12500 connections")));
    files("65536").only("open files", Good);
}

#[test]
fn who_may_lock_memory_needs_no_limit() {
    let limits = Machine::good().limit("Max locked memory", "1048576");
    limits.status("CapEff", "000001ffffffffff").only("locked memory", Good);
}

#[test]
fn kernels_are_judged_by_their_release() {
    let kernel = |release| Machine::good().with("proc/sys/kernel/osrelease", release);
    kernel("5.4.0-150-generic").only("kernel", Problem);
    kernel("5.10.0-28-amd64").only("kernel", Note);
    kernel("5.15.0").only("kernel", Good);
    kernel("7.0.1-rc2").only("kernel", Good);
    assert_eq!(kernel("strange").says("kernel").level, Note);
}

#[test]
fn who_refuses_rings_is_named() {
    let refused = |mut machine: Machine, why: &str| {
        machine.rings = RingProbe::Refused(why.to_string());
        machine.only("io_uring", Problem)
    };
    let sysctl = |value| Machine::good().with("proc/sys/kernel/io_uring_disabled", value);
    let group = |group| sysctl("1").with("proc/sys/kernel/io_uring_group", group);
    const NO: &str = "Operation not permitted (os error 1)";
    assert!(refused(sysctl("2"), NO).found.contains("io_uring_disabled is 2"));
    assert!(refused(group("-1"), NO).found.contains("not in the group"));
    // The fixture's user is in group 1000.
    let filtered = group("1000").status("Seccomp", "2");
    assert!(refused(filtered, NO).found.contains("a seccomp filter"));
    let container = Machine::good().status("Seccomp", "2").with(".dockerenv", "");
    let finding = refused(container, NO);
    assert!(finding.found.contains("the container's seccomp filter"), "{finding:?}");
    assert!(finding.fix.is_some_and(|fix| fix.contains("docker run")));
    let old = refused(Machine::good(), "Function not implemented (os error 38)");
    assert!(old.found.contains("too old"));
    let full = refused(Machine::good(), "Cannot allocate memory (os error 12)");
    assert!(full.fix.is_some_and(|fix| fix.contains("LimitMEMLOCK")));
    let mut lacking = Machine::good();
    lacking.rings = RingProbe::Lacks(vec!["ACCEPT", "STATX"]);
    assert!(lacking.only("io_uring", Problem).found.contains("ACCEPT, STATX"));
    sysctl("1").only("io_uring", Note);
}

#[test]
fn memory_is_the_machines_or_the_cgroups() {
    let limit = |path: &str, bytes: u64| {
        let path = format!("sys/fs/cgroup/{path}/memory.max");
        Machine::good().with(&path, &bytes.to_string())
    };
    let ours = "system.slice/corelane.service";
    limit(ours, 1 << 30).only("memory", Problem);
    // A limit above ours holds, too.
    limit("system.slice", 1 << 30).only("memory", Problem);
    limit(ours, (2 << 30) + (1 << 20)).only("memory", Warning);
    limit(ours, 3 << 30).only("memory", Good);
    let unlimited = Machine::good().with(&format!("sys/fs/cgroup/{ours}/memory.max"), "max\n");
    assert!(unlimited.only("memory", Good).found.contains("the machine's"));
    let old = Machine::good()
        .with("proc/self/cgroup", "5:memory:/broker\n3:cpu,cpuacct:/broker\n")
        .with("sys/fs/cgroup/memory/broker/memory.limit_in_bytes", "1073741824");
    old.only("memory", Problem);
    let old_unlimited = Machine::good()
        .with("proc/self/cgroup", "5:memory:/broker\n")
        .with("sys/fs/cgroup/memory/broker/memory.limit_in_bytes", "9223372036854771712");
    old_unlimited.only("memory", Good);
}

#[test]
fn swap_is_judged_with_its_use() {
    Machine::good().swap_kib(4 << 20).only("swap", Warning);
    Machine::good().swap_kib(4 << 20).with("proc/sys/vm/swappiness", "1").only("swap", Good);
    let cgroup = "sys/fs/cgroup/system.slice/corelane.service/memory.swap.max";
    Machine::good().swap_kib(4 << 20).with(cgroup, "0\n").only("swap", Good);
}

#[test]
fn huge_pages_are_looked_at() {
    let transparent = "sys/kernel/mm/transparent_hugepage/enabled";
    Machine::good()
        .with(transparent, "[always] madvise never")
        .only("transparent huge pages", Note);
    Machine::good()
        .with(transparent, "always madvise [never]")
        .only("transparent huge pages", Good);
    let info = include_str!("../../../tests/fixtures/doctor/meminfo");
    let line = info.lines().find(|line| line.starts_with("HugePages_Free")).expect("is there");
    let reserved = info.replace(line, "HugePages_Free: 512");
    let finding = Machine::good().with("proc/meminfo", &reserved).only("huge pages", Note);
    assert!(finding.found.contains("1024 MiB"), "{finding:?}");
}

#[test]
fn shards_need_cores() {
    let mut crowded = Machine::good();
    crowded.plan.shards = 8;
    let crowded = crowded.limit("Max locked memory", "unlimited").queues(8, "0");
    crowded.only("cores", Warning);
    let finding = Machine::good().status("Cpus_allowed_list", "0-1").only("cores", Problem);
    assert!(finding.found.contains("2, 3"), "{finding:?}");
    assert_eq!(finding.fix.as_deref(), Some("corelane serve --cores 0-1"));
}

#[test]
fn a_cgroups_time_is_counted_in_cores() {
    let cgroup = "sys/fs/cgroup/system.slice/corelane.service/cpu.max";
    let quota = |text| Machine::good().with(cgroup, text);
    let finding = quota("250000 100000\n").only("CPU quota", Warning);
    assert!(finding.found.contains("2.5 cores"), "{finding:?}");
    assert!(finding.fix.is_some_and(|fix| fix.contains("--shards 2")));
    quota("400000 100000\n").only("CPU quota", Good);
    assert!(quota("max 100000\n").examined().iter().all(|f| f.check != "CPU quota"));
    let old = "sys/fs/cgroup/cpu/broker";
    let old_quota = |quota| {
        Machine::good()
            .with("proc/self/cgroup", "3:cpu,cpuacct:/broker\n")
            .with(&format!("{old}/cpu.cfs_quota_us"), quota)
            .with(&format!("{old}/cpu.cfs_period_us"), "100000")
    };
    old_quota("100000").only("CPU quota", Warning);
    assert!(old_quota("-1").examined().iter().all(|f| f.check != "CPU quota"));
}

#[test]
fn slow_cores_and_clocks_are_found() {
    let governor = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    let finding = Machine::good().with(governor, "powersave\n").only("CPU governor", Warning);
    assert_eq!(finding.found, "performance (1 cores), powersave (1 cores)");
    let clock = "sys/devices/system/clocksource/clocksource0";
    let hpet = Machine::good().with(&format!("{clock}/current_clocksource"), "hpet\n");
    assert!(hpet.only("clock source", Warning).fix.is_some_and(|fix| fix.starts_with("echo tsc")));
    let no_better = hpet.with(&format!("{clock}/available_clocksource"), "hpet acpi_pm\n");
    assert_eq!(no_better.only("clock source", Warning).fix, None);
}

#[test]
fn shards_on_two_nodes_are_noted() {
    let nodes = "sys/devices/system/node";
    let two = || {
        Machine::good()
            .with(&format!("{nodes}/node0/cpulist"), "0-1\n")
            .with(&format!("{nodes}/node1/cpulist"), "2-3\n")
            .with(&format!("{nodes}/node2/cpulist"), "\n")
    };
    assert_eq!(two().only("NUMA", Note).found, "shards run on 2 of 2 nodes");
    let mut one = two();
    one.plan.cores = vec![2, 3, 2, 3];
    one.plan.shards = 2;
    one.only("NUMA", Good);
}

#[test]
fn queues_and_interrupts_are_compared_with_shards() {
    let finding = Machine::good().queues(2, "0").only("network queues", Note);
    assert!(finding.fix.is_some_and(|fix| fix.contains("combined 4") && fix.contains("echo f ")));
    Machine::good().queues(1, "0").only("network queues", Warning);
    Machine::good().queues(1, "0000000f").only("network queues", Good);
    let one_core = Machine::good().with("proc/irq/42/smp_affinity_list", "0\n");
    let finding = one_core.only("interrupts", Warning);
    assert_eq!(finding.subject.as_deref(), Some("eth0"));
    assert!(finding.fix.is_some_and(|fix| fix.contains("c=(0 1 2 3)") && fix.contains("41 42")));
    let backlog = Machine::good().with("proc/sys/net/core/somaxconn", "128\n");
    backlog.only("connection backlog", Note);
    let down = "sys/devices/card/virtio0/net/eth0/operstate";
    let finding = Machine::good().with(down, "down\n").examined();
    assert!(finding.iter().all(|finding| finding.check != "network queues"));
}

#[test]
fn file_systems_are_judged_by_their_kind() {
    let kind = |kind| Machine::good().with("proc/self/mountinfo", &mount(kind, "rw"));
    for good in ["ext4", "xfs"] {
        kind(good).only("file system", Good);
    }
    for bad in ["tmpfs", "overlay", "nfs4", "fuse.sshfs", "btrfs", "zfs"] {
        let finding = kind(bad).only("file system", Warning);
        assert!(finding.fix.is_some(), "{bad} is not to be changed");
    }
    kind("f2fs").only("file system", Note);
    // The root's options are not ours.
    assert_eq!(Machine::good().says("mount options").found, "noatime,relatime,rw");
}

#[test]
fn mount_options_are_judged() {
    let options = |options| Machine::good().with("proc/self/mountinfo", &mount("ext4", options));
    options("rw,nobarrier").only("mount options", Problem);
    options("rw,barrier=0").only("mount options", Problem);
    options("rw,data=journal").only("mount options", Warning);
    options("rw,sync").only("mount options", Warning);
    options("rw,strictatime").only("mount options", Note);
    let finding = options("rw,discard").only("mount options", Note);
    assert!(finding.fix.is_some_and(|fix| fix.contains("remount,nodiscard /mnt/nvme")));
    options("rw,data=ordered,errors=remount-ro").only("mount options", Good);
}

#[test]
fn directories_are_judged_by_what_was_tried() {
    let with = |change: fn(&mut Touched)| {
        let mut machine = Machine::good();
        change(&mut machine.log_dir);
        machine
    };
    with(|dir| dir.direct = Direct::Missing).only("direct I/O", Warning);
    let denied = with(|dir| dir.direct = Direct::NotWritable("Permission denied".to_string()));
    assert!(denied.only("directory", Problem).found.contains("Permission denied"));
    let space = |total_bytes, free_bytes, free_files| {
        let mut machine = Machine::good();
        machine.log_dir.space = Some(Space { total_bytes, free_bytes, free_files });
        machine
    };
    space(1 << 40, 100 << 20, 1 << 30).only("free space", Problem);
    space(1 << 40, 9 << 30, 1 << 30).only("free space", Warning);
    // A small disk that is empty, and a large one of which much is left.
    space(16 << 30, 8 << 30, 1 << 30).only("free space", Good);
    space(16 << 40, 100 << 30, 1 << 30).only("free space", Good);
    space(1 << 40, 1 << 39, 5_000).only("free space", Warning);
    let missing = with(|dir| dir.exists = false);
    assert_eq!(missing.says("directory").level, Note);
}

#[test]
fn a_broker_that_runs_is_seen_by_its_lock() {
    let lock = |line| Machine::good().with("proc/locks", line);
    let running = lock("1: FLOCK  ADVISORY  WRITE 4711 103:01:77 0 EOF\n");
    assert_eq!(running.only("directory", Good).found, "a broker is running on it");
    let other = lock("1: FLOCK  ADVISORY  WRITE 4711 08:01:77 0 EOF\n");
    assert_eq!(other.says("directory").found, "there and writable");
}

#[test]
fn disks_are_judged_by_their_queue() {
    let queue = |file: &str, content: &str| {
        Machine::good().with(&format!("sys/devices/nvme0n1/queue/{file}"), content)
    };
    queue("logical_block_size", "16384\n").only("block size", Problem);
    queue("physical_block_size", "16384\n").only("block size", Note);
    queue("write_cache", "write back\n").only("write cache", Note);
    let finding = queue("scheduler", "mq-deadline [bfq] none\n").only("I/O scheduler", Warning);
    assert!(finding.fix.is_some_and(|fix| fix.contains("/sys/block/nvme0n1/queue/scheduler")));
    let mut two = Machine::good();
    let other = Touched { path: PathBuf::from("/other"), ..two.log_dir.clone() };
    two.plan.log_dirs.push(other.path.clone());
    let root = Root::new(two.dir.path());
    let findings = examine(&root, &two.plan, &two.rings, &[two.log_dir.clone(), other]);
    let shared = findings.iter().find(|finding| finding.check == "disks").expect("is noted");
    assert_eq!(shared.found, "/data and /other are on nvme0n1");
}

#[test]
fn speeds_are_judged() {
    let speed = |bytes: u64, operations, p50_us, p99_us| Speed {
        bytes,
        operations,
        seconds: 1.0,
        p50_us,
        p99_us,
        max_us: p99_us,
    };
    let good = Speeds {
        write: speed(1_000_000_000, 1000, 900, 1_500),
        durable_write: speed(40_960_000, 10_000, 150, 900),
        read: speed(40_960_000, 10_000, 90, 200),
        direct: true,
    };
    let levels = |speeds: &Speeds, volatile| {
        let judged = judge_speeds("/data", speeds, volatile);
        judged.into_iter().map(|finding| finding.level).collect::<Vec<_>>()
    };
    assert_eq!(levels(&good, true), [Good, Good, Good]);
    let found = &judge_speeds("/data", &good, true)[0].found;
    assert_eq!(found, "1000 MB/s, 1000 of 1 MiB a second; p50 900 µs, p99 1.5 ms, worst 1.5 ms");
    let slow = Speeds {
        write: speed(60_000_000, 60, 16_000, 30_000),
        durable_write: speed(400_000, 100, 9_000, 45_000),
        read: speed(400_000, 100, 9_000, 30_000),
        direct: true,
    };
    assert_eq!(levels(&slow, false), [Warning, Warning, Warning]);
    let quick = Speeds { durable_write: speed(100_000_000, 25_000, 40, 90), ..good };
    assert_eq!(levels(&quick, true), [Good, Note, Good]);
    assert_eq!(levels(&quick, false), [Good, Good, Good]);
}

#[test]
fn a_probe_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("kept"), "as it was").expect("writes");
    let mut last = std::time::Duration::ZERO;
    let time = std::time::Duration::from_millis(100);
    let speeds = probe(dir.path(), 1 << 30, time, |now| last = last.max(now)).expect("works");
    assert!(speeds.write.operations > 0 && speeds.read.operations > 0);
    assert!(speeds.durable_write.p50_us <= speeds.durable_write.p99_us);
    assert!(last <= time && last > time / 2, "{last:?}");
    let names: Vec<_> = fs::read_dir(dir.path()).expect("lists").collect();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read_to_string(dir.path().join("kept")).expect("reads"), "as it was");
    assert!(probe(dir.path(), 100 << 20, time, |_| ()).is_err(), "no space to spare");
}
