//! The controller's log on disk: `corelane-metadata.log` in the first log directory, a file because
//! Kafka takes no directories there but those of partitions.
//!
//! Eight bytes of magic and version, then frames of (u32 length, u32 CRC32C, both little-endian,
//! rkyv bytes of a list of records), one for what was decided together, each durable before it is acted
//! on. When it has grown, it is replaced atomically by a snapshot, the fewest records that stand for the
//! state, in one frame, and goes on behind that. A start reads the snapshot and what follows.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{MetadataDisk, RealDisk};
use super::frame::{frame, parse, MAGIC};
use super::record::MetadataRecord;

const METADATA_FILE: &str = "corelane-metadata.log";
const ASIDE: &str = "corelane-metadata.tmp";
/// Space kept behind the end of the log.
const RESERVE_BYTES: u64 = 256 << 10;
/// What follows the snapshot may be as large as it is, but need not be smaller than this.
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
pub struct MetadataStore<D = RealDisk> {
    path: PathBuf,
    disk: D,
    len: u64,
    /// Bytes that the log began with when it was written anew.
    snapshot: u64,
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
        MetadataStore::open_on(RealDisk::new(dir), dir.join(METADATA_FILE))
    }
}

impl<D: MetadataDisk> MetadataStore<D> {
    pub(super) fn open_on(
        mut disk: D,
        path: PathBuf,
    ) -> Result<(MetadataStore<D>, Vec<MetadataRecord>), StoreError> {
        let io = |why| StoreError::Io { path: path.clone(), why };
        let bytes = match disk.read(METADATA_FILE).map_err(io)? {
            Some(bytes) if !bytes.is_empty() => bytes,
            _ => MAGIC.to_vec(),
        };
        let (records, good) = parse(&bytes).map_err(|(position, reason)| StoreError::Damaged {
            path: path.clone(),
            position,
            reason,
        })?;
        if good < bytes.len() {
            tracing::warn!(
                file = %path.display(), position = good, bytes = bytes.len() - good,
                "cut an unfinished decision off the metadata log"
            );
        }
        let mut store =
            MetadataStore { path, disk, len: 0, snapshot: 0, reserved: 0, broken: false };
        // Written anew, because what was read may be in memory alone, after a sync that failed.
        store.replace(&bytes[..good]).map_err(|why| store.failed(why))?;
        Ok((store, records))
    }

    /// Adds what was decided together, durably: all of it or nothing. What a failed write left is cut off
    /// again; after a failed sync, which may have lost anything, nothing more is written until the next
    /// start.
    ///
    /// # Errors
    /// The disk's; the decisions must then not be acted on.
    pub fn append(&mut self, records: &[MetadataRecord]) -> Result<(), StoreError> {
        if self.broken {
            return Err(self.failed(io::Error::other("a write failed before: restart the broker")));
        }
        let frame = frame(records);
        if let Err(why) = self.disk.append(METADATA_FILE, &frame) {
            self.broken = self.disk.cut(METADATA_FILE, self.len).is_err();
            return Err(self.failed(why));
        }
        if let Err(why) = self.disk.sync(METADATA_FILE) {
            self.broken = true;
            return Err(self.failed(why));
        }
        self.len += frame.len() as u64;
        self.reserve();
        Ok(())
    }

    fn failed(&self, why: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), why }
    }

    /// Keeps space behind the file's end, so that decisions (deletions among them) can be made when
    /// the disk is full.
    fn reserve(&mut self) {
        if self.reserved >= self.len + RESERVE_BYTES / 2 {
            return;
        }
        // Without it there is only what is free then.
        if self.disk.reserve(METADATA_FILE, self.len, RESERVE_BYTES).is_ok() {
            self.reserved = self.len + RESERVE_BYTES;
        }
    }

    /// Puts a snapshot in the place of a log that has grown: of `live`, the fewest records that stand for
    /// the state. The work for it is as much as was appended, however large the state is.
    ///
    /// # Errors
    /// The disk's; the old log is then still in force, or nothing more is written until the next start.
    pub fn compact(
        &mut self,
        live: impl FnOnce() -> Vec<MetadataRecord>,
    ) -> Result<(), StoreError> {
        if self.broken || self.len - self.snapshot < self.snapshot.max(COMPACT_ABOVE_BYTES) {
            return Ok(());
        }
        let content = [&MAGIC[..], &frame(&live())].concat();
        self.replace(&content).map_err(|why| self.failed(why))
    }

    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        self.disk.create(ASIDE, content)?;
        self.disk.sync(ASIDE)?;
        // From here on nobody knows which of the two a crash leaves, until the name is durable.
        self.broken = true;
        self.disk.rename(ASIDE, METADATA_FILE)?;
        self.disk.sync_names()?;
        self.broken = false;
        (self.len, self.snapshot, self.reserved) = (content.len() as u64, content.len() as u64, 0);
        self.reserve();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::SimDisk;
    use super::*;

    fn next(next: i64) -> MetadataRecord {
        MetadataRecord::ProducerIds { next }
    }

    fn open(disk: SimDisk) -> Result<(MetadataStore<SimDisk>, Vec<MetadataRecord>), StoreError> {
        MetadataStore::open_on(disk, PathBuf::from(METADATA_FILE))
    }

    fn records(disk: &SimDisk) -> Vec<MetadataRecord> {
        open(disk.clone()).expect("opens").1
    }

    fn written() -> (SimDisk, Vec<u8>) {
        let (mut store, _) = open(SimDisk::default()).expect("opens");
        store.append(&[next(1), next(2)]).expect("appends");
        store.append(&[next(3)]).expect("appends");
        let mut disk = store.disk;
        let bytes = disk.read(METADATA_FILE).expect("reads").expect("is there");
        (disk, bytes)
    }

    #[test]
    fn a_torn_last_decision_is_cut_and_the_rest_stays() {
        let (_, bytes) = written();
        let (_, two) = parse(&bytes[..bytes.len() - 1]).expect("two of three");
        for cut in two..bytes.len() {
            let mut disk = SimDisk::default();
            disk.create(METADATA_FILE, &bytes[..cut]).expect("writes");
            let (mut store, records_there) = open(disk).expect("opens");
            assert_eq!(records_there, [next(1), next(2)], "cut at {cut}");
            store.append(&[next(4)]).expect("appends");
            assert_eq!(records(&store.disk), [next(1), next(2), next(4)]);
        }
    }

    #[test]
    fn after_a_write_that_failed_and_could_not_be_undone_nothing_is_written() {
        let (disk, bytes) = written();
        let (mut store, _) = open(disk).expect("opens");
        store.disk.fails = true;
        assert!(store.append(&[next(4)]).is_err());
        store.disk.fails = false;
        let error = store.append(&[next(4)]).expect_err("is broken").to_string();
        assert!(error.contains("restart"), "{error}");
        assert_eq!(store.disk.read(METADATA_FILE).expect("reads").as_ref(), Some(&bytes));
    }

    #[test]
    fn damage_before_the_end_is_named_and_nothing_is_changed() {
        let (mut disk, mut bytes) = written();
        bytes[20] ^= 1;
        disk.create(METADATA_FILE, &bytes).expect("writes");
        let error = open(disk.clone()).expect_err("damaged").to_string();
        assert!(error.contains("damaged at byte 8"), "{error}");
        assert_eq!(disk.read(METADATA_FILE).expect("reads"), Some(bytes));
    }

    #[test]
    fn the_log_stays_within_a_bound_of_what_it_stands_for() {
        let (mut store, _) = open(SimDisk::default()).expect("opens");
        let state: Vec<_> = (0..1_000).map(next).collect();
        let mut snapshots = 0;
        for n in 0..4_000 {
            store.append(&vec![next(n); 20]).expect("appends");
            let before = store.len;
            store.compact(|| state.clone()).expect("compacts");
            snapshots += usize::from(store.len < before);
            assert!(store.len <= store.snapshot + COMPACT_ABOVE_BYTES.max(store.snapshot) + 4_096);
        }
        assert!((3..20).contains(&snapshots), "{snapshots}");
        assert_eq!(records(&store.disk)[..1_000], state[..]);
    }

    /// Decisions and snapshots until `cut` operations of the disk were done: how many were answered, and
    /// the disk.
    fn history(disk: SimDisk, cut: usize) -> (i64, SimDisk) {
        disk.stop_after(cut);
        let keep = disk.clone();
        let Ok((mut store, there)) = open(disk) else { return (0, keep) };
        let first = there.len() as i64;
        let mut answered = first;
        for n in first..first + 12 {
            // Large ones take several sectors.
            let mut decided = vec![next(n + 1)];
            let ballast = MetadataRecord::TopicDeleted { id: 7 };
            decided.extend(vec![ballast; [0, 40, 7][n as usize % 3]]);
            if store.append(&decided).is_err() {
                break;
            }
            answered = n + 1;
            if n % 4 == 3 {
                // As if it had grown.
                let len = store.len;
                store.snapshot = 0;
                store.len = len.max(COMPACT_ABOVE_BYTES);
                let _ = store.compact(|| (1..=answered).map(next).collect());
                if store.len == COMPACT_ABOVE_BYTES {
                    store.len = len;
                }
            }
        }
        (answered, store.disk)
    }

    #[test]
    fn a_power_cut_at_any_point_takes_back_nothing_that_was_answered() {
        let mut cuts = 0;
        for cut in 1.. {
            let (_, disk) = history(SimDisk::default(), cut);
            let finished = !disk.has_stopped();
            for seed in 0..24 {
                let (answered, disk) = history(SimDisk::default(), cut);
                let left = disk.after_power_cut(seed);
                let found = open(left).unwrap_or_else(|error| panic!("{cut} {seed}: {error}"));
                let decided: Vec<i64> = found
                    .1
                    .iter()
                    .filter_map(|record| match record {
                        MetadataRecord::ProducerIds { next } => Some(*next),
                        _ => None,
                    })
                    .collect();
                let whole: Vec<i64> = (1..=decided.len() as i64).collect();
                assert_eq!(decided, whole, "cut {cut} seed {seed}: all before the last");
                let len = decided.len() as i64;
                assert!((answered..=answered + 1).contains(&len), "{cut} {seed}: {len} {answered}");
                cuts += 1;
            }
            if finished {
                break;
            }
        }
        assert!(cuts > 1_000, "{cuts}");
    }
}
