//! Share sessions (KIP-932): which partitions a member of a share group is given records of, so that it
//! need only say what has changed. Kept per shard, for as long as the member's connection: what it has
//! goes to others when that ends.

use std::cell::RefCell;
use std::collections::BTreeMap;

use indexmap::IndexSet;

use crate::wire::{ErrorCode, Uuid};

/// With this epoch a session begins.
pub const INITIAL: i32 = 0;
/// With this epoch a session ends.
pub const FINAL: i32 = -1;
/// Partitions in all sessions of a shard.
const MOST_PARTITIONS: usize = 200_000;

/// A partition of a topic.
pub type Place = (Uuid, i32);

struct Session {
    epoch: i32,
    connection: usize,
    wanted: IndexSet<Place>,
    /// Those that it wanted once: it may still have something of them.
    touched: IndexSet<Place>,
}

/// A session that is over: its member may have records of these partitions.
pub struct Closed {
    pub group: String,
    pub member: String,
    pub touched: Vec<Place>,
}

/// A shard's sessions, by group and member.
pub struct ShareSessions {
    most: usize,
    sessions: RefCell<BTreeMap<(String, String), Session>>,
}

impl ShareSessions {
    pub fn new(most: usize) -> ShareSessions {
        ShareSessions { most, sessions: RefCell::default() }
    }

    /// Begins a session, in place of another of the same member.
    ///
    /// # Errors
    /// There are too many.
    pub fn begin(&self, name: (String, String), connection: usize) -> Result<(), ErrorCode> {
        let mut sessions = self.sessions.borrow_mut();
        let before = sessions.remove(&name);
        let partitions: usize = sessions.values().map(|session| session.touched.len()).sum();
        if sessions.len() >= self.most || partitions >= MOST_PARTITIONS {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        let touched = before.map(|session| session.touched).unwrap_or_default();
        sessions.insert(name, Session { epoch: 1, connection, wanted: IndexSet::new(), touched });
        Ok(())
    }

    /// The next request of a session that goes on, or its last.
    ///
    /// # Errors
    /// The session is not here, or the request is not the next of it.
    pub fn next(&self, name: &(String, String), epoch: i32) -> Result<(), ErrorCode> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(name).ok_or(ErrorCode::ShareSessionNotFound)?;
        if epoch == FINAL {
            return Ok(());
        }
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    /// Notes what a member wants from now on; all that it wants, another partition first each time.
    pub fn update(
        &self,
        name: &(String, String),
        more: impl Iterator<Item = Place>,
        forgotten: impl Iterator<Item = Place>,
    ) -> Vec<Place> {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(name) else { return Vec::new() };
        for place in more {
            session.wanted.insert(place);
            session.touched.insert(place);
        }
        for place in forgotten {
            session.wanted.swap_remove(&place);
        }
        let mut wanted: Vec<Place> = session.wanted.iter().copied().collect();
        let first = session.epoch.unsigned_abs() as usize % wanted.len().max(1);
        wanted.rotate_left(first);
        wanted
    }

    /// Ends a session.
    pub fn end(&self, name: &(String, String)) -> Option<Closed> {
        let (name, session) = self.sessions.borrow_mut().remove_entry(name)?;
        Some(closed(name, session))
    }

    /// Ends those of a connection that is gone.
    pub fn end_all(&self, connection: usize) -> Vec<Closed> {
        let mut sessions = self.sessions.borrow_mut();
        let gone = sessions.iter().filter(|(_, session)| session.connection == connection);
        let gone: Vec<(String, String)> = gone.map(|(name, _)| name.clone()).collect();
        let gone = gone.into_iter().filter_map(|name| sessions.remove_entry(&name));
        gone.map(|(name, session)| closed(name, session)).collect()
    }
}

fn closed((group, member): (String, String), session: Session) -> Closed {
    Closed { group, member, touched: session.touched.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_remembers_what_is_wanted_until_its_connection_ends() {
        let sessions = ShareSessions::new(1);
        let name = ("g".to_string(), "m".to_string());
        let place = |index| (Uuid::from_u128(1), index);
        assert_eq!(sessions.next(&name, 1), Err(ErrorCode::ShareSessionNotFound));
        sessions.begin(name.clone(), 7).expect("begins");
        assert_eq!(sessions.next(&name, 2), Err(ErrorCode::InvalidShareSessionEpoch));
        let none = || std::iter::empty();
        assert_eq!(sessions.update(&name, [place(0), place(1)].into_iter(), none()).len(), 2);
        sessions.next(&name, 1).expect("goes on");
        assert_eq!(sessions.update(&name, none(), [place(0)].into_iter()), [place(1)]);
        let other = ("g".to_string(), "n".to_string());
        assert_eq!(sessions.begin(other, 8), Err(ErrorCode::ShareSessionLimitReached));
        assert!(sessions.end_all(8).is_empty());
        let closed = sessions.end_all(7);
        assert_eq!(closed[0].touched, [place(0), place(1)], "it may have some of both");
        assert!(sessions.end(&name).is_none());
    }
}
