use super::within;

/// What bounds share groups (KIP-932), from the broker's configuration; times in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareLimits {
    pub enabled: bool,
    /// Members of a group.
    pub max_size: usize,
    pub session_timeout_ms: i32,
    /// What the session timeout may be.
    pub session_timeouts_ms: (i32, i32),
    pub heartbeat_interval_ms: i32,
    /// What the interval may be.
    pub heartbeat_intervals_ms: (i32, i32),
    /// How long a member has a record to itself...
    pub lock_ms: i32,
    /// ...and what that may be.
    pub lock_bounds_ms: (i32, i32),
    /// How often a record is delivered.
    pub delivery_limit: i16,
    /// Records of a partition between the first unfinished and the last delivered.
    pub max_locks: i64,
    /// Share sessions of a shard.
    pub max_sessions: usize,
    /// Where groups that are new to a partition begin: at its start, else at its end.
    pub from_earliest: bool,
    /// Records of open and of aborted transactions are not delivered.
    pub read_committed: bool,
    /// Of the state's topic, when it is made.
    pub partitions: i32,
    pub segment_bytes: i32,
}

impl Default for ShareLimits {
    fn default() -> Self {
        ShareLimits {
            enabled: true,
            max_size: 200,
            session_timeout_ms: 45_000,
            session_timeouts_ms: (45_000, 60_000),
            heartbeat_interval_ms: 5_000,
            heartbeat_intervals_ms: (5_000, 15_000),
            lock_ms: 30_000,
            lock_bounds_ms: (15_000, 60_000),
            delivery_limit: 5,
            max_locks: 2_000,
            max_sessions: 2_000,
            from_earliest: false,
            read_committed: false,
            partitions: 50,
            segment_bytes: 100 << 20,
        }
    }
}

impl ShareLimits {
    /// # Errors
    /// The times do not fit each other.
    pub fn check(&self) -> Result<(), String> {
        within(
            "group.share.session.timeout.ms",
            self.session_timeout_ms,
            self.session_timeouts_ms,
        )?;
        let (interval, bounds) = (self.heartbeat_interval_ms, self.heartbeat_intervals_ms);
        within("group.share.heartbeat.interval.ms", interval, bounds)?;
        within("group.share.record.lock.duration.ms", self.lock_ms, self.lock_bounds_ms)?;
        match self.heartbeat_interval_ms < self.session_timeout_ms {
            true => Ok(()),
            false => Err("group.share.heartbeat.interval.ms has to be less than \
                          group.share.session.timeout.ms"
                .to_string()),
        }
    }
}
