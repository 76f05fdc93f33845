/// What bounds transactions, from the broker's configuration; times in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Longest timeout that a producer may ask for.
    pub max_timeout_ms: i32,
    /// Time after which an id that is not used is forgotten.
    pub expire_after_ms: i64,
    /// Partitions of the topic, when it is made, and the size of their segments.
    pub partitions: i32,
    pub segment_bytes: i32,
    /// Time between two looks for transactions that take too long.
    pub abort_interval_ms: u64,
    /// Time between two looks for ids that are not used.
    pub expire_interval_ms: u64,
    /// Whether a partition that is written to is looked for in its transaction first.
    pub verify_partitions: bool,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        TransactionLimits {
            max_timeout_ms: 900_000,
            expire_after_ms: 604_800_000,
            partitions: 50,
            segment_bytes: 100 << 20,
            abort_interval_ms: 10_000,
            expire_interval_ms: 3_600_000,
            verify_partitions: true,
        }
    }
}
