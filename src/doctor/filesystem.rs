//! The file system of a log directory.

use super::disk::{Disk, Mount};
use super::finding::{Finding, Level};
use super::touch::Space;
use super::{Direct, Touched};

/// Below this there is hardly room for a segment of each partition that is written to.
const LITTLE_BYTES: u64 = 10 << 30;
const LITTLE_PERCENT: u64 = 10;
/// Below this records are refused soon.
const NO_SPACE_BYTES: u64 = 256 << 20;
/// A partition has some ten files.
const FEW_FILES: u64 = 100_000;

pub fn check(dir: &Touched, disk: &Disk) -> Vec<Finding> {
    let mut findings = vec![check_directory(dir, disk)];
    if let Some(mount) = &disk.mount {
        findings.push(check_kind(mount));
        findings.extend(check_options(mount));
    }
    findings.extend(check_direct(&dir.direct));
    findings.extend(dir.space.map(|space| check_space(space, dir)));
    let subject = dir.path.display().to_string();
    findings.into_iter().map(|finding| finding.on(subject.clone())).collect()
}

fn check_directory(dir: &Touched, disk: &Disk) -> Finding {
    const CHECK: &str = "directory";
    if let Direct::NotWritable(why) = &dir.direct {
        let shown = dir.path.display();
        return Finding::new(Level::Problem, CHECK, format!("no file can be made there: {why}"))
            .costs("the broker does not start, or goes on without what is in it")
            .fixed_by(format!(
                "sudo install -d -o \"$USER\" '{shown}' # the user that the broker runs as; \
                 and mount | grep '{shown}' # must not say ro"
            ));
    }
    if disk.in_use {
        return Finding::ok(CHECK, "a broker is running on it");
    }
    if !dir.exists {
        let found = format!("not there yet; the broker makes it in {}", dir.nearest.display());
        return Finding::new(Level::Note, CHECK, found);
    }
    Finding::ok(CHECK, "there and writable")
}

fn check_kind(mount: &Mount) -> Finding {
    const CHECK: &str = "file system";
    let kind = mount.file_system.as_str();
    let found = format!("{kind} on {}", mount.point);
    let warning = |cost: &str| Finding::new(Level::Warning, CHECK, found.clone()).costs(cost);
    const FORMAT: &str = "sudo mkfs.xfs /dev/DISK # ERASES the disk; then mount it and use that";
    match kind {
        "ext4" | "xfs" => Finding::ok(CHECK, found),
        "tmpfs" | "ramfs" => {
            warning("it is in memory: every record is gone at the next boot, whatever acks say")
                .fixed_by(FORMAT)
        }
        "overlay" | "aufs" => warning(
            "it is a container's own layer: every record is gone with the container, and writes go \
             through another file system first",
        )
        .fixed_by("docker run -v /mnt/disk:/var/lib/corelane …"),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "fuse" => network(warning),
        fuse if fuse.starts_with("fuse.") => network(warning),
        "btrfs" | "zfs" | "bcachefs" => warning(
            "it writes every block to a new place, with its checksums: durable appends write several \
             blocks each, and files fall to pieces",
        )
        .fixed_by(if kind == "btrfs" {
            "chattr +C DIR # while it is empty: no copy-on-write"
        } else {
            FORMAT
        }),
        _ => Finding::new(Level::Note, CHECK, found)
            .costs("Corelane is measured and tested on ext4 and xfs"),
    }
}

fn network(warning: impl Fn(&str) -> Finding) -> Finding {
    warning(
        "it is not a local disk: a durable write goes over the network, and what is durable is what \
         the server says",
    )
    .fixed_by("corelane serve --data-dir DIR # a directory on a local disk")
}

fn check_options(mount: &Mount) -> Vec<Finding> {
    const CHECK: &str = "mount options";
    let point = &mount.point;
    let remount = |option: &str| {
        format!("sudo mount -o remount,{option} {point} # and the same in /etc/fstab")
    };
    let found = |option: &str| format!("{option} on {point}");
    let mut findings = Vec::new();
    for option in ["nobarrier", "barrier=0"] {
        if mount.has(option) {
            findings.push(
                Finding::new(Level::Problem, CHECK, found(option))
                    .costs(
                        "the disk's cache is not flushed: acks=all loses records when power fails",
                    )
                    .fixed_by(remount("barrier=1")),
            );
        }
    }
    if mount.has("data=journal") {
        findings.push(
            Finding::new(Level::Warning, CHECK, found("data=journal"))
                .costs("every record is written twice, and direct I/O is not available")
                .fixed_by("sudo tune2fs -o journal_data_ordered /dev/DISK # and mount it again"),
        );
    }
    if mount.has("sync") || mount.has("dirsync") {
        findings.push(
            Finding::new(Level::Warning, CHECK, found("sync"))
                .costs("every write waits for the disk, also where nobody asked for it (acks=1)")
                .fixed_by(remount("async")),
        );
    }
    if mount.has("strictatime") {
        findings.push(
            Finding::new(Level::Note, CHECK, found("strictatime"))
                .costs("every read of a segment writes the file's time of access")
                .fixed_by(remount("noatime")),
        );
    }
    if mount.has("discard") {
        findings.push(
            Finding::new(Level::Note, CHECK, found("discard"))
                .costs(
                    "space that retention frees is given back to the disk at once, and durable writes \
                     wait meanwhile: p99 of 1,000 writes/s was 1.5–2 ms beside the broker's slow \
                     deleting, 0.4–0.7 ms alone (ext4 on virtio)",
                )
                .fixed_by(format!(
                    "sudo mount -o remount,nodiscard {point} && sudo systemctl enable --now \
                     fstrim.timer # and the same in /etc/fstab"
                )),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, mount.options.join(",")));
    }
    findings
}

fn check_direct(direct: &Direct) -> Option<Finding> {
    const CHECK: &str = "direct I/O";
    match direct {
        Direct::Works => Some(Finding::ok(CHECK, "works")),
        Direct::Missing => Some(
            Finding::new(Level::Warning, CHECK, "this file system has none")
                .costs(
                    "every record is copied into the page cache and written from there later: a copy \
                     more, memory that is not counted, and stalls when the kernel writes much at once",
                )
                .fixed_by("corelane serve --data-dir DIR # a directory on ext4 or xfs"),
        ),
        Direct::NotWritable(_) => None,
    }
}

fn check_space(space: Space, dir: &Touched) -> Finding {
    const CHECK: &str = "free space";
    const FIX: &str =
        "corelane topic list # then shorter retention (retention.ms, retention.bytes), or \
                       another directory beside this one in log.dirs";
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    let found = format!("{} of {}", gib(space.free_bytes), gib(space.total_bytes));
    if space.free_bytes < NO_SPACE_BYTES {
        return Finding::new(Level::Problem, CHECK, found)
            .costs("records are refused as soon as it is full")
            .fixed_by(FIX);
    }
    let percent = space.free_bytes / (space.total_bytes / 100).max(1);
    if space.free_bytes < LITTLE_BYTES && percent < LITTLE_PERCENT {
        return Finding::new(Level::Warning, CHECK, found)
            .costs("records are refused when it is full; each partition's active segment reserves space ahead")
            .fixed_by(FIX);
    }
    if space.free_files < FEW_FILES && space.free_files > 0 {
        let at = dir.nearest.display();
        return Finding::new(
            Level::Warning,
            CHECK,
            format!("{found}; {} files more", space.free_files),
        )
        .costs("a partition has some ten files: no more can be made when they are used up")
        .fixed_by(format!("df -i {at} # mkfs.ext4 -i makes more; xfs makes them as needed"));
    }
    Finding::ok(CHECK, found)
}
