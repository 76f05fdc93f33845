use procfs_core::process::Status;

use super::Root;

/// Whether all memory that this process may use is on one node (NUMA): then it does not matter which
/// thread touches it first. `false` where that cannot be told.
pub fn one_memory_node(root: &Root) -> bool {
    let nodes = root.parsed::<Status>("proc/self/status").and_then(|s| s.mems_allowed_list);
    matches!(nodes.as_deref(), Some([(first, last)]) if first == last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(nodes: &str) -> bool {
        let dir = tempfile::tempdir().expect("a directory");
        let own = std::fs::read_to_string("/proc/self/status").expect("readable");
        let status: Vec<String> = own
            .lines()
            .filter(|line| !nodes.is_empty() || !line.starts_with("Mems_allowed_list"))
            .map(|line| match line.split_once(':') {
                Some(("Mems_allowed_list", _)) => format!("Mems_allowed_list:\t{nodes}"),
                _ => line.to_string(),
            })
            .collect();
        std::fs::create_dir_all(dir.path().join("proc/self")).expect("made");
        let file = dir.path().join("proc/self/status");
        std::fs::write(file, status.join("\n") + "\n").expect("written");
        one_memory_node(&Root::new(dir.path()))
    }

    #[test]
    fn several_nodes_are_told_from_one() {
        assert!(said_of("0"));
        assert!(said_of("1"), "bound to the second node");
        assert!(!said_of("0-1"));
        assert!(!said_of("0,2"));
        assert!(!said_of(""), "a kernel that does not say");
    }
}
