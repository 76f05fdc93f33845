use std::fs;
use std::path::{Path, PathBuf};

use procfs_core::FromRead;

/// Where `/proc` and `/sys` are. What cannot be read is not there: kernels differ, and so do rights.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    pub fn new(path: impl Into<PathBuf>) -> Root {
        Root(path.into())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.join(below.trim_start_matches('/'))
    }

    /// A file's text without the white space around it.
    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok().map(|text| text.trim().to_string())
    }

    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// A file that procfs knows.
    pub fn parsed<T: FromRead>(&self, path: &str) -> Option<T> {
        T::from_read(fs::File::open(self.path(path)).ok()?).ok()
    }

    /// Names in a directory, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        names(&self.path(path))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The word in brackets, as `/sys` marks what is chosen: `always [madvise] never`.
pub fn chosen(text: &str) -> &str {
    match (text.find('['), text.find(']')) {
        (Some(open), Some(close)) if open < close => &text[open + 1..close],
        _ => text,
    }
}
