//! The block device below a log directory, and where it is mounted.

use std::collections::BTreeMap;

use corelane_shards::disk::BLOCK_BYTES;
use procfs_core::process::{MountInfo, MountInfos};
use procfs_core::Locks;

use super::finding::{Finding, Level};
use super::{Root, Touched};
use crate::machine::chosen;

/// What the kernel says of the place of a log directory.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub mount: Option<Mount>,
    pub queue: Option<Queue>,
    /// A broker has the directory's lock.
    pub in_use: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Mount {
    pub point: String,
    pub file_system: String,
    /// With `=value` where there is one.
    pub options: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// As in `/dev`.
    pub name: String,
    pub logical_block: u64,
    pub physical_block: u64,
    pub rotational: bool,
    /// `write back`: what is written may still be lost when power fails, until it is flushed.
    pub write_cache: String,
    pub scheduler: String,
}

impl Disk {
    pub fn read(root: &Root, dir: &Touched) -> Disk {
        let mounts: Option<MountInfos> = root.parsed("proc/self/mountinfo");
        let mount = mounts.and_then(|mounts| {
            let here = mounts.0.into_iter().filter(|m| dir.nearest.starts_with(&m.mount_point));
            // Of several at one place the last covers the others.
            here.max_by_key(|mount| mount.mount_point.as_os_str().len())
        });
        // File systems of several devices give their files another number than their device's.
        let number = match &mount {
            Some(mount) if !mount.majmin.starts_with("0:") => mount.majmin.clone(),
            _ => format!("{}:{}", dir.device.0, dir.device.1),
        };
        Disk {
            mount: mount.map(Mount::of),
            queue: Queue::read(root, &number),
            in_use: in_use(root, dir),
        }
    }
}

/// Whether a broker has the directory's lock.
pub fn in_use(root: &Root, dir: &Touched) -> bool {
    let locks: Option<Locks> = root.parsed("proc/locks");
    let ours = |inode, device| Some(inode) == dir.lock_inode && device == dir.device;
    locks.is_some_and(|locks| {
        locks.0.iter().any(|lock| ours(lock.inode, (lock.devmaj, lock.devmin)))
    })
}

impl Mount {
    fn of(mount: MountInfo) -> Mount {
        let all: BTreeMap<String, Option<String>> =
            mount.mount_options.into_iter().chain(mount.super_options).collect();
        let shown = |(name, value): (String, Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        };
        Mount {
            point: mount.mount_point.display().to_string(),
            file_system: mount.fs_type,
            options: all.into_iter().map(shown).collect(),
        }
    }

    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|there| there == option)
    }
}

impl Queue {
    fn read(root: &Root, number: &str) -> Option<Queue> {
        let mut device = format!("sys/dev/block/{number}");
        if root.exists(&format!("{device}/partition")) {
            // The queue is the whole disk's.
            device.push_str("/..");
        }
        let name = root.text(&format!("{device}/uevent")).unwrap_or_default();
        let name = name.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(str::to_string);
        let text = |file: &str| root.text(&format!("{device}/queue/{file}"));
        let number = |file: &str| text(file).and_then(|text| text.parse().ok());
        Some(Queue {
            name: name.unwrap_or_default(),
            logical_block: number("logical_block_size")?,
            physical_block: number("physical_block_size").unwrap_or(0),
            rotational: number("rotational") == Some(1),
            write_cache: text("write_cache").unwrap_or_default(),
            scheduler: text("scheduler").map(|s| chosen(&s).to_string()).unwrap_or_default(),
        })
    }
}

pub fn check(dir: &Touched, disk: &Disk) -> Vec<Finding> {
    let Some(queue) = &disk.queue else { return Vec::new() };
    let findings = [
        Some(check_blocks(queue)),
        check_cache(queue),
        (!queue.scheduler.is_empty()).then(|| check_scheduler(queue)),
    ];
    let subject = dir.path.display().to_string();
    findings.into_iter().flatten().map(|finding| finding.on(subject.clone())).collect()
}

fn check_blocks(queue: &Queue) -> Finding {
    const CHECK: &str = "block size";
    let found = format!(
        "{}: {} bytes logical, {} physical",
        queue.name, queue.logical_block, queue.physical_block
    );
    if queue.logical_block > BLOCK_BYTES {
        return Finding::new(Level::Problem, CHECK, found)
            .costs(format!("direct writes of {BLOCK_BYTES} bytes, as the broker's, are refused"))
            .fixed_by(format!(
                "sudo nvme format --lbaf=N /dev/{} # a format of 4096 or 512 bytes; ERASES the disk",
                queue.name
            ));
    }
    if queue.physical_block > BLOCK_BYTES {
        return Finding::new(Level::Note, CHECK, found)
            .costs("the disk reads a block for each small write, to write it again as a whole");
    }
    Finding::ok(CHECK, found)
}

fn check_cache(queue: &Queue) -> Option<Finding> {
    const CHECK: &str = "write cache";
    match queue.write_cache.as_str() {
        "write through" => Some(Finding::ok(CHECK, "none that loses anything (write through)")),
        "write back" => Some(Finding::new(Level::Note, CHECK, "volatile (write back)").costs(
            "acks=all flushes it and waits; what was acknowledged with acks=1 and is still in it \
                 is lost when power fails",
        )),
        _ => None,
    }
}

fn check_scheduler(queue: &Queue) -> Finding {
    const CHECK: &str = "I/O scheduler";
    let slow = matches!(queue.scheduler.as_str(), "bfq" | "cfq") && !queue.rotational;
    if !slow {
        return Finding::ok(CHECK, format!("{} on {}", queue.scheduler, queue.name));
    }
    Finding::new(Level::Warning, CHECK, format!("{} on {}", queue.scheduler, queue.name))
        .costs(
            "it waits for more from whoever wrote last: durable writes of several shards wait for \
             each other",
        )
        .fixed_by(format!("echo none | sudo tee /sys/block/{}/queue/scheduler", queue.name))
}

/// Log directories that share a disk.
pub fn check_shared(dirs: &[Touched], disks: &[Disk]) -> Option<Finding> {
    let mut by_disk: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (dir, disk) in dirs.iter().zip(disks) {
        if let Some(queue) = disk.queue.as_ref().filter(|queue| !queue.name.is_empty()) {
            by_disk.entry(&queue.name).or_default().push(dir.path.display().to_string());
        }
    }
    let (disk, shared) = by_disk.into_iter().find(|(_, dirs)| dirs.len() > 1)?;
    let found = format!("{} are on {disk}", shared.join(" and "));
    let finding = Finding::new(Level::Note, "disks", found).costs(
        "log directories on one disk share its speed, and fail together; one directory a disk is \
         what they are for",
    );
    Some(finding)
}
