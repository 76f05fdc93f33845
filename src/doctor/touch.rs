//! What only trying tells of a directory. Nothing that is there is changed: the file that is tried
//! with has no name, and is gone when the process ends, however it ends.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use corelane_shards::log::LOCK_FILE;
use rustix::fs::{major, minor, open, statvfs, unlink, Mode, OFlags};
use rustix::io::Errno;

/// What was seen of a log directory.
#[derive(Debug, Clone)]
pub struct Touched {
    /// As it is configured.
    pub path: PathBuf,
    pub exists: bool,
    /// The directory itself, or the nearest above it that is there; without links.
    pub nearest: PathBuf,
    /// Major and minor number.
    pub device: (u32, u32),
    /// The inode of the file that a running broker has locked.
    pub lock_inode: Option<u64>,
    pub space: Option<Space>,
    pub direct: Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    /// For users that are not root.
    pub free_bytes: u64,
    pub free_files: u64,
}

/// Whether files can be opened for direct I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direct {
    Works,
    /// The file system has none.
    Missing,
    /// No file can be made there.
    NotWritable(String),
}

/// Looks at a directory and tries to open a file in it.
pub fn touch(path: &Path) -> Touched {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let nearest = there.canonicalize().unwrap_or_else(|_| there.to_path_buf());
    let device = nearest.metadata().map(|found| found.dev()).unwrap_or_default();
    let lock = nearest.join(LOCK_FILE).metadata();
    Touched {
        path: path.to_path_buf(),
        exists: absolute.is_dir(),
        device: (major(device), minor(device)),
        lock_inode: lock.ok().map(|found| found.ino()),
        space: space(&nearest),
        direct: direct(&nearest),
        nearest,
    }
}

fn space(dir: &Path) -> Option<Space> {
    let found = statvfs(dir).ok()?;
    Some(Space {
        total_bytes: found.f_blocks * found.f_frsize,
        free_bytes: found.f_bavail * found.f_frsize,
        free_files: found.f_favail,
    })
}

fn direct(dir: &Path) -> Direct {
    match nameless_file(dir, true) {
        Ok(_) => Direct::Works,
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Direct::Missing,
        Err(error) => Direct::NotWritable(error.to_string()),
    }
}

/// Opens a new file without a name. Where the file system cannot make one, a file is made that nobody
/// else has and its name is removed at once.
///
/// # Errors
/// What the kernel answers; `EINVAL` where `direct` is asked for and the file system has no direct I/O.
pub fn nameless_file(dir: &Path, direct: bool) -> io::Result<OwnedFd> {
    let mut flags = OFlags::RDWR | OFlags::CLOEXEC;
    flags.set(OFlags::DIRECT, direct);
    let mode = Mode::RUSR | Mode::WUSR;
    match open(dir, flags | OFlags::TMPFILE, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    let path = dir.join(format!(".corelane-doctor-{}", std::process::id()));
    let opened = open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode);
    if opened.is_ok() || opened.as_ref().err() == Some(&Errno::INVAL) {
        // A file system without direct I/O has made the name before it says so.
        let _ = unlink(&path);
    }
    Ok(opened?)
}
