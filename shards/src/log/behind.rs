//! What is answered before it is safe, and what is made safe by and by: `corelane.write.caching` and
//! `flush.ms`.

use std::rc::Rc;
use std::time::Duration;

use super::config::Durability;
use super::log::Log;
use crate::runtime::sleep;

/// Batches that were answered from memory are written after this time at the latest.
const WRITE_BEHIND_MS: i64 = 1_000;

impl Log {
    /// When an append counts as safe: at once where the topic says so, as long as there is memory
    /// for what the disk has not taken yet.
    pub(super) fn level(&self, asked: Durability) -> Durability {
        if !self.state.borrow().config.write_caching {
            return asked;
        }
        match self.env.tail.has_room() {
            true => Durability::Memory,
            false => Durability::Written,
        }
    }

    /// Has what was appended written, and synced where `flush.ms` says so, after a time.
    pub(super) fn write_later(self: &Rc<Self>) {
        let (caching, flush_ms) = {
            let state = self.state.borrow();
            (state.config.write_caching, state.config.flush_ms)
        };
        let after_ms = if caching { flush_ms.min(WRITE_BEHIND_MS) } else { flush_ms };
        if after_ms == i64::MAX || self.write_later.replace(true) {
            return;
        }
        let log = Rc::downgrade(self);
        let write = async move {
            sleep(Duration::from_millis(after_ms.max(0) as u64)).await;
            let Some(log) = log.upgrade() else { return };
            log.write_later.set(false);
            let end = log.log_end();
            log.state.borrow_mut().ask_for(end, after_ms == flush_ms);
            log.kick_writer();
        };
        self.env.background.spawn(write).detach();
    }
}
