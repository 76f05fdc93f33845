//! What the process may have: locked memory, open files.

use corelane_shards::runtime::{
    open_files_needed, LOCKED_BYTES_PER_SHARD, REGISTERED_BYTES_PER_SHARD,
};
use procfs_core::process::{LimitValue, Limits, Status};

use super::finding::{Finding, Level};
use super::{Plan, Root};

/// Fewer are soon used up by a broker's clients and segments.
const GOOD_OPEN_FILES: u64 = 65_536;
/// Bit of CAP_IPC_LOCK: who has it may lock as much memory as there is.
const CAP_IPC_LOCK: u32 = 14;

/// A process's limits and rights; those of the service that runs the broker may be others.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// `u64::MAX`: no limit.
    pub locked_bytes: Option<u64>,
    /// The hard limit: the broker raises the soft one itself.
    pub open_files: Option<u64>,
    pub may_lock: bool,
    /// A filter of system calls is in force, as in containers.
    pub filtered: bool,
    pub groups: Vec<u32>,
}

impl Process {
    pub fn read(root: &Root) -> Process {
        let number = |value| match value {
            LimitValue::Unlimited => u64::MAX,
            LimitValue::Value(value) => value,
        };
        let limits: Option<Limits> = root.parsed("proc/self/limits");
        let status: Option<Status> = root.parsed("proc/self/status");
        let status = status.as_ref();
        Process {
            locked_bytes: limits.as_ref().map(|l| number(l.max_locked_memory.soft_limit)),
            open_files: limits.as_ref().map(|l| number(l.max_open_files.hard_limit)),
            may_lock: status.is_some_and(|s| s.capeff & (1 << CAP_IPC_LOCK) != 0),
            filtered: status.is_some_and(|s| s.seccomp == Some(2)),
            groups: status
                .map(|s| s.groups.iter().copied().chain([s.egid]).collect())
                .unwrap_or_default(),
        }
    }
}

pub fn check(process: &Process, plan: &Plan) -> Vec<Finding> {
    let locked = process.locked_bytes.map(|bytes| check_locked(bytes, process.may_lock, plan));
    let files = process.open_files.map(|files| check_files(files, plan));
    locked.into_iter().chain(files).collect()
}

fn check_locked(have: u64, may_lock: bool, plan: &Plan) -> Finding {
    const CHECK: &str = "locked memory";
    const FIX: &str =
        "echo \"$USER - memlock unlimited\" | sudo tee /etc/security/limits.d/corelane.conf \
                       # then log in again; in a systemd unit: LimitMEMLOCK=infinity";
    let registered = REGISTERED_BYTES_PER_SHARD * plan.shards as u64;
    let shown = shown(have, |bytes| format!("{} KiB", bytes / 1024));
    if have < LOCKED_BYTES_PER_SHARD {
        return Finding::new(Level::Problem, CHECK, format!("the limit is {shown}"))
            .costs(format!(
                "the broker does not start: a shard's rings need {} KiB",
                LOCKED_BYTES_PER_SHARD / 1024
            ))
            .fixed_by(FIX);
    }
    if have < registered && !may_lock {
        let found = format!(
            "the limit is {shown}; {} shards would register {} KiB",
            plan.shards,
            registered / 1024
        );
        return Finding::new(Level::Note, CHECK, found)
            .costs(
                "shards go on without registered buffers: the kernel pins the pages of each read \
                 and write anew",
            )
            .fixed_by(FIX);
    }
    Finding::ok(CHECK, if may_lock { "not limited for this user".to_string() } else { shown })
}

fn check_files(have: u64, plan: &Plan) -> Finding {
    const CHECK: &str = "open files";
    const FIX: &str =
        "echo \"$USER - nofile 1000000\" | sudo tee -a /etc/security/limits.d/corelane.conf \
                       # then log in again; in a systemd unit: LimitNOFILE=1000000";
    let need = open_files_needed(plan.shards);
    let shown = shown(have, |files| files.to_string());
    let found = format!("the hard limit is {shown}");
    if have < need {
        return Finding::new(Level::Problem, CHECK, found)
            .costs(format!("the broker does not start: {} shards need {need}", plan.shards))
            .fixed_by(FIX);
    }
    if have < GOOD_OPEN_FILES {
        return Finding::new(Level::Warning, CHECK, found)
            .costs(format!(
                "at most {} connections, and {} segment files open at a time: others are closed and \
                 opened again as they are used",
                have / 8 * 5,
                have / 4
            ))
            .fixed_by(FIX);
    }
    Finding::ok(CHECK, shown)
}

fn shown(value: u64, show: impl Fn(u64) -> String) -> String {
    if value == u64::MAX {
        return "unlimited".to_string();
    }
    show(value)
}
