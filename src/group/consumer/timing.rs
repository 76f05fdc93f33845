//! Members that say nothing any more, or do not give up what they were told to.

use super::{Deadlines, Following, Group};

impl Group {
    /// A member has been heard of.
    pub(super) fn hear(&mut self, now_ms: i64, id: &str) {
        let Some(member) = self.members.get(id) else { return };
        let timeout_ms = match &member.metadata.classic {
            Some(classic) => classic.session_timeout_ms,
            None => self.limits.session_timeout_ms,
        };
        let session_ms = now_ms + i64::from(timeout_ms);
        match self.deadlines.get_mut(id) {
            Some(deadlines) => deadlines.session_ms = session_ms,
            None => {
                self.deadlines.insert(id.to_string(), Deadlines { session_ms, act_ms: None });
            }
        }
    }

    /// The group was read from its records: its members have all their time again.
    pub(super) fn begin(&mut self, now_ms: i64) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.hear(now_ms, &id);
            let Some(member) = self.members.get(&id) else { continue };
            let timeout_ms = i64::from(member.metadata.rebalance_timeout_ms);
            let gives_up = member.current.following == Following::Unrevoked;
            if let (Some(deadlines), true) = (self.deadlines.get_mut(&id), gives_up) {
                deadlines.act_ms = Some(now_ms + timeout_ms);
            }
        }
    }

    /// Takes out the members whose time is over.
    pub fn tick(&mut self, now_ms: i64) {
        let over = self.deadlines.iter().filter(|(_, deadlines)| deadlines.first() <= now_ms);
        let over: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        over.iter().for_each(|id| self.remove(id));
    }

    /// When [`Group::tick`] has something to do next; `None` as long as nobody is there.
    pub fn due_ms(&self) -> Option<i64> {
        self.deadlines.values().map(Deadlines::first).min()
    }
}

impl Deadlines {
    fn first(&self) -> i64 {
        self.act_ms.map_or(self.session_ms, |act_ms| self.session_ms.min(act_ms))
    }
}
