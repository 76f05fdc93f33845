//! Directories that come or go by the thousand: what is done to all of them is made durable together.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{sim, DiskError};
use crate::runtime::spawn_blocking;

/// A new directory, and the files in it with their content.
pub struct NewDir {
    pub path: PathBuf,
    pub files: Vec<(String, Vec<u8>)>,
}

/// Directories that the blocking thread works on before others of its tasks have their turn.
const AT_ONCE: usize = 64;
/// Up to so many are synced file by file. More of them sync their file system, which waits for what
/// others have written there, too: measured for 5,000 partitions, one such call instead of 20,000.
const FEW: usize = 1;

/// Makes directories whose parents are there, with all their files; they are durable when this returns.
/// `false`: there is one of that name already, which is left as it is.
pub async fn create_dirs(dirs: Vec<NewDir>) -> Vec<Result<bool, DiskError>> {
    if let Some(disk) = dirs.first().and_then(|dir| sim::of(&dir.path)) {
        let mut made = Vec::with_capacity(dirs.len());
        for dir in dirs {
            made.push(create_simulated(&disk, dir).await.map(|()| true));
        }
        return made;
    }
    let mut made = Vec::with_capacity(dirs.len());
    let mut paths = Vec::new();
    let mut left = dirs.into_iter();
    loop {
        let some: Vec<NewDir> = left.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let work = move || {
            let made: Vec<_> = some.iter().map(create).collect();
            (some, made)
        };
        let (some, done) = spawn_blocking(work).await;
        let new = some.into_iter().zip(&done).filter(|(_, made)| matches!(made, Ok(true)));
        paths.extend(new.map(|(dir, _)| dir.path));
        made.extend(done);
    }
    if let Err(error) = spawn_blocking(move || sync(&paths)).await {
        made.iter_mut()
            .filter(|one| matches!(one, Ok(true)))
            .for_each(|one| *one = Err(error.clone()));
    }
    made
}

async fn create_simulated(disk: &sim::SimDisk, dir: NewDir) -> Result<(), DiskError> {
    disk.make_dir(&dir.path).await?;
    for (name, content) in dir.files {
        disk.replace_file(&dir.path.join(name), content).await?;
    }
    disk.sync_dir(&dir.path).await
}

fn create(dir: &NewDir) -> Result<bool, DiskError> {
    let path = &dir.path;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        made => made.map_err(|error| DiskError::new("create directory", path, error))?,
    }
    for (name, content) in &dir.files {
        let file = path.join(name);
        fs::write(&file, content).map_err(|error| DiskError::new("write", &file, error))?;
    }
    Ok(true)
}

fn parents(paths: &[PathBuf]) -> BTreeSet<&Path> {
    paths.iter().filter_map(|path| path.parent()).collect()
}

fn sync(paths: &[PathBuf]) -> Result<(), DiskError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error| DiskError::new("sync", &path, error)
    };
    if paths.len() > FEW {
        for parent in parents(paths) {
            let synced = fs::File::open(parent).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
            synced.map_err(failed(parent))?;
        }
        return Ok(());
    }
    for path in paths {
        for entry in fs::read_dir(path).map_err(failed(path))? {
            let synced = entry.and_then(|entry| fs::File::open(entry.path())?.sync_all());
            synced.map_err(failed(path))?;
        }
        fs::File::open(path).and_then(|dir| dir.sync_all()).map_err(failed(path))?;
    }
    for parent in parents(paths) {
        fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed(parent))?;
    }
    Ok(())
}

/// Gives directories other names, each in the directory it is in; durable when this returns.
pub async fn rename_all(renames: Vec<(PathBuf, PathBuf)>) -> Vec<Result<(), DiskError>> {
    if renames.first().and_then(|(from, _)| sim::of(from)).is_some() {
        let mut done = Vec::with_capacity(renames.len());
        for (from, to) in renames {
            done.push(super::rename(&from, &to).await);
        }
        return done;
    }
    spawn_blocking(move || {
        let rename = |(from, to): &(PathBuf, PathBuf)| {
            fs::rename(from, to).map_err(|error| DiskError::new("rename", from, error))
        };
        let mut done: Vec<_> = renames.iter().map(rename).collect();
        let paths: Vec<PathBuf> = renames.into_iter().map(|(_, to)| to).collect();
        for dir in parents(&paths) {
            if let Err(error) = fs::File::open(dir).and_then(|dir| dir.sync_all()) {
                let error = DiskError::new("sync directory", dir, error);
                done.iter_mut().for_each(|one| *one = Err(error.clone()));
            }
        }
        done
    })
    .await
}
