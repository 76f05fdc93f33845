//! What a crash left in the journal and not in the segments is written to them, before a log opens.

use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::batch::{check_whole, BatchHeader};
use super::config::LogConfig;
use super::error::LogError;
use super::index;
use super::journal::ReplayedBatches;
use super::producers::Producers;
use super::segment::{file_path, Segment};
use super::snapshots;
use crate::disk::{self, align_down, align_up, Access, DiskError, File, WriteBuffer};

/// Bytes written at once.
const WRITE_BYTES: usize = 4 << 20;

/// A log as the scan of its segments left it.
pub(super) struct Replaying<'a> {
    pub dir: &'a Path,
    pub config: &'a LogConfig,
    pub segments: &'a mut Vec<Segment>,
    pub log_end: i64,
    pub producers: &'a mut Producers,
}

impl Replaying<'_> {
    /// Appends what goes on where the log ends; returns how many bytes that were.
    ///
    /// # Errors
    /// The disk fails, or the journal goes on behind the log's end: what lies between is lost, and
    /// nothing is changed.
    pub async fn run(&mut self, replayed: &[ReplayedBatches]) -> Result<u64, LogError> {
        let mut total = 0;
        for ReplayedBatches { segment, bytes } in replayed {
            let new = self.new_batches(bytes)?;
            if new.is_empty() {
                continue;
            }
            total += new.len() as u64;
            self.append(*segment, &new).await?;
        }
        if total > 0 {
            self.finish_last().await?;
        }
        Ok(total)
    }

    /// The batches that the log does not have yet.
    fn new_batches(&self, bytes: &Bytes) -> Result<Bytes, LogError> {
        let mut at = 0;
        while let Some(header) = BatchHeader::peek(&bytes[at..]) {
            let size = header.claimed_size() as usize;
            let whole = bytes.get(at..at + size).unwrap_or_default();
            check_whole(whole)?;
            let base = header.base_offset.get();
            if base > self.log_end {
                return Err(LogError::Corrupt {
                    path: self.dir.display().to_string(),
                    position: 0,
                    offset: self.log_end,
                    reason: format!("the journal goes on at offset {base} and the log ends before"),
                });
            }
            if base == self.log_end {
                return Ok(bytes.slice(at..));
            }
            at += size;
        }
        Ok(Bytes::new())
    }

    async fn append(&mut self, segment: i64, bytes: &Bytes) -> Result<(), LogError> {
        let last = self.segments.last().map_or(i64::MIN, |s| s.base_offset);
        if segment > last && segment == self.log_end {
            if !self.segments.is_empty() {
                self.finish_last().await?;
            }
            // Those before may be deleted, and with them what is known of producers.
            snapshots::write(self.dir, segment, self.producers.encode()).await?;
            disk::write_small(&file_path(self.dir, segment, "log"), Vec::new()).await?;
            disk::sync_dir(self.dir).await?;
            self.segments.push(Segment::new(segment));
        }
        let interval = self.config.index_interval_bytes;
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        let base = segment.base_offset;
        let index = Rc::make_mut(segment.index.get_or_insert_with(Rc::default));
        let mut position = segment.size;
        let mut rest = &bytes[..];
        while let Some(header) = BatchHeader::peek(rest) {
            index.note(base, &header, position, interval);
            let aborted = self.producers.note(&header, rest);
            Rc::make_mut(&mut segment.aborted).extend(aborted);
            self.log_end = header.last_offset() + 1;
            position += header.claimed_size() as u64;
            rest = &rest[header.claimed_size() as usize..];
        }
        let path = file_path(self.dir, base, "log");
        write_behind(&path, segment.size, bytes).await?;
        (segment.size, segment.written) = (position, position);
        Ok(())
    }

    /// Makes the last segment whole: durable, of its true size, its indexes beside it.
    async fn finish_last(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        let base = segment.base_offset;
        let file = File::open(&file_path(self.dir, base, "log"), Access::Write).await?;
        file.truncate(segment.size).await?;
        file.sync_data().await?;
        (segment.synced, segment.allocated) = (segment.size, segment.size);
        let index = segment.index.as_deref().cloned().unwrap_or_default();
        Ok(index::write(self.dir, base, &index, &segment.aborted).await?)
    }
}

/// Writes `bytes` at `position` of a file, in whole blocks.
async fn write_behind(path: &Path, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
    let file = File::open(path, Access::Write).await?;
    let start = align_down(position);
    let mut content = file.read_at(start, (position - start) as usize).await?.to_vec();
    content.extend_from_slice(bytes);
    for (number, chunk) in content.chunks(WRITE_BYTES).enumerate() {
        let mut buffer = WriteBuffer::new(align_up(chunk.len() as u64) as usize);
        buffer.bytes_mut()[..chunk.len()].copy_from_slice(chunk);
        buffer.bytes_mut()[chunk.len()..].fill(0);
        file.write_at(buffer, start + (number * WRITE_BYTES) as u64).await?;
    }
    Ok(())
}
