//! One log directory (`log.dirs`): its lock, its identity in `meta.properties`, and the marker
//! that says it was closed in order. Used at start and stop, on a plain thread.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{flock, FlockOperation};
use uuid::Uuid;

/// Ends the name of a deleted partition's directory until it is gone, as in Kafka.
pub const DELETED_SUFFIX: &str = "-delete";
pub const LOCK_FILE: &str = ".lock";
const META_FILE: &str = "meta.properties";
/// Kafka's name for it: written last when everything is closed, removed first at start.
pub const CLEAN_FILE: &str = ".kafka_cleanshutdown";

/// Why a log directory cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    #[error("log directory {path}: {why}; create it or make it writable for this user")]
    Unusable { path: PathBuf, why: io::Error },
    #[error("log directory {path} is locked by another broker: stop it or use another directory")]
    Locked { path: PathBuf },
    #[error("{path}: {reason}; correct it, or use another directory")]
    BadMeta { path: PathBuf, reason: String },
}

/// The directory's identity, in Kafka's `meta.properties` (version 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: String,
}

impl MetaProperties {
    /// What `dir` says of itself; `None` where it says nothing.
    ///
    /// # Errors
    /// The file cannot be read, or has not what version 1 has.
    pub fn read(dir: &Path) -> Result<Option<MetaProperties>, LogDirError> {
        let path = dir.join(META_FILE);
        let bad = |reason: String| LogDirError::BadMeta { path: path.clone(), reason };
        match fs::read_to_string(&path) {
            Ok(text) => parse_meta(&text).map(Some).map_err(bad),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

/// A locked log directory; the lock ends with the value.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    _lock: File,
    meta: MetaProperties,
    was_clean: bool,
}

impl LogDir {
    /// Creates the directory where it is missing, locks it, and reads or writes its identity.
    /// `cluster_id` is taken for a new directory; an old one keeps its own.
    ///
    /// # Errors
    /// See [`LogDirError`].
    pub fn open(path: &Path, node_id: i32, cluster_id: &str) -> Result<LogDir, LogDirError> {
        let unusable = |why| LogDirError::Unusable { path: path.to_path_buf(), why };
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::create(path.join(LOCK_FILE)).map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LogDirError::Locked { path: path.to_path_buf() })
            }
            Err(error) => return Err(unusable(error.into())),
        }
        let meta = load_or_create_meta(path, node_id, cluster_id)?;
        let marker = path.join(CLEAN_FILE);
        let was_clean = marker.exists();
        if was_clean {
            // From now on a crash must be seen as one.
            fs::remove_file(&marker).and_then(|()| sync_dir(path)).map_err(unusable)?;
        }
        remove_deleted(path).map_err(unusable)?;
        Ok(LogDir { path: path.to_path_buf(), _lock: lock, meta, was_clean })
    }

    /// Makes a directory with the identity of another one, whose content it is about to get.
    ///
    /// # Errors
    /// As [`LogDir::open`].
    pub fn adopt(path: &Path, meta: &MetaProperties) -> Result<LogDir, LogDirError> {
        let unusable = |why| LogDirError::Unusable { path: path.to_path_buf(), why };
        fs::create_dir_all(path).map_err(unusable)?;
        write_meta(path, meta).map_err(unusable)?;
        LogDir::open(path, meta.node_id, &meta.cluster_id)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn meta(&self) -> &MetaProperties {
        &self.meta
    }

    /// Whether the directory was closed in order the last time.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Writes the marker of an orderly stop, once every log in the directory is closed.
    ///
    /// # Errors
    /// What the kernel answers; the next start then scans.
    pub fn mark_clean(&self) -> io::Result<()> {
        let mut marker = File::create(self.path.join(CLEAN_FILE))?;
        marker.write_all(b"{\"version\":0}")?;
        marker.sync_all()?;
        sync_dir(&self.path)
    }
}

/// Removes what a crash left of deleted partitions, on a thread of its own: it may be much.
fn remove_deleted(path: &Path) -> io::Result<()> {
    let mut left = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(DELETED_SUFFIX) {
            left.push(entry.path());
        }
    }
    let remove = move || {
        for dir in left {
            match fs::remove_dir_all(&dir) {
                Ok(()) => tracing::info!(dir = %dir.display(), "removed a deleted partition"),
                Err(error) => tracing::warn!("{} stays: {error}; remove it", dir.display()),
            }
        }
    };
    std::thread::Builder::new().name("remove-deleted".to_string()).spawn(remove).map(drop)
}

fn load_or_create_meta(
    dir: &Path,
    node_id: i32,
    cluster_id: &str,
) -> Result<MetaProperties, LogDirError> {
    let path = dir.join(META_FILE);
    let bad = |reason: String| LogDirError::BadMeta { path: path.clone(), reason };
    let Some(meta) = MetaProperties::read(dir)? else {
        let directory_id = Uuid::new_v4().simple().to_string();
        let meta = MetaProperties { cluster_id: cluster_id.to_string(), node_id, directory_id };
        write_meta(dir, &meta).map_err(|e| bad(e.to_string()))?;
        return Ok(meta);
    };
    if meta.node_id != node_id {
        return Err(bad(format!(
            "the directory belongs to node.id {} and the configuration says {node_id}",
            meta.node_id
        )));
    }
    Ok(meta)
}

fn parse_meta(text: &str) -> Result<MetaProperties, String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|l| l.trim().strip_prefix(key)?.strip_prefix('='));
        line.map(|v| v.trim().to_string()).ok_or_else(|| format!("{key} is missing"))
    };
    let version = value("version")?;
    if version != "1" {
        return Err(format!("version {version} is not known, only 1"));
    }
    let node_id = value("node.id")?;
    let node_id = node_id.parse().map_err(|_| format!("node.id={node_id} is not a number"))?;
    let directory_id = value("directory.id")?;
    Ok(MetaProperties { cluster_id: value("cluster.id")?, node_id, directory_id })
}

fn write_meta(dir: &Path, meta: &MetaProperties) -> io::Result<()> {
    let text = format!(
        "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
        meta.cluster_id, meta.node_id, meta.directory_id
    );
    let aside = dir.join("meta.properties.tmp");
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, dir.join(META_FILE))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_and_keeps_its_identity() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = LogDir::open(dir.path(), 1, "cluster").expect("opens");
        assert!(matches!(LogDir::open(dir.path(), 1, "x"), Err(LogDirError::Locked { .. })));
        let meta = first.meta().clone();
        first.mark_clean().expect("marker");
        drop(first);
        let again = LogDir::open(dir.path(), 1, "other").expect("opens again");
        assert_eq!(again.meta(), &meta);
        assert!(again.was_clean());
        drop(again);
        let crashed = LogDir::open(dir.path(), 1, "other").expect("opens a third time");
        assert!(!crashed.was_clean(), "the marker is good for one start");
        drop(crashed);
        let other = LogDir::open(dir.path(), 2, "other").expect_err("another node's");
        assert!(other.to_string().contains("node.id 1"), "{other}");
    }
}
