//! Cores: how many there are and may be used, how fast they run, the clock, NUMA.

use std::collections::BTreeMap;

use super::finding::{Finding, Level};
use super::{listed_numbers, Plan, Root};
use crate::machine::cgroup_files;

/// Reading one of these needs no system call.
const FAST_CLOCKS: [&str; 6] = [
    "tsc",
    "kvm-clock",
    "arch_sys_counter",
    "hyperv_clocksource_tsc_page",
    "riscv_clocksource",
    "timebase",
];
/// These keep a core at, or bring it at once to, a speed that somebody chose.
const SLOW_GOVERNORS: [&str; 4] = ["powersave", "ondemand", "conservative", "schedutil"];
const CLOCK: &str = "sys/devices/system/clocksource/clocksource0";
const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";

#[derive(Debug, Clone, Default)]
pub struct Cpu {
    /// Those this process may run on.
    pub allowed: Vec<usize>,
    /// Cores' worth of time that the cgroup has, in thousandths.
    pub quota_millis: Option<u64>,
    /// How many cores have which.
    pub governors: BTreeMap<String, usize>,
    pub clock: Option<String>,
    pub clocks: Vec<String>,
    /// Cores of each NUMA node that has some, by its number.
    pub nodes: BTreeMap<usize, Vec<usize>>,
}

impl Cpu {
    pub fn read(root: &Root) -> Cpu {
        let mut governors = BTreeMap::new();
        for name in root.names(CPUS) {
            if let Some(governor) = root.text(&format!("{CPUS}/{name}/cpufreq/scaling_governor")) {
                *governors.entry(governor).or_insert(0) += 1;
            }
        }
        let clocks = root.text(&format!("{CLOCK}/available_clocksource")).unwrap_or_default();
        Cpu {
            allowed: allowed(root),
            quota_millis: quota(root),
            governors,
            clock: root.text(&format!("{CLOCK}/current_clocksource")),
            clocks: clocks.split_whitespace().map(str::to_string).collect(),
            nodes: nodes(root),
        }
    }
}

fn allowed(root: &Root) -> Vec<usize> {
    let status: Option<procfs_core::process::Status> = root.parsed("proc/self/status");
    let ranges = status.and_then(|status| status.cpus_allowed_list).unwrap_or_default();
    ranges.into_iter().flat_map(|(from, to)| from as usize..=to as usize).collect()
}

fn quota(root: &Root) -> Option<u64> {
    let new = cgroup_files(root, "cpu", "cpu.max").filter_map(|text| {
        let (quota, period) = text.split_once(' ')?;
        Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
    });
    let quotas = cgroup_files(root, "cpu", "cpu.cfs_quota_us");
    let periods = cgroup_files(root, "cpu", "cpu.cfs_period_us");
    let old = quotas.zip(periods).filter_map(|(quota, period)| {
        Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
    });
    new.chain(old)
        .filter(|(_, period)| *period > 0)
        .map(|(quota, period)| quota * 1000 / period)
        .min()
}

fn nodes(root: &Root) -> BTreeMap<usize, Vec<usize>> {
    let names = root.names(NODES).into_iter();
    let numbers = names.filter_map(|name| name.strip_prefix("node")?.parse::<usize>().ok());
    numbers
        .map(|node| (node, listed_numbers(root, &format!("{NODES}/node{node}/cpulist"))))
        .filter(|(_, cores)| !cores.is_empty())
        .collect()
}

pub fn check(cpu: &Cpu, plan: &Plan) -> Vec<Finding> {
    let mut findings = vec![check_cores(cpu, plan)];
    findings.extend(cpu.quota_millis.map(|quota| check_quota(quota, plan)));
    findings.push(check_governors(&cpu.governors));
    findings.extend(cpu.clock.as_deref().map(|clock| check_clock(clock, &cpu.clocks)));
    findings.push(check_nodes(&cpu.nodes, plan));
    findings
}

fn check_cores(cpu: &Cpu, plan: &Plan) -> Finding {
    const CHECK: &str = "cores";
    let forbidden: Vec<String> = plan
        .cores
        .iter()
        .filter(|core| !cpu.allowed.is_empty() && !cpu.allowed.contains(core))
        .map(usize::to_string)
        .collect();
    if !forbidden.is_empty() {
        let found = format!(
            "shards are to run on {}, which this process may not use",
            forbidden.join(", ")
        );
        return Finding::new(Level::Problem, CHECK, found)
            .costs("the broker does not start")
            .fixed_by(format!("corelane serve --cores {}", listed(&cpu.allowed)));
    }
    let mut distinct = plan.cores.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let cores = if distinct.is_empty() { cpu.allowed.len() } else { distinct.len() };
    let found = format!("{} shards on {cores} cores", plan.shards);
    if cores > 0 && plan.shards > cores {
        return Finding::new(Level::Warning, CHECK, found)
            .costs("shards take turns on a core: a request waits while another's shard has it")
            .fixed_by(format!("corelane serve --shards {cores}"));
    }
    Finding::ok(CHECK, found)
}

fn check_quota(millis: u64, plan: &Plan) -> Finding {
    const CHECK: &str = "CPU quota";
    let found = format!("the cgroup has {}.{} cores' time", millis / 1000, millis % 1000 / 100);
    if millis >= plan.shards as u64 * 1000 {
        return Finding::ok(CHECK, found);
    }
    let fewer = (millis / 1000).max(1);
    Finding::new(Level::Warning, CHECK, format!("{found}, and {} shards run", plan.shards))
        .costs(
            "once it is used up all shards stand still until the next period begins: up to 100 ms, \
             and every request with them",
        )
        .fixed_by(format!(
            "corelane serve --shards {fewer} # or: sudo systemctl set-property corelane.service CPUQuota={}%",
            plan.shards * 100
        ))
}

fn check_governors(governors: &BTreeMap<String, usize>) -> Finding {
    const CHECK: &str = "CPU governor";
    if governors.is_empty() {
        return Finding::ok(CHECK, "none: firmware or hypervisor decides");
    }
    let shown: Vec<String> =
        governors.iter().map(|(governor, cores)| format!("{governor} ({cores} cores)")).collect();
    let shown = shown.join(", ");
    if !governors.keys().any(|governor| SLOW_GOVERNORS.contains(&governor.as_str())) {
        return Finding::ok(CHECK, shown);
    }
    Finding::new(Level::Warning, CHECK, shown)
        .costs("a core that was idle begins slowly: rare requests, and the first of a burst, wait longer")
        .fixed_by("sudo cpupower frequency-set -g performance")
}

fn check_clock(clock: &str, available: &[String]) -> Finding {
    const CHECK: &str = "clock source";
    if FAST_CLOCKS.contains(&clock) {
        return Finding::ok(CHECK, clock);
    }
    let finding = Finding::new(Level::Warning, CHECK, clock).costs(
        "each look at the clock is a system call of a microsecond or so instead of some tens of \
         nanoseconds, and shards look at it with each request",
    );
    let better = FAST_CLOCKS.iter().find(|fast| available.iter().any(|a| a == *fast));
    match better {
        Some(better) => finding.fixed_by(format!(
            "echo {better} | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
        )),
        None => finding,
    }
}

fn check_nodes(nodes: &BTreeMap<usize, Vec<usize>>, plan: &Plan) -> Finding {
    const CHECK: &str = "NUMA";
    let of_shards = |cores: &Vec<usize>| cores.iter().any(|core| plan.cores.contains(core));
    let used: Vec<_> = nodes.values().filter(|cores| of_shards(cores)).collect();
    if used.len() < 2 {
        return Finding::ok(CHECK, format!("shards run on {} node", used.len().max(1)));
    }
    let found = format!("shards run on {} of {} nodes", used.len(), nodes.len());
    let first = used.first().map_or(String::new(), |cores| listed(cores));
    Finding::new(Level::Note, CHECK, found)
        .costs(
            "each shard's memory is on its own node, and what goes from shard to shard, to the \
             network card or to a disk of another node crosses the link between them",
        )
        .fixed_by(format!(
            "corelane serve --cores {first} # a broker for each node; or advertise = \"per-shard\", \
             so that no request changes shards"
        ))
}

/// Numbers as `0-3,6`.
pub fn listed(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(",")
}
