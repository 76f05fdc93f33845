//! Memory: how much there is, whether it is swapped, huge pages.

use procfs_core::Meminfo;

use super::finding::{Finding, Level};
use super::{Plan, Root};
use crate::machine::{cgroup_files, cgroup_memory_limit, chosen};

/// What a broker has beside its counted memory: code, connections, indexes, the allocator's slack.
const UNCOUNTED_PERCENT: u64 = 25;

#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub total_bytes: Option<u64>,
    /// Of the cgroup and those above it.
    pub limit_bytes: Option<u64>,
    pub swap_bytes: u64,
    /// Whether the cgroup may swap.
    pub may_swap: bool,
    pub swappiness: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// Set aside and not used.
    pub free_huge_page_bytes: u64,
}

impl Memory {
    pub fn read(root: &Root) -> Memory {
        let info: Option<Meminfo> = root.parsed("proc/meminfo");
        let info = info.as_ref();
        let free_huge_page_bytes = info
            .map_or(0, |info| info.hugepages_free.unwrap_or(0) * info.hugepagesize.unwrap_or(0));
        let enabled = root.text("sys/kernel/mm/transparent_hugepage/enabled");
        Memory {
            total_bytes: info.map(|info| info.mem_total),
            limit_bytes: cgroup_memory_limit(root),
            swap_bytes: info.map_or(0, |info| info.swap_total),
            may_swap: cgroup_files(root, "memory", "memory.swap.max").next().as_deref()
                != Some("0"),
            swappiness: root.number("proc/sys/vm/swappiness"),
            transparent_huge_pages: enabled.map(|text| chosen(&text).to_string()),
            free_huge_page_bytes,
        }
    }
}

pub fn check(memory: &Memory, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(total) = memory.total_bytes {
        findings.push(check_size(memory.limit_bytes, total, plan));
    }
    findings.push(check_swap(memory));
    findings.extend(memory.transparent_huge_pages.as_deref().map(check_transparent));
    if memory.free_huge_page_bytes > 0 {
        let found = format!("{} MiB are set aside and free", memory.free_huge_page_bytes >> 20);
        findings.push(
            Finding::new(Level::Note, "huge pages", found)
                .costs("the broker does not use them: that memory is missing elsewhere")
                .fixed_by("sudo sysctl -w vm.nr_hugepages=0 # unless another program uses them"),
        );
    }
    findings
}

fn check_size(limit: Option<u64>, total: u64, plan: &Plan) -> Finding {
    const CHECK: &str = "memory";
    let (have, whose) = match limit {
        Some(limit) if limit < total => (limit, "the cgroup's limit"),
        _ => (total, "the machine's"),
    };
    let mib = |bytes: u64| bytes >> 20;
    let found = format!(
        "{} MiB ({whose}); {} shards take up to {} MiB for requests and caches",
        mib(have),
        plan.shards,
        mib(plan.memory_bytes)
    );
    let good = plan.memory_bytes / 100 * (100 + UNCOUNTED_PERCENT);
    let fix = format!(
        "corelane serve --config FILE # with \"memory\" = \"{}MiB\" in it; or a larger limit: \
         sudo systemctl set-property corelane.service MemoryMax={}M",
        mib(have / (100 + UNCOUNTED_PERCENT) * 100),
        mib(good) + 1
    );
    if plan.memory_bytes > have {
        return Finding::new(Level::Problem, CHECK, found)
            .costs("the kernel kills the broker once it uses what it may use")
            .fixed_by(fix);
    }
    if good > have {
        return Finding::new(Level::Warning, CHECK, found)
            .costs(format!(
                "less than {UNCOUNTED_PERCENT} % is left for what is not counted there \
                 (connections, indexes, the page cache): the kernel may kill the broker under load"
            ))
            .fixed_by(fix);
    }
    Finding::ok(CHECK, found)
}

fn check_swap(memory: &Memory) -> Finding {
    const CHECK: &str = "swap";
    if memory.swap_bytes == 0 {
        return Finding::ok(CHECK, "none");
    }
    let mib = memory.swap_bytes >> 20;
    if !memory.may_swap {
        return Finding::ok(CHECK, format!("{mib} MiB, and none for this cgroup"));
    }
    let swappiness = memory.swappiness.unwrap_or(60);
    let found = format!("{mib} MiB, vm.swappiness {swappiness}");
    if swappiness <= 1 {
        return Finding::ok(CHECK, found);
    }
    Finding::new(Level::Warning, CHECK, found)
        .costs(
            "the kernel may write idle memory of the broker out, to cache files for others: a shard \
             that touches it again stops, with all its clients, until the disk has read it",
        )
        .fixed_by(
            "echo vm.swappiness=1 | sudo tee /etc/sysctl.d/60-corelane.conf && sudo sysctl --system \
             # or none at all: sudo swapoff -a",
        )
}

fn check_transparent(chosen: &str) -> Finding {
    const CHECK: &str = "transparent huge pages";
    if chosen != "always" {
        return Finding::ok(CHECK, chosen);
    }
    Finding::new(Level::Note, CHECK, chosen)
        .costs(
            "the broker's memory is given in pieces of 2 MiB: it is larger than what is used, and a \
             shard that needs a new piece may wait while the kernel makes room for it",
        )
        .fixed_by("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled")
}
