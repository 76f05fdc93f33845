//! A full disk: what is appended is refused, what was refused too late is kept and written once
//! there is space again, and nothing has to be restarted. Other errors of the disk take the log
//! offline: after those nothing is known of what the disk holds.

use std::rc::Rc;

use super::error::LogError;
use super::log::Log;
use super::state::LogState;
use crate::disk::DiskError;
use crate::runtime::sleep;

impl LogState {
    /// A step could not be done for want of space; it comes again. Returns whether this is new.
    pub fn hold(&mut self) -> bool {
        self.writing = false;
        !std::mem::replace(&mut self.full, true)
    }

    /// A step was done; returns whether none could be before.
    pub fn go_on(&mut self) -> bool {
        std::mem::replace(&mut self.full, false)
    }

    pub fn is_full(&self) -> bool {
        self.full
    }

    /// A write failed: the block it began with is still to be completed.
    pub fn keep_partial_block(&mut self, block: Vec<u8>) {
        self.partial_block = block;
    }
}

impl Log {
    /// Answers everybody who waits with [`LogError::NoSpace`] and tries again later. Their batches
    /// stay: a producer that sends one again is told the offset it has.
    pub(super) fn wait_for_space(self: &Rc<Self>, error: &DiskError) {
        if self.state.borrow_mut().hold() {
            tracing::error!(
                log = %self.dir().display(),
                "{error}; nothing is taken until there is space, it is tried again and again"
            );
        }
        self.tell_all(LogError::NoSpace);
        self.settled.notify();
        let log = Rc::downgrade(self);
        let after = self.env.try_again_after;
        let again = async move {
            sleep(after).await;
            if let Some(log) = log.upgrade().filter(|log| !log.is_closed()) {
                log.kick_writer();
            }
        };
        self.env.background.spawn(again).detach();
    }

    pub(super) fn space_is_back(&self) {
        if self.state.borrow_mut().go_on() {
            tracing::info!(log = %self.dir().display(), "there is space again");
        }
    }
}
