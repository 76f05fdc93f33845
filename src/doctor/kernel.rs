//! The kernel and its rings.

use corelane_shards::runtime::RingProbe;
use procfs_core::KernelVersion;

use super::finding::{Finding, Level};
use super::limits::Process;
use super::Root;

/// The first with all operations that the engine uses.
const OLDEST: (u8, u8) = (5, 8);
/// The first that counts rings as memory of the process instead of as locked memory.
const RINGS_NOT_LOCKED: (u8, u8) = (5, 12);

#[derive(Debug, Clone, Default)]
pub struct Kernel {
    pub release: Option<String>,
    /// `kernel.io_uring_disabled`: 0 everybody may, 1 only privileged users and a group, 2 nobody.
    pub disabled: Option<u64>,
    pub group: Option<i64>,
    pub in_container: bool,
}

impl Kernel {
    pub fn read(root: &Root) -> Kernel {
        Kernel {
            release: root.text("proc/sys/kernel/osrelease"),
            disabled: root.number("proc/sys/kernel/io_uring_disabled"),
            group: root.text("proc/sys/kernel/io_uring_group").and_then(|g| g.parse().ok()),
            in_container: root.exists(".dockerenv") || root.exists("run/.containerenv"),
        }
    }
}

pub fn check(kernel: &Kernel, process: &Process, rings: &RingProbe) -> Vec<Finding> {
    let release = kernel.release.as_deref().map(check_release);
    release.into_iter().chain([check_rings(kernel, process, rings)]).collect()
}

fn check_release(release: &str) -> Finding {
    const CHECK: &str = "kernel";
    const FIX: &str =
        "sudo apt-get install linux-image-amd64 # or your distribution's newer kernel";
    let Ok(version) = release.parse::<KernelVersion>() else {
        return Finding::new(Level::Note, CHECK, format!("{release}: not a version that is known"));
    };
    let version = (version.major, version.minor);
    if version < OLDEST {
        return Finding::new(Level::Problem, CHECK, release)
            .costs("the broker does not start: it needs Linux 5.8 or later")
            .fixed_by(FIX);
    }
    if version < RINGS_NOT_LOCKED {
        return Finding::new(Level::Note, CHECK, release)
            .costs("before 5.12 rings count as locked memory of all processes of the user together")
            .fixed_by(FIX);
    }
    Finding::ok(CHECK, format!("Linux {release}"))
}

fn check_rings(kernel: &Kernel, process: &Process, rings: &RingProbe) -> Finding {
    const CHECK: &str = "io_uring";
    match rings {
        RingProbe::Works if kernel.disabled == Some(1) => {
            Finding::new(Level::Note, CHECK, "works, for privileged users alone")
                .costs("kernel.io_uring_disabled is 1: the broker does not start as another user")
                .fixed_by(allow())
        }
        RingProbe::Works => Finding::ok(CHECK, "works, with all operations that are used"),
        RingProbe::Lacks(operations) => {
            let found = format!("these operations are missing: {}", operations.join(", "));
            Finding::new(Level::Problem, CHECK, found)
                .costs("the broker does not start: it needs Linux 5.8 or later")
        }
        RingProbe::Refused(why) => {
            let (found, fix) = refused(kernel, process, why);
            Finding::new(Level::Problem, CHECK, format!("refused ({why}): {found}"))
                .costs("the broker does not start")
                .fixed_by(fix)
        }
    }
}

fn allow() -> String {
    "echo kernel.io_uring_disabled=0 | sudo tee /etc/sysctl.d/60-corelane.conf && sudo sysctl \
     --system"
        .to_string()
}

/// Who refuses, and how to change that.
fn refused(kernel: &Kernel, process: &Process, why: &str) -> (String, String) {
    match kernel.disabled {
        Some(2) => return ("kernel.io_uring_disabled is 2".to_string(), allow()),
        Some(1) => {
            let in_group = kernel
                .group
                .and_then(|group| u32::try_from(group).ok())
                .is_some_and(|group| process.groups.contains(&group));
            if !in_group {
                let found = "kernel.io_uring_disabled is 1, and this user is not in the group \
                             kernel.io_uring_group";
                return (found.to_string(), allow());
            }
        }
        _ => {}
    }
    if process.filtered {
        let place = if kernel.in_container { "the container's" } else { "a" };
        return (
            format!("{place} seccomp filter forbids io_uring_setup"),
            "docker run --security-opt seccomp=unconfined … # or a profile that allows \
             io_uring_setup, io_uring_enter and io_uring_register; in a systemd unit: \
             SystemCallFilter=@aio"
                .to_string(),
        );
    }
    if why.contains("memory") {
        let found = "locked memory of this user is used up".to_string();
        return (
            found,
            "ulimit -l unlimited # in a systemd unit: LimitMEMLOCK=infinity".to_string(),
        );
    }
    (
        "the kernel is too old or built without it (CONFIG_IO_URING)".to_string(),
        "uname -r; grep IO_URING /boot/config-$(uname -r) # Linux 5.8 or later with \
         CONFIG_IO_URING=y is needed"
            .to_string(),
    )
}
