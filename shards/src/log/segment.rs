//! Names of a partition's files, and what the log knows of one segment.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::aborted::Aborted;
use super::index::SegmentIndex;
use crate::disk::FileId;

/// The files of a segment: its records, and what is looked up beside them. Records first: indexes
/// without them are built for nothing, the other way around would be work.
pub const SEGMENT_FILES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

/// Kafka names a segment's files by its base offset in twenty digits.
pub fn file_path(dir: &Path, base_offset: i64, extension: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{extension}"))
}

/// The base offset in a segment file's name, where it is one with that extension.
pub fn parse_file_name(name: &str, extension: &str) -> Option<i64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain {
        digits.parse().ok()
    } else {
        None
    }
}

/// One segment of a log, owned by its [`super::LogState`].
#[derive(Debug, Clone)]
pub struct Segment {
    pub base_offset: i64,
    /// How often it has been written anew, in this run of the process.
    pub version: u32,
    /// Bytes of whole batches, those still to be written included.
    pub size: u64,
    /// Bytes whose write has completed.
    pub written: u64,
    /// Bytes known to be durable; never more than `written`.
    pub synced: u64,
    /// File size on disk, preallocated space included.
    pub allocated: u64,
    /// End of the blocks that are known to be written, with records or zeros; 0: not known.
    pub cleared: u64,
    /// Nothing is appended any more, all of it is durable, its file has its true size, its indexes
    /// are beside it and the next segment's file is there.
    pub sealed: bool,
    /// Time the first batch was appended by this process, for `segment.ms`.
    pub opened_ms: Option<i64>,
    /// Shared with readers, which hold it while they look up; `None` until a reader needs it.
    pub index: Option<Rc<SegmentIndex>>,
    /// Transactions aborted by a marker in it, in the order of the markers.
    pub aborted: Rc<Vec<Aborted>>,
    /// The producers' snapshot as of `base_offset`, until it is on disk.
    pub producers_at_base: Option<Vec<u8>>,
}

impl Segment {
    pub fn new(base_offset: i64) -> Self {
        Segment {
            base_offset,
            version: 0,
            size: 0,
            written: 0,
            synced: 0,
            allocated: 0,
            cleared: 0,
            sealed: false,
            opened_ms: None,
            index: Some(Rc::default()),
            aborted: Rc::default(),
            producers_at_base: None,
        }
    }

    /// Its file, as it is now.
    pub fn file(&self) -> FileId {
        (self.base_offset, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kafkas_names_are_segments() {
        let path = file_path(Path::new("/d"), 42, "log");
        assert_eq!(path.to_str(), Some("/d/00000000000000000042.log"));
        assert_eq!(parse_file_name("00000000000000000042.log", "log"), Some(42));
        for name in ["42.log", "00000000000000000042.index", "+0000000000000000042.log", "log"] {
            assert_eq!(parse_file_name(name, "log"), None, "{name}");
        }
    }
}
