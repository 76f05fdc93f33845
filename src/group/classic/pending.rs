//! Ids that were given out and have not come again (KIP-394).

use std::collections::{BTreeMap, BTreeSet};

/// Ids that may be waited for. Beyond them the oldest is forgotten: whoever was given it is told to
/// ask for another.
const MOST: usize = 10_000;
/// About what one takes.
const BYTES: usize = 300;

/// See the module's head. Each is forgotten at its time, in ms.
#[derive(Debug, Default)]
pub(super) struct Pending {
    until: BTreeMap<String, i64>,
    by_time: BTreeSet<(i64, String)>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.until.contains_key(id)
    }

    pub fn bytes(&self) -> usize {
        self.until.len() * BYTES
    }

    pub fn insert(&mut self, id: String, until_ms: i64) {
        if self.until.len() >= MOST {
            if let Some((_, oldest)) = self.by_time.pop_first() {
                self.until.remove(&oldest);
            }
        }
        self.by_time.insert((until_ms, id.clone()));
        self.until.insert(id, until_ms);
    }

    /// Whether it was waited for.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some((id, until_ms)) = self.until.remove_entry(id) else { return false };
        self.by_time.remove(&(until_ms, id))
    }

    /// Forgets those whose time is over; whether there were any.
    pub fn expire(&mut self, now_ms: i64) -> bool {
        let before = self.until.len();
        while self.by_time.first().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            if let Some((_, id)) = self.by_time.pop_first() {
                self.until.remove(&id);
            }
        }
        self.until.len() < before
    }

    /// When the next is forgotten.
    pub fn due_ms(&self) -> Option<i64> {
        self.by_time.first().map(|(until_ms, _)| *until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_where_there_are_too_many() {
        let mut pending = Pending::default();
        for n in 0..=MOST {
            pending.insert(format!("m-{n}"), 1_000 + n as i64);
        }
        assert!(!pending.contains("m-0"));
        assert!(pending.remove("m-1") && !pending.remove("m-1"));
        assert_eq!(pending.due_ms(), Some(1_002));
        assert!(pending.expire(1_002) && !pending.expire(1_002));
        assert_eq!(pending.bytes(), (MOST - 2) * BYTES);
    }
}
