//! The controller's log on disk: `corelane-metadata.log` in the first log directory, a file because
//! Kafka takes no directories there but those of partitions.
//!
//! Eight bytes of magic and version, then frames of (u32 length, u32 CRC32C, both little-endian,
//! rkyv bytes of a list of records), one per decision, each durable before it is acted on. When
//! it has grown, it is written anew from the state it stands for and replaced atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{fallocate, FallocateFlags};

use super::record::MetadataRecord;

const METADATA_FILE: &str = "corelane-metadata.log";
const MAGIC: &[u8; 8] = b"CLMETA\x00\x01";
/// Space kept behind the end of the log.
const RESERVE_BYTES: u64 = 256 << 10;
const FRAME_HEADER_BYTES: usize = 8;
/// A log larger than this is written anew.
const COMPACT_ABOVE_BYTES: u64 = 1 << 20;

/// Why the controller's log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: {why}")]
    Io { path: PathBuf, why: io::Error },
    #[error("{path}: damaged at byte {position}: {reason}; restore the file from a copy")]
    Damaged { path: PathBuf, position: usize, reason: String },
}

/// The open log. Owned by the control thread.
#[derive(Debug)]
pub struct MetadataStore {
    path: PathBuf,
    file: File,
    len: u64,
    /// Space is reserved up to here.
    reserved: u64,
    /// What the file holds behind `len` is not known.
    broken: bool,
}

impl MetadataStore {
    /// Opens or creates the log under `dir` and returns all its records in order. A frame that a
    /// crash has torn at the end is cut off.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(dir: &Path) -> Result<(MetadataStore, Vec<MetadataRecord>), StoreError> {
        let path = dir.join(METADATA_FILE);
        let io = |why| StoreError::Io { path: path.clone(), why };
        let bytes = match fs::read(&path) {
            Ok(bytes) if !bytes.is_empty() => bytes,
            Ok(_) => MAGIC.to_vec(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => MAGIC.to_vec(),
            Err(e) => return Err(io(e)),
        };
        let (records, good) = parse(&path, &bytes)?;
        if good < bytes.len() {
            tracing::warn!(
                file = %path.display(), position = good, bytes = bytes.len() - good,
                "cut an unfinished decision off the metadata log"
            );
        }
        let mut store = MetadataStore::replace(&path, &bytes[..good]).map_err(io)?;
        store.len = good as u64;
        Ok((store, records))
    }

    /// Adds one decision, durably. What a failed write left is cut off again; after a failed sync,
    /// which may have lost anything, nothing more is written until the next start.
    ///
    /// # Errors
    /// The disk's; the decision must then not be acted on.
    pub fn append(&mut self, records: &[MetadataRecord]) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io = |why| StoreError::Io { path: path.clone(), why };
        if self.broken {
            return Err(io(io::Error::other("a write failed before: restart the broker")));
        }
        let frame = frame(records);
        if let Err(why) = self.file.write_all(&frame) {
            self.broken = self.file.set_len(self.len).is_err();
            return Err(io(why));
        }
        if let Err(why) = self.file.sync_data() {
            self.broken = true;
            return Err(io(why));
        }
        self.len += frame.len() as u64;
        self.reserve();
        Ok(())
    }

    /// Keeps space behind the file's end, so that decisions (deletions among them) can be made when
    /// the disk is full.
    fn reserve(&mut self) {
        if self.reserved >= self.len + RESERVE_BYTES / 2 {
            return;
        }
        // Without it there is only what is free then.
        let ahead = fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.len, RESERVE_BYTES);
        if ahead.is_ok() {
            self.reserved = self.len + RESERVE_BYTES;
        }
    }

    /// Writes the log anew where it has grown to more than twice what it stands for.
    ///
    /// # Errors
    /// The disk's; the old log is then still in force.
    pub fn compact(
        &mut self,
        live: impl FnOnce() -> Vec<MetadataRecord>,
    ) -> Result<(), StoreError> {
        if self.len < COMPACT_ABOVE_BYTES {
            return Ok(());
        }
        let content = [&MAGIC[..], &frame(&live())].concat();
        if self.len > 2 * content.len() as u64 {
            let path = self.path.clone();
            let fresh = MetadataStore::replace(&path, &content);
            *self = fresh.map_err(|why| StoreError::Io { path, why })?;
        }
        Ok(())
    }

    fn replace(path: &Path, content: &[u8]) -> io::Result<MetadataStore> {
        let aside = path.with_extension("tmp");
        let mut file = File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        let len = content.len() as u64;
        let path = path.to_path_buf();
        let mut store = MetadataStore { path, file, len, reserved: 0, broken: false };
        store.reserve();
        Ok(store)
    }
}

fn frame(records: &[MetadataRecord]) -> Vec<u8> {
    let records = records.to_vec();
    let body = match rkyv::to_bytes::<rkyv::rancor::Error>(&records) {
        Ok(body) => body,
        Err(error) => unreachable!("records of plain values serialize: {error}"),
    };
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// All records, and where the last whole frame ends.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<MetadataRecord>, usize), StoreError> {
    let damaged = |position: usize, reason: &str| StoreError::Damaged {
        path: path.to_path_buf(),
        position,
        reason: reason.to_string(),
    };
    if !bytes.starts_with(MAGIC) {
        return Err(damaged(0, "not a metadata log of this version"));
    }
    let mut records = Vec::new();
    let mut at = MAGIC.len();
    while let Some(header) = bytes.get(at..at + FRAME_HEADER_BYTES) {
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let start = at + FRAME_HEADER_BYTES;
        let Some(body) = bytes.get(start..start + len) else { break };
        if crc32c::crc32c(body) != crc {
            if start + len < bytes.len() {
                return Err(damaged(at, "the checksum is wrong and more follows"));
            }
            break;
        }
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(len);
        aligned.extend_from_slice(body);
        let decoded = rkyv::from_bytes::<Vec<MetadataRecord>, rkyv::rancor::Error>(&aligned);
        records.extend(decoded.map_err(|e| damaged(at, &e.to_string()))?);
        at = start + len;
    }
    Ok((records, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(id: u128) -> MetadataRecord {
        MetadataRecord::TopicDeleted { id }
    }

    fn written(dir: &Path) -> Vec<u8> {
        let (mut store, _) = MetadataStore::open(dir).expect("opens");
        store.append(&[deleted(1), deleted(2)]).expect("appends");
        store.append(&[deleted(3)]).expect("appends");
        fs::read(dir.join(METADATA_FILE)).expect("reads")
    }

    #[test]
    fn a_torn_last_decision_is_cut_and_the_rest_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = written(dir.path());
        let path = dir.path().join(METADATA_FILE);
        let (_, two) = parse(&path, &bytes[..bytes.len() - 1]).expect("two of three");
        for cut in two..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("writes");
            let (mut store, records) = MetadataStore::open(dir.path()).expect("opens");
            assert_eq!(records, [deleted(1), deleted(2)], "cut at {cut}");
            store.append(&[deleted(4)]).expect("appends");
            let (_, records) = MetadataStore::open(dir.path()).expect("opens");
            assert_eq!(records, [deleted(1), deleted(2), deleted(4)]);
        }
    }

    #[test]
    fn after_a_write_that_failed_and_could_not_be_undone_nothing_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = written(dir.path());
        let path = dir.path().join(METADATA_FILE);
        let (mut store, _) = MetadataStore::open(dir.path()).expect("opens");
        let good = std::mem::replace(&mut store.file, File::open(&path).expect("to read only"));
        assert!(store.append(&[deleted(4)]).is_err());
        store.file = good;
        let error = store.append(&[deleted(4)]).expect_err("is broken").to_string();
        assert!(error.contains("restart"), "{error}");
        assert_eq!(fs::read(&path).expect("reads"), bytes);
    }

    #[test]
    fn damage_before_the_end_is_named_and_nothing_is_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut bytes = written(dir.path());
        let path = dir.path().join(METADATA_FILE);
        bytes[20] ^= 1;
        fs::write(&path, &bytes).expect("writes");
        let error = MetadataStore::open(dir.path()).expect_err("damaged").to_string();
        assert!(error.contains("damaged at byte 8"), "{error}");
        assert_eq!(fs::read(&path).expect("reads"), bytes);
    }

    #[test]
    fn a_grown_log_is_written_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut store, _) = MetadataStore::open(dir.path()).expect("opens");
        store.len = COMPACT_ABOVE_BYTES;
        store.compact(|| vec![deleted(9)]).expect("compacts");
        store.append(&[deleted(10)]).expect("appends");
        let (_, records) = MetadataStore::open(dir.path()).expect("opens");
        assert_eq!(records, [deleted(9), deleted(10)]);
    }
}
