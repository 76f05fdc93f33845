use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// Unit in which segments are read and kept.
pub const BLOCK_LEN: u64 = 256 << 10;

/// Which block: the log's number on this shard, the segment's base offset, the block's number.
pub type BlockKey = (u64, i64, u64);

/// Blocks of old segments that were read from disk, shared by all who read there; the oldest go
/// first. One shard's view.
pub struct BlockCache {
    limit: usize,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    used: usize,
    blocks: FxHashMap<BlockKey, Bytes>,
    order: VecDeque<BlockKey>,
}

impl BlockCache {
    pub fn new(limit_bytes: usize) -> Self {
        BlockCache { limit: limit_bytes, inner: RefCell::default() }
    }

    pub fn get(&self, key: &BlockKey) -> Option<Bytes> {
        self.inner.borrow().blocks.get(key).cloned()
    }

    pub fn insert(&self, key: BlockKey, block: Bytes) {
        let mut inner = self.inner.borrow_mut();
        inner.used += block.len();
        match inner.blocks.insert(key, block) {
            Some(before) => inner.used -= before.len(),
            None => inner.order.push_back(key),
        }
        while inner.used > self.limit {
            let Some(oldest) = inner.order.pop_front() else { return };
            if let Some(block) = inner.blocks.remove(&oldest) {
                inner.used -= block.len();
            }
        }
    }

    /// Forgets a log's blocks, when its files are deleted or cut.
    pub fn forget(&self, log: u64) {
        let mut inner = self.inner.borrow_mut();
        let Inner { used, blocks, order } = &mut *inner;
        blocks.retain(|key, block| {
            if key.0 == log {
                *used -= block.len();
            }
            key.0 != log
        });
        order.retain(|key| key.0 != log);
    }

    pub fn used(&self) -> usize {
        self.inner.borrow().used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_blocks_make_room() {
        let cache = BlockCache::new(300);
        for number in 0..4 {
            cache.insert((1, 0, number), Bytes::from(vec![0; 100]));
        }
        assert!(cache.get(&(1, 0, 0)).is_none());
        assert!(cache.get(&(1, 0, 3)).is_some());
        assert_eq!(cache.used(), 300);
        cache.forget(1);
        assert_eq!(cache.used(), 0);
    }
}
