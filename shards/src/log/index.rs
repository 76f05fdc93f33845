//! The sparse indexes of a segment, in memory and in Kafka's file formats.
//!
//! `.index`: entries of (u32 offset relative to the base, u32 position); `.timeindex`: entries of
//! (i64 timestamp, u32 relative offset). Both big-endian, sorted, without header.

use std::path::Path;

use super::aborted::{self, Aborted};
use super::batch::BatchHeader;
use super::segment::file_path;
use crate::disk::{self, DiskError};

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// One segment's indexes. Offsets are relative to the segment's base offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    offsets: Vec<(u32, u32)>,
    times: Vec<(i64, u32)>,
    /// Bytes appended since the last entry.
    bytes_since_entry: u64,
    /// The largest timestamp so far and the relative offset of its batch's last record.
    max_timestamp: Option<(i64, u32)>,
    /// The first batch's timestamp, where it was seen.
    first_timestamp: Option<i64>,
}

impl SegmentIndex {
    /// Notes a batch that was appended at `position`. An entry is made when more than
    /// `interval_bytes` lie between it and the last one, as Kafka does.
    pub fn note(&mut self, base: i64, header: &BatchHeader, position: u64, interval_bytes: u64) {
        let relative = (header.last_offset() - base) as u32;
        let timestamp = header.max_timestamp.get();
        self.first_timestamp.get_or_insert(timestamp);
        if self.max_timestamp.is_none_or(|(max, _)| timestamp > max) {
            self.max_timestamp = Some((timestamp, relative));
        }
        if self.bytes_since_entry > interval_bytes {
            self.offsets.push((relative, position as u32));
            self.push_time_entry();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.claimed_size().max(0) as u64;
    }

    fn push_time_entry(&mut self) {
        if let Some(entry) = self.max_timestamp {
            if self.times.last().is_none_or(|last| entry.0 > last.0) {
                self.times.push(entry);
            }
        }
    }

    /// The position of an entry at or before `relative_offset`: where to start looking.
    pub fn position_before(&self, relative_offset: u32) -> u64 {
        let after = self.offsets.partition_point(|(offset, _)| *offset <= relative_offset);
        after.checked_sub(1).map_or(0, |i| u64::from(self.offsets[i].1))
    }

    /// A position such that no earlier batch has a timestamp at or above `timestamp_ms`.
    pub fn position_before_time(&self, timestamp_ms: i64) -> u64 {
        let after = self.times.partition_point(|(timestamp, _)| *timestamp < timestamp_ms);
        // The entry says: up to and including its batch nothing is later than its timestamp.
        after.checked_sub(1).map_or(0, |i| self.position_before(self.times[i].1))
    }

    /// The segment's largest timestamp with the relative offset that was noted for it.
    pub fn max_timestamp(&self) -> Option<(i64, u32)> {
        self.max_timestamp
    }

    /// Entries of the offset index: offsets relative to the base, and positions.
    pub fn positions(&self) -> &[(u32, u32)] {
        &self.offsets
    }

    /// Bytes of the larger of both files.
    pub fn file_bytes(&self) -> u64 {
        let offsets = self.offsets.len() * OFFSET_ENTRY_BYTES;
        offsets.max((self.times.len() + 1) * TIME_ENTRY_BYTES) as u64
    }

    /// The first batch's timestamp, or that of an early one.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.first_timestamp.or(self.times.first().map(|(timestamp, _)| *timestamp))
    }

    /// Both files' bytes; the time index gets a last entry for the largest timestamp, which is
    /// how Kafka finds it again.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut offsets = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY_BYTES);
        for (relative, position) in &self.offsets {
            offsets.extend_from_slice(&relative.to_be_bytes());
            offsets.extend_from_slice(&position.to_be_bytes());
        }
        let mut closed = self.clone();
        closed.push_time_entry();
        let mut times = Vec::with_capacity(closed.times.len() * TIME_ENTRY_BYTES);
        for (timestamp, relative) in &closed.times {
            times.extend_from_slice(&timestamp.to_be_bytes());
            times.extend_from_slice(&relative.to_be_bytes());
        }
        (offsets, times)
    }

    /// Reads both files; `None` where they cannot belong to a segment of `segment_bytes`: cut in
    /// an entry, not ascending, or pointing beyond its end. The caller then builds them anew.
    pub fn decode(offsets: &[u8], times: &[u8], segment_bytes: u64) -> Option<SegmentIndex> {
        if !offsets.len().is_multiple_of(OFFSET_ENTRY_BYTES)
            || !times.len().is_multiple_of(TIME_ENTRY_BYTES)
        {
            return None;
        }
        if times.is_empty() && segment_bytes > 0 {
            return None;
        }
        let mut index = SegmentIndex::default();
        for entry in offsets.chunks_exact(OFFSET_ENTRY_BYTES) {
            let (relative, position) = entry.split_at(4);
            let relative = u32::from_be_bytes(relative.try_into().ok()?);
            let position = u32::from_be_bytes(position.try_into().ok()?);
            let ascending = index.offsets.last().is_none_or(|l| relative > l.0 && position > l.1);
            if !ascending || u64::from(position) >= segment_bytes {
                return None;
            }
            index.offsets.push((relative, position));
        }
        for entry in times.chunks_exact(TIME_ENTRY_BYTES) {
            let (timestamp, relative) = entry.split_at(8);
            let timestamp = i64::from_be_bytes(timestamp.try_into().ok()?);
            let relative = u32::from_be_bytes(relative.try_into().ok()?);
            if index.times.last().is_some_and(|l| timestamp <= l.0 || relative < l.1) {
                return None;
            }
            index.times.push((timestamp, relative));
        }
        index.max_timestamp = index.times.last().copied();
        Some(index)
    }
}

/// Writes the index files of a segment that is not in use. A `.txnindex` is there only where one is
/// needed; it cannot be built anew, so it is never half there.
pub(super) async fn write(
    dir: &Path,
    base: i64,
    index: &SegmentIndex,
    aborted: &[Aborted],
) -> Result<(), DiskError> {
    let (offsets, times) = index.encode();
    disk::write_small(&file_path(dir, base, "index"), offsets).await?;
    disk::write_small(&file_path(dir, base, "timeindex"), times).await?;
    let transactions = file_path(dir, base, "txnindex");
    match aborted.is_empty() {
        true => disk::remove_file(&transactions).await,
        false => disk::replace_file(&transactions, aborted::encode(aborted)).await,
    }
}

/// Puts the index files of a segment in the place of those that may be there, each in one step.
pub(super) async fn replace(
    dir: &Path,
    base: i64,
    index: &SegmentIndex,
    aborted: &[Aborted],
) -> Result<(), DiskError> {
    let (offsets, times) = index.encode();
    disk::replace_file(&file_path(dir, base, "index"), offsets).await?;
    disk::replace_file(&file_path(dir, base, "timeindex"), times).await?;
    if aborted.is_empty() {
        return Ok(());
    }
    disk::replace_file(&file_path(dir, base, "txnindex"), aborted::encode(aborted)).await
}

#[cfg(test)]
mod tests {
    use super::super::batch::{assign, build};
    use super::*;

    fn filled(batches: i64) -> (SegmentIndex, u64) {
        let mut index = SegmentIndex::default();
        let mut position = 0;
        for offset in 0..batches {
            let mut bytes = build::batch(&[&[7; 100]], 1_000 + offset, None);
            assign(&mut bytes, 50 + offset, 0);
            let header = BatchHeader::peek(&bytes).expect("a header");
            index.note(50, &header, position, 400);
            position += bytes.len() as u64;
        }
        (index, position)
    }

    #[test]
    fn a_lookup_never_starts_behind_its_target() {
        let (index, size) = filled(100);
        let batch_bytes = size / 100;
        for relative in 0..100u32 {
            let start = index.position_before(relative);
            assert!(start <= u64::from(relative) * batch_bytes);
            assert!(start + 6 * batch_bytes > u64::from(relative) * batch_bytes, "and not far");
            let by_time = index.position_before_time(1_000 + i64::from(relative));
            assert!(by_time <= u64::from(relative) * batch_bytes);
        }
    }

    #[test]
    fn files_round_trip_and_wrong_ones_are_refused() {
        let (index, size) = filled(100);
        let (offsets, times) = index.encode();
        let read = SegmentIndex::decode(&offsets, &times, size).expect("as written");
        assert_eq!(read.max_timestamp(), Some((1_099, 99)));
        assert_eq!(read.position_before(60), index.position_before(60));
        assert!(SegmentIndex::decode(&offsets[1..], &times, size).is_none(), "cut");
        assert!(SegmentIndex::decode(&offsets, &times, 500).is_none(), "beyond the segment");
        assert!(SegmentIndex::decode(&offsets, &[], size).is_none(), "missing");
        let swapped: Vec<u8> = offsets.chunks(8).rev().flatten().copied().collect();
        assert!(SegmentIndex::decode(&swapped, &times, size).is_none(), "not ascending");
    }
}
