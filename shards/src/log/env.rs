use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::blocks::BlockCache;
use super::health::DirHealth;
use super::journal::Journals;
use super::loads::BlockLoads;
use super::log::Log;
use super::moving::Moves;
use crate::disk::{DiskError, HandleCache, Removals};
use crate::runtime::{Gate, Growth, MemoryAhead, TaskQueue};

/// What all logs of one shard share. Created by the shard, lives on it.
pub struct LogEnv {
    pub handles: HandleCache,
    pub tail: TailCache,
    pub blocks: BlockCache,
    pub loads: BlockLoads,
    pub(super) journals: Journals,
    pub(super) moves: Moves,
    pub(super) removals: Removals,
    pub foreground: TaskQueue,
    pub background: TaskQueue,
    /// Writers hold a pass while they run: shutdown waits for them.
    pub gate: Gate,
    dirs: RefCell<Vec<Arc<DirHealth>>>,
    logs: RefCell<Vec<Weak<Log>>>,
    pub(super) recovery_point_bytes: u64,
    pub(super) try_again_after: Duration,
    pub(super) clear_ahead_bytes: u64,
    /// A log clears what comes next: one at a time.
    pub(super) clearing: Cell<bool>,
    next_log_id: Cell<u64>,
}

/// Memory a shard's logs may use and how many files they may keep open.
#[derive(Debug, Clone, Copy)]
pub struct LogEnvLimits {
    /// Recently appended batches kept for tail readers, in bytes.
    pub tail_bytes: usize,
    /// Blocks read from disk kept for other readers, in bytes. Apart from the tail, so that a
    /// reader of old data cannot evict it.
    pub block_bytes: usize,
    pub open_files: usize,
    /// Size of a journal file; 0: no journal.
    pub journal_file_bytes: u64,
    /// Batches of one log that are made durable in the journal are at most this many bytes; larger
    /// ones go to their segment at once.
    pub journal_batch_bytes: usize,
    /// Bytes of a log between two recovery points, at least; 0: there are none.
    pub recovery_point_bytes: u64,
    /// Most bytes of a log that are written with zeros before they are needed, a multiple of 4096;
    /// 0: none.
    pub clear_ahead_bytes: u64,
    /// Time between two tries to write where a disk had no space.
    pub try_again_after: Duration,
}

impl LogEnv {
    pub fn new(limits: LogEnvLimits, foreground: TaskQueue, background: TaskQueue) -> Rc<LogEnv> {
        Rc::new(LogEnv {
            handles: HandleCache::new(limits.open_files),
            tail: TailCache::new(limits.tail_bytes),
            blocks: BlockCache::new(limits.block_bytes),
            loads: BlockLoads::default(),
            journals: Journals::new(limits.journal_file_bytes, limits.journal_batch_bytes),
            moves: Moves::default(),
            removals: Removals::default(),
            foreground,
            background,
            gate: Gate::new(),
            dirs: RefCell::default(),
            logs: RefCell::default(),
            recovery_point_bytes: limits.recovery_point_bytes,
            try_again_after: limits.try_again_after,
            clear_ahead_bytes: limits.clear_ahead_bytes,
            clearing: Cell::new(false),
            next_log_id: Cell::new(0),
        })
    }

    /// Keeps at most so many files open from now on; those in use stay open beyond it.
    pub fn keep_open(&self, files: usize) {
        self.handles.resize(files);
    }

    /// From now on memory is made ready before the caches of this shard, one of `shards`, grow into it.
    pub fn make_ready_with(&self, ahead: &MemoryAhead, shards: usize) {
        self.tail.growth.get_or_init(|| ahead.growth(shards));
        self.blocks.grow_with(ahead.growth(shards));
    }

    /// Says which log directories there are, before any log is opened. A log in another one fails
    /// alone.
    pub fn watch_dirs(&self, dirs: Vec<Arc<DirHealth>>) {
        *self.dirs.borrow_mut() = dirs;
    }

    /// Whether a log directory has failed.
    pub fn is_offline(&self, dir: &Path) -> bool {
        self.dirs.borrow().iter().any(|health| health.path() == dir && health.is_offline())
    }

    pub(super) fn health_of(&self, dir: &Path) -> Option<Arc<DirHealth>> {
        let dirs = self.dirs.borrow();
        dirs.iter().find(|health| Some(health.path()) == dir.parent()).cloned()
    }

    pub(super) fn register(&self, log: &Rc<Log>) {
        let mut logs = self.logs.borrow_mut();
        if logs.len() >= 64 && logs.len().is_power_of_two() {
            logs.retain(|log| log.strong_count() > 0);
        }
        logs.push(Rc::downgrade(log));
    }

    pub(super) fn logs(&self) -> Vec<Rc<Log>> {
        self.logs.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    /// Removes the journals, once every log of the shard was closed in order.
    ///
    /// # Errors
    /// What the disk answers: the next start reads them, in vain.
    pub async fn remove_journals(&self) -> Result<(), DiskError> {
        self.journals.remove().await
    }

    pub(super) fn take_log_id(&self) -> u64 {
        let id = self.next_log_id.get();
        self.next_log_id.set(id + 1);
        id
    }
}

/// Bounds the batches that a shard's logs keep in memory: the oldest of all go first, whatever
/// partition they belong to. Batches still to be written stay; the request budget bounds those.
pub struct TailCache {
    limit: usize,
    used: Cell<usize>,
    order: RefCell<VecDeque<(Weak<Log>, u32)>>,
    growth: OnceCell<Growth>,
}

/// What keeping a batch takes beside its bytes.
const BATCH_OVERHEAD: usize = 128;

impl TailCache {
    fn new(limit: usize) -> Self {
        TailCache { limit, used: Cell::new(0), order: RefCell::default(), growth: OnceCell::new() }
    }

    /// Bytes of batches in memory.
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// Whether batches can be kept without others having to go first.
    pub(super) fn has_room(&self) -> bool {
        self.used.get() < self.limit
    }

    /// Notes a batch that `log` has just kept, or memory of no log that is held as long as batches
    /// of now, and where in memory that is. No log's state may be borrowed.
    pub(super) fn charge(&self, log: Weak<Log>, memory: usize, at: usize) {
        let memory = memory + BATCH_OVERHEAD;
        self.used.set(self.used.get() + memory);
        self.order.borrow_mut().push_back((log, memory as u32));
        if let Some(growth) = self.growth.get() {
            growth.holds(self.used.get(), at);
        }
        self.shrink();
    }

    pub(super) fn shrink(&self) {
        while self.used.get() > self.limit {
            let Some((log, memory)) = self.order.borrow().front().cloned() else { return };
            // A log that is gone has dropped its batches already.
            if let Some(log) = log.upgrade() {
                if !log.evict_oldest() {
                    log.write_behind();
                    return;
                }
            }
            self.order.borrow_mut().pop_front();
            self.used.set(self.used.get() - memory as usize);
        }
    }
}
