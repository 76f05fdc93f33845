//! The writer of a log: does what [`LogState`](super::LogState) plans, one step after the other.

use std::path::Path;
use std::rc::Rc;

use super::index;
use super::journal::Offer;
use super::log::Log;
use super::planning::{WritePlan, WriterStep};
use super::segment::file_path;
use super::snapshots;
use crate::disk::{self, align_down, align_up, DiskError, File, FileId, HandleKind, WriteBuffer};

impl Log {
    /// Has what there is to be written or made durable on its way: through the journal, by a writer,
    /// or by both at once.
    pub(super) fn kick_writer(self: &Rc<Self>) {
        let running = self.writer_running.get();
        if running && !self.state.borrow().writing {
            return; // it has not begun yet, and looks for itself
        }
        let offer = self.offer_to_journal();
        let journal_is_all = offer == Offer::Taken && !self.state.borrow().needs_writer();
        if running || journal_is_all {
            return;
        }
        let alone = usize::from(offer == Offer::Alone);
        let Some(pass) = self.env.gate.enter() else { return };
        self.writer_running.set(true);
        let beginning = &self.env.journals.beginning;
        beginning.set(beginning.get() + alone);
        let log = Rc::clone(self);
        let writer = async move {
            let beginning = &log.env.journals.beginning;
            beginning.set(beginning.get() - alone);
            log.run_writer().await;
            log.writer_running.set(false);
            log.settled.notify();
            drop(pass);
        };
        self.env.foreground.spawn(writer).detach();
    }

    /// Whether anything is on its way to the disk: records, to a segment or the journal, or zeros.
    pub(super) fn is_writing(&self) -> bool {
        let state = self.state.borrow();
        self.writer_running.get() || state.in_journal || state.is_clearing()
    }

    pub(super) async fn run_writer(self: &Rc<Self>) {
        loop {
            self.offer_to_journal();
            let step = self.state.borrow_mut().next_step();
            let done = match step {
                WriterStep::Idle => {
                    self.space_is_back();
                    return self.clear_ahead();
                }
                WriterStep::Seal { segment, size, next } => self.seal(segment, size, next).await,
                WriterStep::Write(plan) => self.write(plan).await,
                WriterStep::Sync { segment, bytes, end } => self.sync(segment, bytes, end).await,
            };
            match done {
                Ok(()) => {
                    self.space_is_back();
                    self.clear_ahead();
                }
                Err(error) if error.is_no_space() => return self.wait_for_space(&error),
                Err(error) => return self.fail(&error),
            }
        }
    }

    async fn write(self: &Rc<Self>, mut plan: WritePlan) -> Result<(), DiskError> {
        let direct = &self.env.journals.direct_writes;
        direct.set(direct.get() + usize::from(plan.durable));
        let written = self.put(&mut plan).await;
        self.past_journal.set(false);
        direct.set(direct.get() - usize::from(plan.durable));
        self.note_write();
        let last_block = match written {
            Ok(last_block) => last_block,
            Err(error) => {
                self.state.borrow_mut().keep_partial_block(std::mem::take(&mut plan.head));
                return Err(error);
            }
        };
        if self.has_failed() {
            return Ok(());
        }
        let (before, safe_end) = {
            let mut state = self.state.borrow_mut();
            let before = state.safe_end();
            (before, state.write_done(&plan, last_block))
        };
        // Readers first: records are more urgent than the news that they are there.
        if safe_end > before {
            self.advance_watchers(plan.parts.iter().map(|p| p.len() as u64).sum());
        }
        self.tell(safe_end);
        self.env.tail.shrink();
        self.keep_point();
        Ok(())
    }

    /// Whether another sync of the file failed while one of ours was under way: ours proves nothing
    /// then, whatever it answered.
    pub(super) fn has_failed(&self) -> bool {
        self.state.borrow().failure().is_some()
    }

    async fn sync(&self, segment: i64, bytes: u64, end: i64) -> Result<(), DiskError> {
        self.file(segment, HandleKind::Write).await?.sync_data().await?;
        if self.has_failed() {
            return Ok(());
        }
        self.state.borrow_mut().sync_done(segment, bytes, end);
        Ok(())
    }

    /// Writes a plan's bytes, as durably as it says; returns what its last block holds.
    async fn put(&self, plan: &mut WritePlan) -> Result<Vec<u8>, DiskError> {
        let mut buffer = WriteBuffer::new(plan.len_bytes());
        plan.fill(buffer.bytes_mut());
        let last_at = (align_down(plan.end) - plan.start) as usize;
        let last_block = buffer.bytes()[last_at..(plan.end - plan.start) as usize].to_vec();
        if let Some(size) = plan.allocate {
            let file = self.file(plan.segment, HandleKind::Write).await?;
            plan.allocate = Some(match file.allocate(size).await {
                Err(error) if error.is_no_space() => {
                    let least = align_up(plan.end);
                    file.allocate(least).await.map(|()| least)?
                }
                done => done.map(|()| size)?,
            });
        }
        if plan.durable && plan.follows_durable {
            let file = self.file(plan.segment, HandleKind::WriteDurable).await?;
            file.write_at(buffer, plan.start).await?;
        } else {
            let file = self.file(plan.segment, HandleKind::Write).await?;
            file.write_at(buffer, plan.start).await?;
            if plan.durable {
                // Plain writes came before: a durable write would cover its own range alone.
                file.sync_data().await?;
            }
        }
        Ok(last_block)
    }

    /// Closes a full segment: everything in it durable, its file cut to its true size, its
    /// indexes beside it, and the next segment's file there.
    async fn seal(&self, segment: i64, size: u64, next: i64) -> Result<(), DiskError> {
        let file = self.file(segment, HandleKind::Write).await?;
        file.truncate(size).await?;
        file.sync_data().await?;
        if self.has_failed() {
            return Ok(());
        }
        self.write_index(segment).await?;
        let producers = self.state.borrow_mut().take_snapshot(next);
        if let Some(producers) = producers {
            snapshots::write(&self.dir(), next, producers).await?;
        }
        self.file(next, HandleKind::Write).await?;
        disk::sync_dir(&self.dir()).await?;
        self.forget_files(segment);
        self.state.borrow_mut().seal_done(segment);
        Ok(())
    }

    pub(super) async fn write_index(&self, segment: i64) -> Result<(), DiskError> {
        self.write_index_to(&self.dir(), segment).await
    }

    pub(super) async fn write_index_to(&self, dir: &Path, segment: i64) -> Result<(), DiskError> {
        let (index, aborted) = {
            let state = self.state.borrow();
            let Some(found) = state.segment_for(segment) else { return Ok(()) };
            (found.index.clone(), state.aborted_and_written(found))
        };
        let Some(index) = index else { return Ok(()) };
        index::replace(dir, segment, &index, &aborted).await
    }

    /// The file of a segment that is still written to: those are never compacted.
    pub(super) async fn file(&self, segment: i64, kind: HandleKind) -> Result<Rc<File>, DiskError> {
        self.open_file((segment, 0), kind).await
    }

    pub(super) async fn open_file(
        &self,
        id: FileId,
        kind: HandleKind,
    ) -> Result<Rc<File>, DiskError> {
        let path = || file_path(&self.dir(), id.0, "log");
        self.env.handles.get((self.id(), id, kind), path).await
    }

    /// Closes a segment's files as soon as nobody uses them.
    pub(super) fn forget_files(&self, segment: i64) {
        let version = self.state.borrow().version_of(segment);
        self.env.handles.forget(self.id(), (segment, version));
    }

    pub(super) fn fail(&self, error: &DiskError) {
        if self.closed.get() && error.kind == std::io::ErrorKind::NotFound {
            return; // deleted while a write was under way
        }
        tracing::error!(
            log = %self.dir().display(),
            "{error}; the partition is offline until the broker is restarted"
        );
        self.go_offline(&error.to_string());
        self.fail_dir(&error.to_string());
    }
}
