use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::disk::FileId;
use crate::runtime::Growth;

/// Unit in which segments are read and kept.
pub const BLOCK_LEN: u64 = 256 << 10;

/// Most blocks that are read ahead of a reader that goes on where the last block ended: a client with
/// one fetch in flight does not keep the disk busy by itself. Share of what fio reads, six pairs each,
/// interleaved, medians: 0.94 with 24, 0.72 with 8.
const MOST_READ_AHEAD: u64 = 24;

/// Which block: the log's number on this shard, the segment's file, the block's number.
pub type BlockKey = (u64, FileId, u64);

/// Blocks of old segments that were read from disk, shared by all who read there; the oldest go
/// first. One shard's view.
pub struct BlockCache {
    limit: usize,
    inner: RefCell<Inner>,
    growth: OnceCell<Growth>,
}

#[derive(Default)]
struct Inner {
    used: usize,
    blocks: FxHashMap<BlockKey, Block>,
    order: VecDeque<BlockKey>,
    /// How many blocks there are of each file.
    files: FxHashMap<(u64, FileId), usize>,
}

impl Inner {
    fn remove(&mut self, key: &BlockKey) {
        let Some(block) = self.blocks.remove(key) else { return };
        self.used -= block.bytes.len();
        let file = (key.0, key.1);
        if let Some(count) = self.files.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                self.files.remove(&file);
            }
        }
    }
}

struct Block {
    bytes: Bytes,
    /// What of it belongs to batches whose checksums were found right since it was read.
    checked: Range<u64>,
}

impl BlockCache {
    pub fn new(limit_bytes: usize) -> Self {
        BlockCache { limit: limit_bytes, inner: RefCell::default(), growth: OnceCell::new() }
    }

    /// Has memory made ready before the cache grows into it.
    pub(super) fn grow_with(&self, growth: Growth) {
        self.growth.get_or_init(|| growth);
    }

    pub fn get(&self, key: &BlockKey) -> Option<Bytes> {
        self.inner.borrow().blocks.get(key).map(|block| block.bytes.clone())
    }

    pub fn insert(&self, key: BlockKey, bytes: Bytes) {
        let mut inner = self.inner.borrow_mut();
        inner.used += bytes.len();
        let at = bytes.as_ptr() as usize;
        match inner.blocks.insert(key, Block { bytes, checked: 0..0 }) {
            Some(before) => inner.used -= before.bytes.len(),
            None => {
                inner.order.push_back(key);
                *inner.files.entry((key.0, key.1)).or_default() += 1;
            }
        }
        if let Some(growth) = self.growth.get() {
            growth.holds(inner.used, at);
        }
        while inner.used > self.limit {
            let Some(oldest) = inner.order.pop_front() else { return };
            inner.remove(&oldest);
        }
    }

    /// Blocks that a reader may be ahead of itself: as many as leave room for all who read, so that
    /// none is gone again before it is wanted.
    pub fn read_ahead(&self) -> u64 {
        let files = self.inner.borrow().files.len().max(1) as u64;
        (self.limit as u64 / BLOCK_LEN / (2 * files)).clamp(1, MOST_READ_AHEAD)
    }

    /// Whether all of `range` (positions in a segment's file) was found right since it was read.
    pub fn is_checked(&self, log: u64, segment: FileId, range: &Range<u64>) -> bool {
        let inner = self.inner.borrow();
        parts(range).all(|(number, part)| {
            let block = inner.blocks.get(&(log, segment, number));
            block.is_some_and(|b| b.checked.start <= part.start && part.end <= b.checked.end)
        })
    }

    /// Notes that the batch in `range` was found right. What is known of a block is one run of
    /// batches: the longer one, where two do not touch.
    pub fn note_checked(&self, log: u64, segment: FileId, range: &Range<u64>) {
        let mut inner = self.inner.borrow_mut();
        for (number, part) in parts(range) {
            let Some(block) = inner.blocks.get_mut(&(log, segment, number)) else { continue };
            let known = &mut block.checked;
            if part.start <= known.end && known.start <= part.end {
                *known = known.start.min(part.start)..known.end.max(part.end);
            } else if part.end - part.start > known.end - known.start {
                *known = part;
            }
        }
    }

    /// Forgets a log's blocks, when its files are deleted or cut.
    pub fn forget(&self, log: u64) {
        let mut inner = self.inner.borrow_mut();
        let of_log: Vec<BlockKey> =
            inner.blocks.keys().filter(|key| key.0 == log).copied().collect();
        of_log.iter().for_each(|key| inner.remove(key));
        inner.order.retain(|key| key.0 != log);
    }

    pub fn used(&self) -> usize {
        self.inner.borrow().used
    }
}

/// The blocks that `range` lies in, each with its part of it.
fn parts(range: &Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + '_ {
    let numbers = range.start / BLOCK_LEN..range.end.div_ceil(BLOCK_LEN);
    numbers.map(move |number| {
        let (start, end) = (number * BLOCK_LEN, (number + 1) * BLOCK_LEN);
        (number, range.start.max(start)..range.end.min(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = (0, 0);

    #[test]
    fn what_was_checked_is_known_until_the_block_goes() {
        let cache = BlockCache::new(3 * BLOCK_LEN as usize);
        for number in 0..3 {
            cache.insert((1, FILE, number), Bytes::from(vec![0; BLOCK_LEN as usize]));
        }
        let range = BLOCK_LEN - 100..2 * BLOCK_LEN + 100;
        assert!(!cache.is_checked(1, FILE, &range));
        cache.note_checked(1, FILE, &range);
        assert!(cache.is_checked(1, FILE, &range));
        let next = 2 * BLOCK_LEN + 100..2 * BLOCK_LEN + 200;
        assert!(!cache.is_checked(1, FILE, &next));
        cache.note_checked(1, FILE, &next);
        assert!(cache.is_checked(1, FILE, &(2 * BLOCK_LEN..2 * BLOCK_LEN + 200)), "they touch");
        cache.insert((1, FILE, 3), Bytes::from(vec![0; BLOCK_LEN as usize]));
        assert!(!cache.is_checked(1, FILE, &range), "the first block is gone");
    }

    #[test]
    fn the_oldest_blocks_make_room() {
        let cache = BlockCache::new(300);
        for number in 0..4 {
            cache.insert((1, FILE, number), Bytes::from(vec![0; 100]));
        }
        assert!(cache.get(&(1, FILE, 0)).is_none());
        assert!(cache.get(&(1, FILE, 3)).is_some());
        assert_eq!(cache.used(), 300);
        cache.forget(1);
        assert_eq!(cache.used(), 0);
    }

    #[test]
    fn many_readers_read_less_far_ahead() {
        let cache = BlockCache::new(64 * BLOCK_LEN as usize);
        assert_eq!(cache.read_ahead(), MOST_READ_AHEAD);
        for log in 0..16 {
            cache.insert((log, FILE, 0), Bytes::from(vec![0; 100]));
        }
        assert_eq!(cache.read_ahead(), 2);
        (0..15).for_each(|log| cache.forget(log));
        assert_eq!(cache.read_ahead(), MOST_READ_AHEAD);
    }
}
