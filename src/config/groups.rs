use super::within;

/// What bounds groups of the classic protocol, from the broker's configuration; times in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    pub initial_rebalance_delay_ms: i64,
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub max_size: usize,
}

/// What bounds groups of the consumer protocol (KIP-848), from the broker's configuration; times in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerLimits {
    pub session_timeout_ms: i32,
    /// What the session timeout may be.
    pub session_timeouts_ms: (i32, i32),
    pub heartbeat_interval_ms: i32,
    /// What the interval may be.
    pub heartbeat_intervals_ms: (i32, i32),
    pub max_size: usize,
    /// Those that members may ask for; the first is for those that do not.
    pub assignors: Vec<Assignor>,
    pub migration: Migration,
}

impl Default for ConsumerLimits {
    fn default() -> Self {
        ConsumerLimits {
            session_timeout_ms: 45_000,
            session_timeouts_ms: (45_000, 60_000),
            heartbeat_interval_ms: 5_000,
            heartbeat_intervals_ms: (5_000, 15_000),
            max_size: i32::MAX as usize,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            migration: Migration { upgrade: true, downgrade: true },
        }
    }
}

impl ConsumerLimits {
    /// # Errors
    /// The times do not fit each other.
    pub fn check(&self) -> Result<(), String> {
        let (timeout, bounds) = (self.session_timeout_ms, self.session_timeouts_ms);
        within("group.consumer.session.timeout.ms", timeout, bounds)?;
        let (interval, bounds) = (self.heartbeat_interval_ms, self.heartbeat_intervals_ms);
        within("group.consumer.heartbeat.interval.ms", interval, bounds)?;
        match self.heartbeat_interval_ms < self.session_timeout_ms {
            true => Ok(()),
            false => Err("group.consumer.heartbeat.interval.ms has to be less than \
                          group.consumer.session.timeout.ms"
                .to_string()),
        }
    }
}

/// Who decides which member of a group gets which partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// By its name, or by the name of Kafka's class.
    pub fn parse(text: &str) -> Option<Assignor> {
        match text.rsplit('.').next()? {
            "uniform" | "UniformAssignor" => Some(Assignor::Uniform),
            "range" | "RangeAssignor" => Some(Assignor::Range),
            _ => None,
        }
    }
}

/// Which groups change their protocol while they have members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// A classic group when a member of the consumer protocol comes.
    pub upgrade: bool,
    /// A consumer group when the last member of that protocol goes and classic ones stay.
    pub downgrade: bool,
}

impl Migration {
    /// By the name of Kafka's policy.
    pub fn parse(text: &str) -> Option<Migration> {
        let (upgrade, downgrade) = match text.to_ascii_lowercase().as_str() {
            "bidirectional" => (true, true),
            "upgrade" => (true, false),
            "downgrade" => (false, true),
            "disabled" => (false, false),
            _ => return None,
        };
        Some(Migration { upgrade, downgrade })
    }
}
