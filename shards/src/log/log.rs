//! The shell around [`LogState`]: does the I/O that the state machine asks for and tells those
//! who wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::aborted::Aborted;
use super::config::{Durability, LogConfig};
use super::env::LogEnv;
use super::epochs::{self, LeaderEpochs};
use super::error::LogError;
use super::health::DirHealth;
use super::journal::{Journal, LogId};
use super::moving::Moving;
use super::producers::{ProducerView, Producers};
use super::segment::{file_path, Segment, SEGMENT_FILES};
use super::state::{Appended, LogState, NewBatch};
use crate::disk;
use crate::runtime::Signal;

/// Told when an append is as safe as was asked for, or never will be. One waiter stands for a
/// whole request; `index` says which of its appends.
pub trait AppendWaiter {
    fn done(&self, index: usize, result: Result<(), LogError>);
}

/// Told how much more may be shown. Kept weakly: dropping the watcher ends the watch.
pub trait EndWatcher {
    /// Returns whether it wants to hear of more.
    fn advanced(&self, more: MoreBytes) -> bool;
    /// The log is closed or has failed.
    fn ended(&self);
}

/// Bytes that have become visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoreBytes {
    pub all: u64,
    /// Of decided transactions or of none: 0 where one that began before is still open, `u64::MAX`
    /// where one has ended, with all that was appended behind its beginning.
    pub committed: u64,
}

/// The log of one partition on its owning shard. Created at recovery or topic creation, dropped
/// at deletion or shutdown.
pub struct Log {
    /// Names its files and blocks in what the shard's logs share; another one in each directory.
    pub(super) id: Cell<u64>,
    pub(super) dir: RefCell<Rc<Path>>,
    pub(super) env: Rc<LogEnv>,
    pub(super) state: RefCell<LogState>,
    waiters: RefCell<VecDeque<Waiter>>,
    watchers: RefCell<Vec<Weak<dyn EndWatcher>>>,
    /// The last stable offset when watchers were told last, and whether nothing was undecided then.
    told_stable: Cell<(i64, bool)>,
    /// Of its log directory, where that is watched.
    pub(super) health: RefCell<Option<Arc<DirHealth>>>,
    pub(super) journal_id: LogId,
    /// The one of its log directory, once it was looked for.
    pub(super) journal: RefCell<Weak<Journal>>,
    /// The journal had no room: the next write goes to the segment.
    pub(super) past_journal: Cell<bool>,
    pub(super) writer_running: Cell<bool>,
    /// Told when a writer or the journal is done with this log.
    pub(super) settled: Signal,
    /// What was appended is written, or made durable, when a timer ends.
    pub(super) write_later: Cell<bool>,
    pub(super) keeping_point: Cell<bool>,
    /// Files get other names now, or the log another directory.
    pub(super) swapping: Cell<bool>,
    /// Files that are about to get other names, or small files about to be written.
    pub(super) names_in_use: Cell<usize>,
    pub(super) compacting: Cell<bool>,
    pub(super) moving: RefCell<Option<Rc<Moving>>>,
    /// Everything below was compacted; `None` until it is looked up.
    pub(super) first_dirty: Cell<Option<i64>>,
    pub(super) closed: Cell<bool>,
    pub(super) deleted: Cell<bool>,
}

struct Waiter {
    end_offset: i64,
    waiter: Rc<dyn AppendWaiter>,
    index: usize,
}

impl Log {
    /// Makes an empty log in a new directory, durably.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn create(
        env: &Rc<LogEnv>,
        dir: &Path,
        journal_id: LogId,
        config: LogConfig,
        metadata: String,
    ) -> Result<Rc<Log>, LogError> {
        disk::ensure_dir(dir).await?;
        disk::replace_file(&dir.join("partition.metadata"), metadata.into_bytes()).await?;
        epochs::write(dir, &LeaderEpochs::first(0)).await?;
        for extension in &SEGMENT_FILES[..3] {
            disk::write_small(&file_path(dir, 0, extension), Vec::new()).await?;
        }
        disk::sync_dir(dir).await?;
        Ok(Log::empty(env, dir, journal_id, config))
    }

    /// A log without records, whose directory is there.
    pub(super) fn empty(
        env: &Rc<LogEnv>,
        dir: &Path,
        journal_id: LogId,
        config: LogConfig,
    ) -> Rc<Log> {
        let segments = vec![Segment::new(0)];
        let state = LogState::new(config, segments, 0, 0, Vec::new(), Producers::default());
        Log::open(env, dir, journal_id, state)
    }

    /// A log with the state that recovery found.
    pub(super) fn open(
        env: &Rc<LogEnv>,
        dir: &Path,
        journal_id: LogId,
        mut state: LogState,
    ) -> Rc<Log> {
        let id = env.take_log_id();
        state.seed = id;
        let log = Rc::new(Log {
            id: Cell::new(id),
            health: RefCell::new(env.health_of(dir)),
            dir: RefCell::new(Rc::from(dir)),
            env: Rc::clone(env),
            state: RefCell::new(state),
            waiters: RefCell::default(),
            watchers: RefCell::default(),
            told_stable: Cell::default(),
            journal_id,
            journal: RefCell::default(),
            past_journal: Cell::new(false),
            writer_running: Cell::new(false),
            settled: Signal::default(),
            write_later: Cell::new(false),
            keeping_point: Cell::new(false),
            swapping: Cell::new(false),
            names_in_use: Cell::new(0),
            compacting: Cell::new(false),
            moving: RefCell::default(),
            first_dirty: Cell::new(None),
            closed: Cell::new(false),
            deleted: Cell::new(false),
        });
        env.register(&log);
        log
    }

    /// Where it is now; it may be moved, see [`Log::move_to`].
    pub fn dir(&self) -> Rc<Path> {
        Rc::clone(&self.dir.borrow())
    }

    pub(super) fn id(&self) -> u64 {
        self.id.get()
    }

    pub fn log_start(&self) -> i64 {
        self.state.borrow().log_start()
    }

    pub fn log_end(&self) -> i64 {
        self.state.borrow().log_end()
    }

    /// The end of what may be shown to consumers of an unreplicated partition.
    pub fn safe_end(&self) -> i64 {
        self.state.borrow().safe_end()
    }

    /// The end of what may be shown to consumers that read committed records.
    pub fn last_stable(&self) -> i64 {
        self.state.borrow().last_stable()
    }

    /// Transactions with a record or their marker in `from..to` that were aborted.
    pub fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.state.borrow().aborted_between(from, to)
    }

    /// Whether a producer has a transaction open here with this epoch.
    pub fn is_in_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        self.state.borrow().producers().is_open(producer_id, epoch)
    }

    /// All producers that are remembered, by id.
    pub fn producers(&self) -> Vec<ProducerView> {
        self.state.borrow().producers().views().collect()
    }

    /// Why the log is offline, if it is.
    pub fn failure(&self) -> Option<String> {
        self.state.borrow().failure().map(str::to_string)
    }

    pub fn set_config(&self, config: LogConfig) {
        self.state.borrow_mut().set_config(config);
    }

    /// Bytes of all batches in all segments.
    pub fn size_bytes(&self) -> u64 {
        self.state.borrow().size_bytes()
    }

    /// Bytes appended but not yet written.
    pub fn dirty_bytes(&self) -> usize {
        self.state.borrow().dirty_bytes()
    }

    /// Appends one batch that [`super::batch::check_produced`] passed. Returns at once, with its
    /// offsets; `waiter` (with the number it knows this append by) is told when it is safe.
    ///
    /// # Errors
    /// As [`LogState::append`]; the waiter is then not told.
    pub fn append(
        self: &Rc<Self>,
        batch: impl Into<NewBatch>,
        leader_epoch: i32,
        durability: Durability,
        now_ms: i64,
        waiter: Option<(Rc<dyn AppendWaiter>, usize)>,
    ) -> Result<Appended, LogError> {
        if self.closed.get() {
            return Err(LogError::Closed);
        }
        self.check_dir()?;
        let NewBatch { bytes, memory } = batch.into();
        let (shared, len) = (memory > bytes.len(), bytes.len() as u64);
        let at = bytes.as_ptr() as usize;
        let durability = self.level(durability);
        let appended = {
            let mut state = self.state.borrow_mut();
            let appended = state.append(bytes, leader_epoch, durability, now_ms);
            state.note_point(self.env.recovery_point_bytes);
            appended
        };
        match &appended {
            Ok(appended) if !appended.duplicate => {
                self.env.tail.charge(Rc::downgrade(self), memory, at);
                self.kick_writer();
                self.write_later();
                if appended.last_offset < self.safe_end() {
                    self.advance_watchers(len);
                }
            }
            // The buffer may be held all the same, by batches that were cut from it after this.
            _ if shared => self.env.tail.charge(Weak::new(), memory, at),
            _ => {}
        }
        let appended = appended?;
        if let Some((waiter, index)) = waiter {
            self.wait_for(appended.last_offset + 1, waiter, index);
        }
        Ok(appended)
    }

    fn wait_for(&self, end_offset: i64, waiter: Rc<dyn AppendWaiter>, index: usize) {
        if end_offset <= self.safe_end() {
            waiter.done(index, Ok(()));
            return;
        }
        let mut waiters = self.waiters.borrow_mut();
        // Nearly always the last; a retried batch may wait for an earlier end.
        let at = waiters.partition_point(|w| w.end_offset <= end_offset);
        waiters.insert(at, Waiter { end_offset, waiter, index });
    }

    /// Watches for more to show. The caller must have read the end in the same turn, so that
    /// nothing is missed in between.
    pub fn watch(&self, watcher: Weak<dyn EndWatcher>) {
        let mut watchers = self.watchers.borrow_mut();
        if watchers.len() >= 64 && watchers.len().is_power_of_two() {
            watchers.retain(|w| w.strong_count() > 0);
        }
        watchers.push(watcher);
        self.told_stable.set(self.stable());
    }

    /// The last stable offset, and whether nothing is undecided.
    fn stable(&self) -> (i64, bool) {
        let stable = self.last_stable();
        (stable, stable == self.safe_end())
    }

    pub(super) fn evict_oldest(&self) -> bool {
        self.state.borrow_mut().evict_oldest()
    }

    /// Tells the waiters whose appends are safe now. They run outside of any borrow: they may
    /// append again.
    pub(super) fn tell(&self, safe_end: i64) {
        loop {
            let next = {
                let mut waiters = self.waiters.borrow_mut();
                match waiters.front() {
                    Some(first) if first.end_offset <= safe_end => waiters.pop_front(),
                    _ => None,
                }
            };
            let Some(next) = next else { return };
            next.waiter.done(next.index, Ok(()));
        }
    }

    pub(super) fn tell_all(&self, error: LogError) {
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        for waiter in waiters {
            waiter.waiter.done(waiter.index, Err(error.clone()));
        }
        let watchers = std::mem::take(&mut *self.watchers.borrow_mut());
        watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.ended());
    }

    pub(super) fn advance_watchers(&self, all: u64) {
        if self.watchers.borrow().is_empty() {
            return;
        }
        let (stable, decided) = self.stable();
        let before = self.told_stable.replace((stable, decided));
        let committed = match before {
            (told, _) if told == stable => 0,
            (_, true) if decided => all,
            _ => u64::MAX,
        };
        let more = MoreBytes { all, committed };
        let watchers = std::mem::take(&mut *self.watchers.borrow_mut());
        let mut kept: Vec<Weak<dyn EndWatcher>> = watchers
            .into_iter()
            .filter(|weak| weak.upgrade().is_some_and(|watcher| watcher.advanced(more)))
            .collect();
        self.watchers.borrow_mut().append(&mut kept);
    }
}
