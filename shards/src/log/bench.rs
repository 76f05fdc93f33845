//! Ways for `benches/` into rooms that nobody else has to enter. Hidden from the documentation and
//! no part of the interface: whoever changes those rooms changes this as well.

use std::ops::Range;

use bytes::Bytes;

use super::batch::BatchHeader;
pub use super::blocks::{BlockCache, BLOCK_LEN};
use super::checked::{keep_whole, Origin};
pub use super::index::SegmentIndex;
pub use super::planning::{WritePlan, WriterStep};
use super::reader::Records;
pub use super::segment::Segment;
use crate::disk::FileId;

/// The one file that batches are served from here.
const FILE: FileId = (0, 0);
const LOG: u64 = 0;

/// Puts a segment's bytes into the cache of blocks, as reading them from disk does.
pub fn keep_blocks(blocks: &BlockCache, segment: &Bytes) {
    for (number, start) in (0..segment.len()).step_by(BLOCK_LEN as usize).enumerate() {
        let end = segment.len().min(start + BLOCK_LEN as usize);
        blocks.insert((LOG, FILE, number as u64), segment.slice(start..end));
    }
}

/// What a fetch does once the blocks are there: the whole batches of `range`, cut out of the blocks,
/// checked unless they have been, up to offset `end`.
///
/// # Panics
/// A block is not there, or a batch is damaged: the caller has made them.
pub fn serve_blocks(blocks: &BlockCache, range: Range<u64>, end: i64) -> Records {
    let mut pieces = Vec::with_capacity(2);
    let mut at = range.start;
    while at < range.end {
        let number = at / BLOCK_LEN;
        let block = blocks.get(&(LOG, FILE, number)).expect("is in memory");
        let from = (at - number * BLOCK_LEN) as usize;
        let to = ((range.end - number * BLOCK_LEN).min(BLOCK_LEN) as usize).min(block.len());
        pieces.push(block.slice(from..to));
        at += (to - from) as u64;
    }
    let origin = Origin { blocks, log: LOG, file: FILE };
    keep_whole(&origin, &mut pieces, range.start, end).expect("is whole");
    pieces
}

/// The index of a segment of so many batches like this one, one after the other.
///
/// # Panics
/// On fewer bytes than a header has.
pub fn index_of(batch: &[u8], batches: u64, interval_bytes: u64) -> SegmentIndex {
    let mut header = BatchHeader::peek(batch).expect("a header");
    let records = i64::from(header.last_offset_delta.get()) + 1;
    let mut index = SegmentIndex::default();
    for number in 0..batches {
        header.base_offset.set(number as i64 * records);
        index.note(0, &header, number * batch.len() as u64, interval_bytes);
    }
    index
}
