//! Network interfaces: their queues and interrupts beside the shards.

use std::collections::BTreeSet;

use super::cpu::listed;
use super::finding::{Finding, Level};
use super::{listed_numbers, Plan, Root};

/// Fewer connections that wait to be accepted are less than a client program's restart brings.
const GOOD_BACKLOG: u64 = 1024;
const INTERFACES: &str = "sys/class/net";

#[derive(Debug, Clone, Default)]
pub struct Network {
    pub interfaces: Vec<Interface>,
    pub backlog: Option<u64>,
}

/// A network card that is up.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    pub name: String,
    pub receive_queues: usize,
    /// The kernel spreads what a queue receives over cores by itself.
    pub spread: bool,
    pub interrupts: Vec<usize>,
    /// Cores that take its interrupts.
    pub cores: Vec<usize>,
}

impl Network {
    pub fn read(root: &Root) -> Network {
        // What has no device behind it (lo, bridges, tunnels) has no queues of hardware.
        let interfaces = root
            .names(INTERFACES)
            .into_iter()
            .filter(|name| root.exists(&format!("{INTERFACES}/{name}/device")))
            .filter(|name| {
                root.text(&format!("{INTERFACES}/{name}/operstate")).as_deref() != Some("down")
            })
            .map(|name| Interface::read(root, name))
            .collect();
        Network { interfaces, backlog: root.number("proc/sys/net/core/somaxconn") }
    }
}

impl Interface {
    fn read(root: &Root, name: String) -> Interface {
        let here = format!("{INTERFACES}/{name}");
        let queues = root.names(&format!("{here}/queues"));
        let receive: Vec<_> = queues.iter().filter(|queue| queue.starts_with("rx-")).collect();
        let spread = receive.iter().any(|queue| {
            let mask = root.text(&format!("{here}/queues/{queue}/rps_cpus")).unwrap_or_default();
            mask.chars().any(|digit| !matches!(digit, '0' | ','))
        });
        // A virtio device's interrupts are its parent's.
        let mut interrupts = root.names(&format!("{here}/device/msi_irqs"));
        if interrupts.is_empty() {
            interrupts = root.names(&format!("{here}/device/../msi_irqs"));
        }
        let interrupts: Vec<usize> =
            interrupts.iter().filter_map(|number| number.parse().ok()).collect();
        let cores: BTreeSet<usize> =
            interrupts.iter().flat_map(|number| cores_of_interrupt(root, *number)).collect();
        Interface {
            name,
            receive_queues: receive.len(),
            spread,
            interrupts,
            cores: cores.into_iter().collect(),
        }
    }
}

fn cores_of_interrupt(root: &Root, number: usize) -> Vec<usize> {
    let cores = listed_numbers(root, &format!("proc/irq/{number}/effective_affinity_list"));
    match cores.is_empty() {
        true => listed_numbers(root, &format!("proc/irq/{number}/smp_affinity_list")),
        false => cores,
    }
}

pub fn check(network: &Network, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for interface in &network.interfaces {
        findings.push(check_queues(interface, plan));
        findings.extend(check_interrupts(interface, plan));
    }
    if let Some(backlog) = network.backlog {
        findings.push(check_backlog(backlog));
    }
    findings
}

fn check_queues(interface: &Interface, plan: &Plan) -> Finding {
    const CHECK: &str = "network queues";
    let queues = interface.receive_queues;
    let found = format!("{queues} receive queues for {} shards", plan.shards);
    let finding = if queues >= plan.shards {
        Finding::ok(CHECK, found)
    } else if interface.spread {
        Finding::ok(CHECK, format!("{found}, spread over cores by the kernel (RPS)"))
    } else {
        let level = if queues * 4 <= plan.shards { Level::Warning } else { Level::Note };
        let (name, mask) = (&interface.name, mask(&plan.cores));
        Finding::new(level, CHECK, found)
            .costs("the cores that receive for the others have less time for their own shards")
            .fixed_by(format!(
                "sudo ethtool -L {name} combined {} # if the card has as many (ethtool -l {name}); \
                 else in the kernel: echo {mask} | sudo tee /sys/class/net/{name}/queues/rx-*/rps_cpus",
                plan.shards
            ))
    };
    finding.on(interface.name.clone())
}

fn check_interrupts(interface: &Interface, plan: &Plan) -> Option<Finding> {
    const CHECK: &str = "interrupts";
    if interface.cores.is_empty() {
        return None;
    }
    let found =
        format!("{} interrupts on cores {}", interface.interrupts.len(), listed(&interface.cores));
    let one_core = interface.cores.len() == 1 && interface.receive_queues > 1 && plan.shards > 1;
    if !one_core {
        return Some(Finding::ok(CHECK, found).on(interface.name.clone()));
    }
    let numbers: Vec<String> = interface.interrupts.iter().map(usize::to_string).collect();
    let cores: Vec<String> = plan.cores.iter().map(usize::to_string).collect();
    let fix = format!(
        "sudo bash -c 'c=({}); i=0; for n in {}; do echo ${{c[i++ % {}]}} >/proc/irq/$n/smp_affinity_list; \
         done' # or: sudo systemctl enable --now irqbalance",
        cores.join(" "),
        numbers.join(" "),
        cores.len().max(1)
    );
    let finding = Finding::new(Level::Warning, CHECK, found)
        .on(interface.name.clone())
        .costs("one core takes the packets of all queues: its shard is slower than the others")
        .fixed_by(fix);
    Some(finding)
}

fn check_backlog(backlog: u64) -> Finding {
    const CHECK: &str = "connection backlog";
    let found = format!("net.core.somaxconn is {backlog}");
    if backlog >= GOOD_BACKLOG {
        return Finding::ok(CHECK, found);
    }
    Finding::new(Level::Note, CHECK, found)
        .costs("when more clients connect at once, the others try again after a second")
        .fixed_by("echo net.core.somaxconn=4096 | sudo tee /etc/sysctl.d/61-corelane.conf && sudo sysctl --system")
}

/// Cores as the kernel's mask: 32 bits a word, the highest first.
fn mask(cores: &[usize]) -> String {
    let words = cores.iter().max().map_or(1, |highest| highest / 32 + 1);
    let mut mask = vec![0u32; words];
    for core in cores {
        mask[core / 32] |= 1 << (core % 32);
    }
    let shown: Vec<String> = mask
        .iter()
        .rev()
        .enumerate()
        .map(|(place, word)| if place == 0 { format!("{word:x}") } else { format!("{word:08x}") })
        .collect();
    shown.join(",")
}
