use std::cell::Cell;

use corelane_shards::runtime::ShardId;

/// The memory behind one or several frames: all of it stays as long as any batch cut from it is
/// kept, on whichever shard.
#[derive(Default)]
pub struct BufferMemory {
    bytes: usize,
    /// Shards that count it, by their number modulo 64.
    charged: Cell<u64>,
}

impl BufferMemory {
    pub fn new(bytes: usize) -> Self {
        BufferMemory { bytes, charged: Cell::new(0) }
    }

    /// What `shard` is to count for keeping a batch: all of it the first time, then nothing. Each
    /// shard counts it, for each may be the last that lets it go.
    pub fn charge(&self, shard: ShardId) -> usize {
        let bit = 1 << (shard.index() % 64);
        let first = self.charged.get() & bit == 0;
        self.charged.set(self.charged.get() | bit);
        if first {
            self.bytes
        } else {
            0
        }
    }

    /// Whether it stays in memory anyway, or is none.
    pub fn is_kept(&self) -> bool {
        self.charged.get() != 0 || self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_counts_all_of_it_once() {
        let memory = BufferMemory::new(1_000);
        assert!(!memory.is_kept());
        let charge = |shard| memory.charge(ShardId::new(shard));
        assert_eq!(
            (charge(0), charge(0), charge(1), charge(0), charge(1)),
            (1_000, 0, 1_000, 0, 0)
        );
        assert!(memory.is_kept());
        assert!(BufferMemory::default().is_kept());
    }
}
