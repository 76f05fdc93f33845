//! Which files a command is about, and reading them batch by batch.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context};
use corelane_shards::log::batch::{BatchHeader, BATCH_HEADER_BYTES};
use corelane_shards::log::{examine, parse_file_name, Examined};
use indicatif::{ProgressBar, ProgressStyle};

/// Files below `paths` with one of `extensions`, a segment's name, sorted.
///
/// # Errors
/// A path is not there or is no segment's file.
pub fn find(paths: &[PathBuf], extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let meta = fs::metadata(path).with_context(|| path.display().to_string())?;
        if meta.is_dir() {
            walk(path, extensions, &mut found)?;
        } else if is_one(path, extensions) {
            found.push(path.clone());
        } else {
            bail!("{}: not a segment's file (.{})", path.display(), extensions.join(", ."));
        }
    }
    found.sort();
    Ok(found)
}

fn walk(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, extensions, found)?;
        } else if is_one(&path, extensions) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_one(path: &Path, extensions: &[&str]) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    extensions.iter().any(|extension| parse_file_name(name, extension).is_some())
}

/// The base offset in a segment file's name.
pub fn base_offset(path: &Path) -> i64 {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or(0)
}

/// A bar over all bytes of `files`; hidden where nobody looks.
pub fn progress(files: &[PathBuf], quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bytes =
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|meta| meta.len()).sum();
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A part of a segment file.
pub enum Part {
    Batch {
        position: u64,
        header: Box<BatchHeader>,
        bytes: Vec<u8>,
    },
    /// Bytes up to the next whole batch, or the end.
    Damage {
        position: u64,
        len: u64,
        next_offset: i64,
        reason: String,
    },
}

/// Walks a segment file and goes on behind what is damaged.
pub struct Segment {
    bytes: Vec<u8>,
    at: usize,
    next_offset: i64,
}

impl Segment {
    /// Reads the whole file: segments are two gigabytes at most.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn open(path: &Path) -> anyhow::Result<Segment> {
        let name = || path.display().to_string();
        let mut file = BufReader::new(File::open(path).with_context(name)?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(name)?;
        Ok(Segment { bytes, at: 0, next_offset: base_offset(path) })
    }

    pub fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn batch_at(&self, at: usize) -> Result<Option<BatchHeader>, String> {
        match examine(&self.bytes[at..], self.next_offset) {
            Examined::Batch(header) => Ok(Some(header)),
            Examined::End => Ok(None),
            Examined::Short { want } => Err(format!("a batch of {want} bytes is cut off")),
            Examined::Damage(reason) => Err(reason),
        }
    }

    /// Position of the next whole batch behind `at`, or of the unused space at the end.
    fn resume(&self, at: usize) -> usize {
        let magic = 16;
        (at + 1..self.bytes.len().saturating_sub(BATCH_HEADER_BYTES))
            .find(|at| self.bytes[at + magic] == 2 && matches!(self.batch_at(*at), Ok(Some(_))))
            .unwrap_or_else(|| {
                let used =
                    self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                used.max(at + 1)
            })
    }
}

impl Iterator for Segment {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let position = self.at as u64;
        match self.batch_at(self.at) {
            Ok(None) => None,
            Ok(Some(header)) => {
                let end = self.at + header.claimed_size() as usize;
                let bytes = self.bytes[self.at..end].to_vec();
                (self.at, self.next_offset) = (end, header.last_offset() + 1);
                Some(Part::Batch { position, header: Box::new(header), bytes })
            }
            Err(reason) => {
                let end = self.resume(self.at);
                let len = (end - self.at) as u64;
                self.at = end;
                Some(Part::Damage { position, len, next_offset: self.next_offset, reason })
            }
        }
    }
}

/// Keeps a running broker's files from being changed: takes the lock of the log directory that
/// `path` lies in, if it is in one.
///
/// # Errors
/// A broker has it.
pub fn lock(path: &Path) -> anyhow::Result<Option<File>> {
    let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
    let Some(lock) = path.ancestors().map(|dir| dir.join(".lock")).find(|lock| lock.is_file())
    else {
        return Ok(None);
    };
    let file = File::open(&lock)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(_) => bail!("{} is held by a running broker: stop it first", lock.display()),
    }
}
