//! The shell around [`JournalFiles`]: gathers what the shard's logs have to be made durable, writes
//! it, tells them; and has logs written out before a file is used again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::files::{JournalFiles, Place};
use super::frame::{self, Entry};
use super::JOURNAL_SUFFIX;
use crate::disk::{self, Access, DiskError, File, WriteBuffer};
use crate::log::env::LogEnv;
use crate::log::log::Log;

/// Most bytes of batches in one frame.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// The journals of one shard, one for each log directory, made when they are first used.
pub struct Journals {
    by_dir: RefCell<FxHashMap<PathBuf, Rc<Journal>>>,
    file_bytes: u64,
    most_bytes: usize,
    /// Logs whose durable writes are under way, past the journal.
    pub(in crate::log) direct_writes: Cell<usize>,
    /// Logs that were alone when they had something to make durable, and whose writers have not begun
    /// yet: with others that come in the same turn, and request, they are not.
    pub(in crate::log) beginning: Cell<usize>,
}

/// What became of what a log has to make durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Its batches go into the journal's next frame.
    Taken,
    /// No other log makes anything durable now: its own write is as fast, and made once.
    Alone,
    /// It has nothing for the journal, or the journal takes nothing now.
    Refused,
}

impl Journals {
    pub fn new(file_bytes: u64, most_bytes: usize) -> Self {
        let most_bytes = if file_bytes == 0 { 0 } else { most_bytes };
        let by_dir = RefCell::default();
        let (direct_writes, beginning) = (Cell::new(0), Cell::new(0));
        Journals { by_dir, file_bytes, most_bytes, direct_writes, beginning }
    }

    /// Most bytes of one log in a frame; 0: there is no journal.
    pub fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// The journal of a partition's log directory.
    fn of(&self, log: &Log) -> Option<Rc<Journal>> {
        if let Some(journal) = log.journal.borrow().upgrade() {
            return Some(journal);
        }
        let place = log.dir();
        let dir = place.parent()?;
        let mut by_dir = self.by_dir.borrow_mut();
        let journal = match by_dir.get(dir) {
            Some(journal) => Rc::clone(journal),
            None => {
                let journal = Rc::new(Journal::new(dir, self.file_bytes));
                by_dir.insert(dir.to_path_buf(), Rc::clone(&journal));
                journal
            }
        };
        log.journal.replace(Rc::downgrade(&journal));
        Some(journal)
    }

    /// Takes a log that has small batches to be made durable, if it is better served together with
    /// others.
    pub fn offer(&self, env: &Rc<LogEnv>, log: &Rc<Log>) -> Offer {
        let Some(journal) = self.of(log) else { return Offer::Refused };
        if journal.stopped.get() || journal.congested.get() {
            return Offer::Refused;
        }
        let others = self.direct_writes.get() + self.beginning.get();
        if others == 0 && !journal.running.get() {
            return Offer::Alone;
        }
        journal.waiting.borrow_mut().push_back(Rc::clone(log));
        journal.start(env);
        Offer::Taken
    }

    /// Removes the journals' files: every log has been closed and is whole without them.
    ///
    /// # Errors
    /// What the disk answers; the next start reads them once more.
    pub async fn remove(&self) -> Result<(), DiskError> {
        let journals: Vec<_> = self.by_dir.borrow_mut().drain().map(|(_, j)| j).collect();
        for journal in journals {
            let paths: Vec<_> = journal.paths.borrow().clone();
            for path in paths {
                disk::remove_file(&path).await?;
            }
        }
        Ok(())
    }
}

/// One log directory's.
pub struct Journal {
    dir: PathBuf,
    files: RefCell<JournalFiles>,
    paths: RefCell<Vec<PathBuf>>,
    open: RefCell<Vec<Rc<File>>>,
    /// Logs that have something for the next frame.
    waiting: RefCell<VecDeque<Rc<Log>>>,
    /// Logs with batches in the active file, and the end of what it holds of each.
    held: RefCell<FxHashMap<u64, (Weak<Log>, i64)>>,
    running: Cell<bool>,
    /// All files wait for logs that are slow to write out.
    congested: Cell<bool>,
    /// A write failed: nothing is written here any more.
    stopped: Cell<bool>,
}

/// A frame on its way: each log with the end of what is in it.
struct Gathered {
    entries: Vec<Entry>,
    logs: Vec<(Rc<Log>, i64)>,
}

impl Journal {
    fn new(log_dir: &Path, file_bytes: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Journal {
            dir: log_dir.to_path_buf(),
            files: RefCell::new(JournalFiles::new(file_bytes, since.as_nanos() as u64)),
            paths: RefCell::default(),
            open: RefCell::default(),
            waiting: RefCell::default(),
            held: RefCell::default(),
            running: Cell::new(false),
            congested: Cell::new(false),
            stopped: Cell::new(false),
        }
    }

    fn start(self: &Rc<Self>, env: &Rc<LogEnv>) {
        if self.running.get() {
            return;
        }
        let Some(pass) = env.gate.enter() else { return };
        self.running.set(true);
        let (journal, env) = (Rc::clone(self), Rc::clone(env));
        let queue = env.foreground;
        let run = async move {
            journal.run(&env).await;
            journal.running.set(false);
            drop(pass);
        };
        queue.spawn(run).detach();
    }

    async fn run(self: &Rc<Self>, env: &Rc<LogEnv>) {
        loop {
            let gathered = self.gather();
            if gathered.logs.is_empty() {
                return;
            }
            let written = self.write(env, &gathered.entries).await;
            gathered.logs.iter().take(1).for_each(|(log, _)| log.note_write());
            if let Err(error) = &written {
                self.stop(error);
            }
            for (log, end) in gathered.logs {
                match &written {
                    Ok(true) => {
                        let mut held = self.held.borrow_mut();
                        held.insert(log.id(), (Rc::downgrade(&log), end));
                        drop(held);
                        log.journaled(end);
                    }
                    // There is no room here, but there may be in the segment.
                    Ok(false) => log.not_journaled(),
                    Err(error) if error.is_no_space() => log.not_journaled(),
                    Err(error) => log.journal_failed(error),
                }
            }
        }
    }

    /// What the waiting logs have, as much as one frame takes.
    fn gather(&self) -> Gathered {
        let mut gathered = Gathered { entries: Vec::new(), logs: Vec::new() };
        let mut bytes = 0;
        while bytes < MAX_FRAME_BYTES {
            let Some(log) = self.waiting.borrow_mut().pop_front() else { break };
            let before = gathered.entries.len();
            let Some(end) = log.take_for_journal(&mut gathered.entries) else {
                log.kick_writer();
                continue;
            };
            let added = &gathered.entries[before..];
            bytes += added.iter().flat_map(|e| &e.batches).map(bytes::Bytes::len).sum::<usize>();
            gathered.logs.push((log, end));
        }
        gathered
    }

    /// Writes one frame; `false`: there is no file for it.
    async fn write(
        self: &Rc<Self>,
        env: &Rc<LogEnv>,
        entries: &[Entry],
    ) -> Result<bool, DiskError> {
        let len = frame::frame_bytes(entries);
        let is_full = self.files.borrow().is_full(len as u64);
        if is_full {
            self.retire(env);
        }
        loop {
            let place = self.files.borrow_mut().place(len as u64);
            match place {
                Place::Congested => {
                    self.congested.set(true);
                    return Ok(false);
                }
                Place::NewFile { .. } => self.make_file(len as u64).await?,
                Place::Here { file, position, generation, sequence } => {
                    let mut buffer = WriteBuffer::new(len);
                    frame::fill(buffer.bytes_mut(), generation, sequence, entries);
                    let open = Rc::clone(&self.open.borrow()[file]);
                    open.write_at(buffer, position).await?;
                    self.files.borrow_mut().written(file, len as u64);
                    return Ok(true);
                }
            }
        }
    }

    async fn make_file(&self, least: u64) -> Result<(), DiskError> {
        let path = self.dir.join(format!("{}{JOURNAL_SUFFIX}", Uuid::new_v4().simple()));
        let file = File::open(&path, Access::WriteDurable).await?;
        let size = self.files.borrow().file_bytes().max(least);
        if let Err(error) = file.allocate(size).await {
            disk::remove_file(&path).await?;
            return Err(error);
        }
        file.sync_data().await?;
        disk::sync_dir(&self.dir).await?;
        self.paths.borrow_mut().push(path);
        self.open.borrow_mut().push(Rc::new(file));
        self.files.borrow_mut().made();
        Ok(())
    }

    /// Ends the use of the active file: its logs write out what it holds, and then it is free.
    fn retire(self: &Rc<Self>, env: &Rc<LogEnv>) {
        let Some(file) = self.files.borrow_mut().retire() else { return };
        let held = std::mem::take(&mut *self.held.borrow_mut());
        let Some(pass) = env.gate.enter() else { return };
        let journal = Rc::clone(self);
        let write_out = async move {
            let mut left = held.into_values();
            let mut open = FuturesUnordered::new();
            let mut whole = true;
            loop {
                while open.len() < journal.files.borrow().write_outs() {
                    let Some((log, end)) = left.next() else { break };
                    open.push(async move {
                        match log.upgrade() {
                            Some(log) => log.write_out(end).await,
                            None => true, // deleted
                        }
                    });
                }
                match open.next().await {
                    Some(done) => whole &= done,
                    None => break,
                }
            }
            // What a failed log has here is all there is of it: the next start reads it.
            if whole {
                journal.files.borrow_mut().free(file);
                journal.congested.set(false);
            }
            drop(pass);
        };
        env.background.spawn(write_out).detach();
    }

    /// After a failed write nothing is known of the file. For want of space another try comes when
    /// the next log has something.
    fn stop(&self, error: &DiskError) {
        if !error.is_no_space() && !self.stopped.replace(true) {
            tracing::error!(dir = %self.dir.display(), "the journal is not used any more: {error}");
        }
    }
}
