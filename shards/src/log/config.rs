/// What a topic's configuration says about its log. Plain values: the Kafka names and their
/// checks live above.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A batch that would make the segment larger starts a new one. At most `i32::MAX`.
    pub segment_bytes: u64,
    /// A segment whose first batch is older than this starts a new one.
    pub segment_ms: i64,
    /// Segments are closed up to so much earlier than after `segment_ms`, each by chance.
    pub segment_jitter_ms: i64,
    /// A segment is closed when one of its index files would be larger.
    pub segment_index_bytes: u64,
    /// Whether a segment's space is reserved at once, not as it is needed.
    pub preallocate: bool,
    /// After so many records the next ones wait until all is durable, whatever was asked for.
    pub flush_messages: i64,
    /// What was appended is made durable after this time at the latest.
    pub flush_ms: i64,
    /// Batches are answered from memory and written behind, as Kafka does: a crash of the process
    /// may take them back.
    pub write_caching: bool,
    /// Bytes between two entries of the sparse index.
    pub index_interval_bytes: u64,
    /// Producers silent for longer than this are forgotten.
    pub producer_expiration_ms: i64,
    /// Whether old segments are deleted (`cleanup.policy` has `delete`).
    pub delete: bool,
    /// Whether of each key only the last record is kept (`cleanup.policy` has `compact`).
    pub compact: bool,
    /// Share of bytes never compacted that makes a compaction due.
    pub min_cleanable_dirty_ratio: f64,
    /// Segments with a record younger than this are not compacted; 0: all are.
    pub min_compaction_lag_ms: i64,
    /// A record that has waited for longer makes a compaction due.
    pub max_compaction_lag_ms: i64,
    /// How long a tombstone stays once it was compacted.
    pub delete_retention_ms: i64,
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
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            preallocate: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            write_caching: false,
            index_interval_bytes: 4096,
            producer_expiration_ms: 24 * 60 * 60 * 1000,
            delete: true,
            compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            delete_delay_ms: 60_000,
        }
    }
}

impl LogConfig {
    /// Age at which a segment is closed: one that waits for its compaction is not compacted.
    pub fn roll_ms(&self) -> i64 {
        if self.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }
}

/// When an appended batch counts as safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// At once: survives nothing.
    Memory,
    /// When its direct write has completed: survives the process and, but for the device's
    /// volatile cache, the machine.
    Written,
    /// When it is durable: survives power loss.
    Durable,
}
