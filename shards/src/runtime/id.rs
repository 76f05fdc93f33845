use std::fmt;

/// Number of a shard: 0 for the first core. Valid for one run of the process only; which
/// partitions a shard owns is computed anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u16);

impl ShardId {
    /// # Panics
    /// Above 65,535 shards: no machine has them, so it is our own mistake.
    pub fn new(index: usize) -> Self {
        ShardId(u16::try_from(index).expect("a shard's number fits 16 bits"))
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
