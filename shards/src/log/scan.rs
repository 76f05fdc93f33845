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

/// Walks `file` from `start` (a position and the least offset of the batch there) up to `size` and
/// hands each whole batch's header, its position and itself to `visit`. Offsets must ascend.
///
/// # Errors
/// Only when reading fails; damage is an outcome.
pub async fn scan(
    file: &File,
    start: (u64, i64),
    size: u64,
    mut visit: impl FnMut(&BatchHeader, u64, &[u8]),
) -> Result<Scanned, DiskError> {
    let (end_position, end_offset) = start;
    let mut window = Window { file, size, read_to: end_position, bytes: BytesMut::new() };
    let mut done = Scanned { end_position, end_offset, damage: None };
    window.fill(BATCH_HEADER_BYTES).await?;
    loop {
        match examine(&window.bytes, done.end_offset) {
            Examined::Short { want } if window.can_give(want) => window.fill(want).await?,
            Examined::Short { want } => {
                done.damage = Some(format!("a batch of {want} bytes is cut off"));
                return Ok(done);
            }
            Examined::End => return Ok(done),
            Examined::Damage(reason) => {
                done.damage = Some(reason);
                return Ok(done);
            }
            Examined::Batch(header) => {
                let len = header.claimed_size() as usize;
                visit(&header, done.end_position, &window.bytes[..len]);
                done.end_position += len as u64;
                done.end_offset = header.last_offset() + 1;
                window.bytes.advance(len);
                window.fill(BATCH_HEADER_BYTES).await?;
            }
        }
    }
}

/// What a segment goes on with.
#[derive(Debug)]
pub enum Examined {
    /// A whole batch with the right checksum.
    Batch(BatchHeader),
    /// Nothing more, or unused space.
    End,
    /// So many bytes are needed to tell.
    Short {
        want: usize,
    },
    Damage(String),
}

/// Looks at the batch that `bytes` begin with; offsets must not be below `next_offset`. Fewer bytes
/// than a header are all there are.
pub fn examine(bytes: &[u8], next_offset: i64) -> Examined {
    let Some(header) = BatchHeader::peek(bytes) else {
        return match bytes.iter().all(|byte| *byte == 0) {
            true => Examined::End,
            false => Examined::Damage(format!("{} bytes are no batch", bytes.len())),
        };
    };
    let len = header.claimed_size();
    if !(BATCH_HEADER_BYTES as i64..=MAX_BATCH_BYTES).contains(&len) {
        return match bytes[..BATCH_HEADER_BYTES].iter().all(|byte| *byte == 0) {
            true => Examined::End,
            false => Examined::Damage(format!("a batch of {len} bytes is not possible")),
        };
    }
    let Some(batch) = bytes.get(..len as usize) else {
        return Examined::Short { want: len as usize };
    };
    if let Err(error) = batch::check_whole(batch) {
        return Examined::Damage(error.to_string());
    }
    let base = header.base_offset.get();
    if base < next_offset || header.last_offset_delta.get() < 0 {
        return Examined::Damage(format!("offset {base} follows offset {}", next_offset - 1));
    }
    Examined::Batch(header)
}

/// The part of the file that is being looked at.
struct Window<'a> {
    file: &'a File,
    size: u64,
    read_to: u64,
    bytes: BytesMut,
}

impl Window<'_> {
    fn can_give(&self, want: usize) -> bool {
        (self.bytes.len() as u64 + (self.size - self.read_to)) >= want as u64
    }

    /// Makes at least `want` bytes available, or all there are.
    async fn fill(&mut self, want: usize) -> Result<(), DiskError> {
        while self.bytes.len() < want && self.read_to < self.size {
            let room = (self.size - self.read_to).min(READ_BYTES as u64) as usize;
            let read = self.file.read_behind(self.read_to, room, &mut self.bytes).await?;
            if read == 0 {
                self.size = self.read_to; // the file is shorter than it was said to be
                return Ok(());
            }
            self.read_to += read as u64;
        }
        Ok(())
    }
}
