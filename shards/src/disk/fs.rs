//! Directory operations and small files: rare, so they run on a blocking thread and keep the
//! shard's ring for data.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::reserve::write_reserved;
use super::{sim, DiskError};
use crate::runtime::spawn_blocking;

/// Names in a directory, sorted, with what kind each is (`true`: a directory).
pub async fn list_dir(path: &Path) -> Result<Vec<(String, bool)>, DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.list_dir(path).await;
    }
    blocking("list", path, |path| {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, entry.file_type()?.is_dir()));
            }
        }
        names.sort();
        Ok(names)
    })
    .await
}

/// Makes one directory and makes its name durable. Its parent must exist.
pub async fn create_dir(path: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.make_dir(path).await;
    }
    blocking("create directory", path, |path| {
        fs::create_dir(path)?;
        sync_parent(path)
    })
    .await
}

/// Makes a directory and its parents where they are missing.
pub async fn ensure_dir(path: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.make_dir(path).await;
    }
    blocking("create directory", path, |path| {
        fs::create_dir_all(path)?;
        sync_parent(path)
    })
    .await
}

/// Makes the names in a directory durable.
pub async fn sync_dir(path: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.sync_dir(path).await;
    }
    blocking("sync directory", path, |path| fs::File::open(path)?.sync_all()).await
}

/// Removes a directory and all it holds; a missing one is fine.
pub async fn remove_dir(path: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.remove_dir(path).await;
    }
    blocking("remove directory", path, |path| ignore_missing(fs::remove_dir_all(path))).await
}

/// Removes a file; a missing one is fine.
pub async fn remove_file(path: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.remove_file(path).await;
    }
    blocking("remove", path, |path| ignore_missing(fs::remove_file(path))).await
}

/// Renames within one directory and makes the change durable.
pub async fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(from) {
        return disk.rename(from, to).await;
    }
    let to = to.to_path_buf();
    blocking("rename", from, move |from| {
        fs::rename(from, &to)?;
        sync_parent(&to)
    })
    .await
}

/// [`rename`], where a missing file is fine.
pub async fn rename_if_there(from: &Path, to: &Path) -> Result<(), DiskError> {
    match rename(from, to).await {
        Err(error) if error.kind == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// The content of a small file, or `None` where there is none.
pub async fn read_small(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.read_small(path).await;
    }
    blocking("read", path, |path| match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    })
    .await
}

/// Replaces a file's content atomically: written aside, synced, renamed, directory synced. Where there
/// is no space, small content goes into what its log directory keeps in reserve.
pub async fn replace_file(path: &Path, content: Vec<u8>) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.replace_file(path, content).await;
    }
    blocking("replace", path, move |path| {
        let aside = path.with_extension("tmp");
        if let Err(error) = write_synced(&aside, &content) {
            let full = error.kind() == io::ErrorKind::StorageFull;
            if !full || !write_reserved(&aside, &content)? {
                return Err(error);
            }
        }
        fs::rename(&aside, path)?;
        sync_parent(path)
    })
    .await
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file that can be rebuilt from others (an index): no sync of its own.
pub async fn write_small(path: &Path, content: Vec<u8>) -> Result<(), DiskError> {
    if let Some(disk) = sim::of(path) {
        return disk.write_small(path, content).await;
    }
    blocking("write", path, move |path| fs::write(path, &content)).await
}

pub(super) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, DiskError> {
    let owned: PathBuf = path.to_path_buf();
    spawn_blocking(move || work(&owned).map_err(|e| DiskError::new(operation, &owned, e))).await
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
