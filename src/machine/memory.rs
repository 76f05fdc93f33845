use procfs_core::{Meminfo, ProcessCGroups};

use super::Root;

/// Cgroups of version 1 say "no limit" with a number near the largest.
const NO_LIMIT: u64 = 1 << 60;

/// Bytes of memory that this process may use: the machine's, or fewer where a cgroup (of version 1 or 2)
/// says so. `None`: that cannot be told.
pub fn usable_memory(root: &Root) -> Option<u64> {
    let machine = root.parsed::<Meminfo>("proc/meminfo").map(|info| info.mem_total);
    machine.into_iter().chain(cgroup_memory_limit(root)).min()
}

/// The least that the cgroup of this process and those above it allow it, in bytes; `None`: all there is.
pub fn cgroup_memory_limit(root: &Root) -> Option<u64> {
    let new = cgroup_files(root, "memory", "memory.max");
    let old = cgroup_files(root, "memory", "memory.limit_in_bytes");
    new.chain(old).filter_map(|text| text.parse().ok()).filter(|bytes| *bytes < NO_LIMIT).min()
}

/// A file of this process's cgroup, then of each above it, in both versions' places.
pub fn cgroup_files<'a>(
    root: &'a Root,
    controller: &'a str,
    file: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let groups: Vec<_> = root
        .parsed::<ProcessCGroups>("proc/self/cgroup")
        .map_or(Vec::new(), |groups| groups.0.into_iter().collect());
    let of_ours = move |group: procfs_core::ProcessCGroup| {
        let version_2 = group.controllers.is_empty();
        let ours = version_2 || group.controllers.iter().any(|name| name == controller);
        let below = if version_2 { String::new() } else { controller.to_string() };
        ours.then_some((below, group.pathname))
    };
    groups.into_iter().filter_map(of_ours).flat_map(move |(below, path)| {
        let above: Vec<String> = std::path::Path::new(path.trim_start_matches('/'))
            .ancestors()
            .map(|path| format!("sys/fs/cgroup/{below}/{}/{file}", path.display()))
            .collect();
        above.into_iter().filter_map(|path| root.text(&path))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GIB: u64 = 1 << 30;

    /// What may be used of a machine of 8 GiB with these files beside.
    fn usable(files: &[(&str, &str)]) -> Option<u64> {
        let dir = tempfile::tempdir().expect("a directory");
        let eight = include_str!("../../tests/fixtures/doctor/meminfo");
        let total = eight.lines().find(|line| line.starts_with("MemTotal:")).expect("is there");
        let eight = eight.replace(total, "MemTotal:        8388608 kB");
        for (path, content) in [("proc/meminfo", &eight[..])].iter().chain(files) {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("makes");
            fs::write(path, content).expect("writes");
        }
        usable_memory(&Root::new(dir.path()))
    }

    #[test]
    fn the_smallest_limit_counts_in_both_versions_of_cgroups() {
        let group = ("proc/self/cgroup", "0::/pods/broker\n");
        let ours = "sys/fs/cgroup/pods/broker/memory.max";
        let above = "sys/fs/cgroup/pods/memory.max";
        assert_eq!(usable(&[]), Some(8 * GIB));
        assert_eq!(usable(&[group, (ours, "max\n")]), Some(8 * GIB));
        assert_eq!(usable(&[group, (ours, "2147483648\n")]), Some(2 * GIB));
        assert_eq!(usable(&[group, (ours, "max\n"), (above, "1073741824\n")]), Some(GIB));
        assert_eq!(usable(&[group, (ours, "17179869184\n")]), Some(8 * GIB), "more than there is");
        // In a container its own group is the root of what it sees.
        let inside = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1073741824\n")];
        assert_eq!(usable(&inside), Some(GIB));

        let group = ("proc/self/cgroup", "5:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n");
        let ours = "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes";
        let inside = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(usable(&[group, (ours, "1073741824\n")]), Some(GIB));
        assert_eq!(usable(&[group, (inside, "1073741824\n")]), Some(GIB), "mounted as the root");
        assert_eq!(usable(&[group, (ours, "9223372036854771712\n")]), Some(8 * GIB));
    }

    #[test]
    fn nothing_is_made_up() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(usable_memory(&Root::new(dir.path())), None);
    }
}
