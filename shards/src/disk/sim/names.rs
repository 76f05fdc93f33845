//! The simulated directories: what names there are now, and which of them a power cut leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Chance;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(usize),
    Dir,
}

#[derive(Clone)]
enum Change {
    Put(String, Entry),
    Remove(String),
    Rename(String, String),
}

#[derive(Default)]
struct Dir {
    live: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    /// What `durable` lacks, in order; a power cut keeps the first of them.
    pending: Vec<Change>,
}

/// Directories by their path below the root.
pub(super) struct Names {
    root: PathBuf,
    dirs: BTreeMap<PathBuf, Dir>,
}

impl Dir {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }
}

fn apply(entries: &mut BTreeMap<String, Entry>, change: &Change) {
    match change {
        Change::Put(name, entry) => drop(entries.insert(name.clone(), *entry)),
        Change::Remove(name) => drop(entries.remove(name)),
        Change::Rename(from, to) => {
            if let Some(entry) = entries.remove(from) {
                entries.insert(to.clone(), entry);
            }
        }
    }
}

impl Names {
    pub fn new(root: &Path) -> Names {
        let dirs = BTreeMap::from([(PathBuf::new(), Dir::default())]);
        Names { root: root.to_path_buf(), dirs }
    }

    /// Whether `path` is of the time since the last power cut.
    pub fn is_current(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_path_buf)
    }

    fn split(&self, path: &Path) -> Option<(PathBuf, String)> {
        let below = self.below(path)?;
        let name = below.file_name()?.to_str()?.to_string();
        Some((below.parent()?.to_path_buf(), name))
    }

    pub fn entry(&self, path: &Path) -> Option<Entry> {
        let (dir, name) = self.split(path)?;
        self.dirs.get(&dir)?.live.get(&name).copied()
    }

    pub fn file(&self, path: &Path) -> Option<usize> {
        match self.entry(path)? {
            Entry::File(inode) => Some(inode),
            Entry::Dir => None,
        }
    }

    /// Gives a name to a file or directory; whether its directory is there.
    pub fn put(&mut self, path: &Path, entry: Entry) -> bool {
        let Some((dir, name)) = self.split(path) else { return false };
        let below = dir.join(&name);
        let Some(parent) = self.dirs.get_mut(&dir) else { return false };
        parent.change(Change::Put(name, entry));
        if entry == Entry::Dir {
            self.dirs.entry(below).or_default();
        }
        true
    }

    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((dir, name)) = self.split(path) else { return false };
        let Some(dir) = self.dirs.get_mut(&dir) else { return false };
        let there = dir.live.contains_key(&name);
        if there {
            dir.change(Change::Remove(name));
        }
        there
    }

    /// Renames a file or directory within its directory; whether it was there.
    pub fn rename(&mut self, from_path: &Path, to_path: &Path) -> bool {
        let names = (self.split(from_path), self.split(to_path));
        let (Some((dir, from)), Some((to_dir, to))) = names else { return false };
        assert_eq!(dir, to_dir, "files are renamed within one directory");
        let Some(dir) = self.dirs.get_mut(&dir) else { return false };
        let entry = dir.live.get(&from).copied();
        if entry.is_some() {
            dir.change(Change::Rename(from, to));
        }
        if entry == Some(Entry::Dir) {
            self.rename_dir(from_path, to_path);
        }
        entry.is_some()
    }

    /// What a directory holds is found under its new name at once, also after a power cut: the seam
    /// syncs the names above after each rename.
    fn rename_dir(&mut self, from: &Path, to: &Path) {
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else { return };
        if let Some(held) = self.dirs.remove(&from) {
            self.dirs.insert(to, held);
        }
    }

    pub fn sync(&mut self, path: &Path) -> bool {
        let Some(dir) = self.below(path).and_then(|below| self.dirs.get_mut(&below)) else {
            return false;
        };
        dir.durable = dir.live.clone();
        dir.pending.clear();
        true
    }

    /// Names in a directory, sorted, and whether each is a directory.
    pub fn list(&self, path: &Path) -> Option<Vec<(String, bool)>> {
        let dir = self.dirs.get(&self.below(path)?)?;
        Some(dir.live.iter().map(|(name, entry)| (name.clone(), *entry == Entry::Dir)).collect())
    }

    pub fn rebase(&mut self, root: &Path) {
        self.root = root.to_path_buf();
    }

    pub fn cut(&mut self, root: &Path, random: &mut Chance<'_>) {
        self.rebase(root);
        for dir in self.dirs.values_mut() {
            let kept = random.below(dir.pending.len() as u64 + 1) as usize;
            for change in &dir.pending[..kept] {
                apply(&mut dir.durable, change);
            }
            dir.pending.clear();
            dir.live = dir.durable.clone();
        }
        // A directory whose own name is gone is gone with all it held.
        let named: Vec<PathBuf> = self.dirs.keys().cloned().collect();
        for below in named {
            let there = below.as_os_str().is_empty()
                || self.entry(&self.root.join(&below)) == Some(Entry::Dir);
            if !there {
                self.dirs.remove(&below);
            }
        }
    }
}
