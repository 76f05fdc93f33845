//! When offsets that nobody commits again are forgotten (KIP-211).

use std::collections::BTreeSet;

/// Topics that the members of a group read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// It may be any: what they say of it is not understood.
    Any,
    These(BTreeSet<String>),
}

impl Reads {
    pub fn contains(&self, topic: &str) -> bool {
        match self {
            Reads::Any => true,
            Reads::These(topics) => topics.contains(topic),
        }
    }
}

/// What a group's offsets have their age from; times in ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// From their commits, but for those of topics that members read.
    FromCommit {
        but: Reads,
    },
    /// From the moment when the last member left.
    FromEmpty {
        since_ms: i64,
    },
}

impl Expiry {
    /// That of a group without members, of which nothing else is known.
    pub fn of_offsets_only() -> Expiry {
        Expiry::FromCommit { but: Reads::These(BTreeSet::new()) }
    }

    /// Whether an offset has had its time.
    pub fn is_over(&self, topic: &str, commit_ms: i64, now_ms: i64, retention_ms: i64) -> bool {
        let from_ms = match self {
            Expiry::Never => return false,
            Expiry::FromCommit { but } if but.contains(topic) => return false,
            Expiry::FromCommit { .. } => commit_ms,
            Expiry::FromEmpty { since_ms } => *since_ms,
        };
        now_ms.saturating_sub(from_ms) >= retention_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_kept_for_its_time_while_it_is_read_and_while_nobody_knows() {
        let reads = Reads::These(["read".to_string()].into());
        for (expiry, topic, over) in [
            (Expiry::Never, "t", false),
            (Expiry::of_offsets_only(), "t", true),
            (Expiry::FromCommit { but: reads.clone() }, "t", true),
            (Expiry::FromCommit { but: reads }, "read", false),
            (Expiry::FromCommit { but: Reads::Any }, "t", false),
            (Expiry::FromEmpty { since_ms: 1_001 }, "t", false),
            (Expiry::FromEmpty { since_ms: 1_000 }, "t", true),
        ] {
            assert_eq!(expiry.is_over(topic, 10, 2_000, 1_000), over, "{expiry:?}");
        }
        assert!(!Expiry::of_offsets_only().is_over("t", 1_001, 2_000, 1_000));
        assert!(!Expiry::of_offsets_only().is_over("t", i64::MAX, i64::MIN, 0));
    }
}
