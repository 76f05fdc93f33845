//! Walks a segment file batch by batch, checking each: what recovery and the offline tools do.

use bytes::{Buf, BytesMut};

use super::batch::{self, BatchHeader, BATCH_HEADER_BYTES};
use crate::disk::{DiskError, File};

/// Bytes read at once while walking.
const READ_BYTES: usize = 1 << 20;
/// A batch that claims to be larger than this is damage, not data: Kafka's own limit on the
/// setting that bounds it.
const MAX_BATCH_BYTES: i64 = i32::MAX as i64;

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// End of the last whole batch.
    pub end_position: u64,
    /// Offset after the last whole batch.
    pub end_offset: i64,
    /// What follows the last whole batch, where it is not the end of the file or unused space.
    pub damage: Option<String>,
}

/// Walks `file` from its start up to `size` and hands each whole batch's header and position to
/// `visit`. Offsets must ascend from `base_offset`.
///
/// # Errors
/// Only when reading fails; damage is an outcome.
pub async fn scan(
    file: &File,
    base_offset: i64,
    size: u64,
    mut visit: impl FnMut(&BatchHeader, u64),
) -> Result<Scanned, DiskError> {
    let mut window = Window { file, size, read_to: 0, bytes: BytesMut::new() };
    let mut done = Scanned { end_position: 0, end_offset: base_offset, damage: None };
    loop {
        window.fill(BATCH_HEADER_BYTES).await?;
        let Some(header) = BatchHeader::peek(&window.bytes) else {
            done.damage = leftover(&window.bytes);
            return Ok(done);
        };
        let len = header.claimed_size();
        if !(BATCH_HEADER_BYTES as i64..=MAX_BATCH_BYTES).contains(&len) {
            let unused = window.bytes[..BATCH_HEADER_BYTES].iter().all(|byte| *byte == 0);
            done.damage = (!unused).then(|| format!("a batch of {len} bytes is not possible"));
            return Ok(done);
        }
        window.fill(len as usize).await?;
        let Some(bytes) = window.bytes.get(..len as usize) else {
            done.damage = Some(format!("a batch of {len} bytes is cut off"));
            return Ok(done);
        };
        if let Err(error) = batch::check_whole(bytes) {
            done.damage = Some(error.to_string());
            return Ok(done);
        }
        if header.base_offset.get() < done.end_offset || header.last_offset_delta.get() < 0 {
            let (found, expected) = (header.base_offset.get(), done.end_offset);
            done.damage = Some(format!("offset {found} follows offset {}", expected - 1));
            return Ok(done);
        }
        visit(&header, done.end_position);
        done.end_position += len as u64;
        done.end_offset = header.last_offset() + 1;
        window.bytes.advance(len as usize);
    }
}

fn leftover(rest: &[u8]) -> Option<String> {
    let unused = rest.iter().all(|byte| *byte == 0);
    (!unused).then(|| format!("{} bytes are fewer than a batch's header", rest.len()))
}

/// The part of the file that is being looked at.
struct Window<'a> {
    file: &'a File,
    size: u64,
    read_to: u64,
    bytes: BytesMut,
}

impl Window<'_> {
    /// Makes at least `want` bytes available, or all there are.
    async fn fill(&mut self, want: usize) -> Result<(), DiskError> {
        while self.bytes.len() < want && self.read_to < self.size {
            let room = (self.size - self.read_to).min(READ_BYTES as u64) as usize;
            let read = self.file.read_at(self.read_to, room).await?;
            if read.is_empty() {
                self.size = self.read_to; // the file is shorter than it was said to be
                return Ok(());
            }
            self.read_to += read.len() as u64;
            self.bytes.extend_from_slice(&read);
        }
        Ok(())
    }
}
