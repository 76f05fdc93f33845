//! The end of a log's life in this process: closed in order, or deleted.

use std::rc::Rc;

use super::error::LogError;
use super::log::Log;
use super::snapshots;
use crate::disk::HandleKind;

impl Log {
    /// Writes what is still to be written, makes everything durable, cuts the preallocated space
    /// off and leaves indexes and producers beside it: the directory is then whole, as Kafka lays
    /// it out. Nothing can be appended afterwards.
    ///
    /// # Errors
    /// The log was offline, or goes offline now.
    pub async fn close(self: &Rc<Self>) -> Result<(), LogError> {
        self.closed.set(true);
        self.env.moves.changed.notify();
        let flushed = self.flush_and_trim().await;
        self.tell_all(LogError::Closed);
        flushed
    }

    async fn flush_and_trim(self: &Rc<Self>) -> Result<(), LogError> {
        let end = self.log_end();
        self.state.borrow_mut().ask_for(end, true);
        let is_idle = || !self.is_writing() && !self.swapping.get();
        self.settled.until(is_idle).await;
        self.run_writer().await;
        if let Some(failure) = self.failure() {
            return Err(LogError::Offline(failure));
        }
        if self.state.borrow().is_full() {
            return Err(LogError::NoSpace);
        }
        let (segment, written, allocated, synced) = {
            let state = self.state.borrow();
            let active = state.active();
            (active.base_offset, active.written, active.allocated, active.synced)
        };
        if allocated != written || synced != written {
            let file = self.file(segment, HandleKind::Write).await?;
            file.truncate(written).await?;
            file.sync_data().await?;
        }
        let (end, producers) = {
            let mut state = self.state.borrow_mut();
            state.trimmed();
            (state.log_end(), state.producers().encode())
        };
        // Also where nothing was written: what recovery learned of producers is worth keeping, and
        // without it the next start walks the segment again.
        if snapshots::list(&self.dir()).await?.last() != Some(&end) {
            self.write_index(segment).await?;
            snapshots::write(&self.dir(), end, producers).await?;
        }
        self.forget_files(segment);
        Ok(())
    }

    /// Ends everything that waits on this log and forgets its files; the caller removes them.
    pub fn retire(&self) {
        self.closed.set(true);
        self.deleted.set(true);
        self.state.borrow_mut().fail("the partition was deleted".to_string());
        self.settled.notify();
        self.env.moves.changed.notify();
        self.tell_all(LogError::Closed);
        self.forget_all_files();
    }

    /// Closes all files as soon as nobody uses them, and forgets what was read of them.
    pub(super) fn forget_all_files(&self) {
        let segments: Vec<i64> =
            self.state.borrow().segments().iter().map(|s| s.base_offset).collect();
        segments.into_iter().for_each(|segment| self.forget_files(segment));
        self.env.blocks.forget(self.id());
    }

    /// Whether its topic was deleted.
    pub fn is_deleted(&self) -> bool {
        self.deleted.get()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}
