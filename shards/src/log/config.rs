/// What a topic's configuration says about its log. Plain values: the Kafka names and their
/// checks live above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A batch that would make the segment larger starts a new one. At most `i32::MAX`.
    pub segment_bytes: u64,
    /// A segment whose first batch is older than this starts a new one.
    pub segment_ms: i64,
    /// Bytes between two entries of the sparse index.
    pub index_interval_bytes: u64,
    /// Producers silent for longer than this are forgotten.
    pub producer_expiration_ms: i64,
    /// Whether old segments are deleted (`cleanup.policy` has `delete`).
    pub delete: bool,
    /// Segments whose newest record is older are deleted; negative: none is for its age.
    pub retention_ms: i64,
    /// The oldest segments are deleted as long as the others hold this many bytes; negative: none
    /// is for its size.
    pub retention_bytes: i64,
    /// How long the file of a deleted segment stays, for those who are reading it.
    pub delete_delay_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            producer_expiration_ms: 24 * 60 * 60 * 1000,
            delete: true,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            delete_delay_ms: 60_000,
        }
    }
}

/// When an appended batch counts as safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When its direct write has completed: survives the process and, but for the device's
    /// volatile cache, the machine.
    Written,
    /// When it is durable: survives power loss.
    Durable,
}
