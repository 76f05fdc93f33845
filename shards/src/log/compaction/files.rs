//! A segment read batch by batch, and the new one being written.

use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::disk::{align_down, align_up, Access, File, WriteBuffer};
use crate::log::batch::{check_whole, BatchHeader, BATCH_HEADER_BYTES};
use crate::log::error::LogError;
use crate::log::index::SegmentIndex;
use crate::log::segment::file_path;
use crate::log::throttle::Throttle;

/// Bytes read or written at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// Reads a segment batch by batch.
pub struct Batches {
    file: File,
    size: u64,
    read_to: u64,
    bytes: BytesMut,
    /// Where the next batch begins.
    pub position: u64,
}

impl Batches {
    pub async fn open(dir: &Path, base: i64) -> Result<Batches, LogError> {
        let file = File::open(&file_path(dir, base, "log"), Access::Read).await?;
        let size = file.size().await?;
        Ok(Batches { file, size, read_to: 0, bytes: BytesMut::new(), position: 0 })
    }

    pub async fn next(
        &mut self,
        throttle: &mut Throttle,
    ) -> Result<Option<(BatchHeader, Bytes)>, LogError> {
        self.fill(BATCH_HEADER_BYTES, throttle).await?;
        let Some(header) = BatchHeader::peek(&self.bytes) else {
            return match self.bytes.is_empty() {
                true => Ok(None),
                false => Err(self.damaged_at(-1, "bytes that are no batch")),
            };
        };
        let offset = header.base_offset.get();
        let size = usize::try_from(header.claimed_size()).unwrap_or(usize::MAX);
        if size > (self.size - self.position) as usize {
            return Err(self.damaged_at(offset, "a batch is cut off"));
        }
        self.fill(size, throttle).await?;
        if self.bytes.len() < size {
            return Err(self.damaged_at(offset, "a batch is cut off"));
        }
        let batch = self.bytes.split_to(size).freeze();
        check_whole(&batch).map_err(|e| self.damaged(&header, &e.to_string()))?;
        self.position += size as u64;
        Ok(Some((header, batch)))
    }

    async fn fill(&mut self, want: usize, throttle: &mut Throttle) -> Result<(), LogError> {
        while self.bytes.len() < want && self.read_to < self.size {
            let room = (self.size - self.read_to).min(CHUNK_BYTES);
            let read = self.file.read_behind(self.read_to, room as usize, &mut self.bytes).await?;
            if read == 0 {
                break;
            }
            self.read_to += read as u64;
            throttle.spend(read as u64).await;
        }
        Ok(())
    }

    pub fn damaged(&self, header: &BatchHeader, reason: &str) -> LogError {
        self.damaged_at(header.base_offset.get(), reason)
    }

    fn damaged_at(&self, offset: i64, reason: &str) -> LogError {
        LogError::Corrupt {
            path: self.file.path().display().to_string(),
            position: self.position,
            offset,
            reason: reason.to_string(),
        }
    }
}

/// The new segment, under a name that recovery removes.
pub struct Output {
    file: File,
    base: i64,
    interval: u64,
    index: SegmentIndex,
    size: u64,
    /// What is not written yet; it begins at a block.
    pending: Vec<u8>,
}

impl Output {
    pub async fn create(dir: &Path, base: i64, interval: u64) -> Result<Output, LogError> {
        let path = file_path(dir, base, "log.cleaned");
        let file = File::open(&path, Access::WriteDurable).await?;
        file.truncate(0).await?;
        let (index, pending) = (SegmentIndex::default(), Vec::new());
        Ok(Output { file, base, interval, index, size: 0, pending })
    }

    pub async fn append(&mut self, batch: &Bytes, throttle: &mut Throttle) -> Result<(), LogError> {
        if let Some(header) = BatchHeader::peek(batch) {
            self.index.note(self.base, &header, self.size, self.interval);
        }
        self.size += batch.len() as u64;
        self.pending.extend_from_slice(batch);
        if self.pending.len() as u64 >= CHUNK_BYTES {
            self.write(align_down(self.pending.len() as u64) as usize, throttle).await?;
        }
        Ok(())
    }

    async fn write(&mut self, len: usize, throttle: &mut Throttle) -> Result<(), LogError> {
        let position = self.size - self.pending.len() as u64;
        let mut buffer = WriteBuffer::new(align_up(len as u64) as usize);
        buffer.bytes_mut()[..len].copy_from_slice(&self.pending[..len]);
        buffer.bytes_mut()[len..].fill(0);
        self.file.write_at(buffer, position).await?;
        self.pending.drain(..len);
        throttle.spend(len as u64).await;
        Ok(())
    }

    /// Makes it durable, of its true size.
    pub async fn finish(
        mut self,
        throttle: &mut Throttle,
    ) -> Result<(u64, SegmentIndex), LogError> {
        if !self.pending.is_empty() {
            self.write(self.pending.len(), throttle).await?;
        }
        self.file.truncate(self.size).await?;
        self.file.sync_data().await?;
        Ok((self.size, self.index))
    }
}
