//! Whether a log directory can still be trusted: the first failed write or sync takes all of its
//! partitions offline, on every shard, and no others.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use super::env::LogEnv;
use super::error::LogError;
use super::log::Log;

/// Writes are taken to go on for so long after the last.
const WRITING_FOR_MS: u64 = 100;

/// One log directory's state, shared by all shards; read by each append, written once.
pub struct DirHealth {
    path: PathBuf,
    offline: AtomicBool,
    /// When batches were written last, in ms after [`DirHealth::new`]; 0: never.
    written_ms: AtomicU64,
    since: Instant,
    on_failure: Box<dyn Fn() + Send + Sync>,
}

impl DirHealth {
    /// `on_failure` is called once, on the shard whose disk operation failed.
    pub fn new(path: &Path, on_failure: impl Fn() + Send + Sync + 'static) -> Arc<DirHealth> {
        Arc::new(DirHealth {
            path: path.to_path_buf(),
            offline: AtomicBool::new(false),
            written_ms: AtomicU64::new(0),
            since: Instant::now(),
            on_failure: Box::new(on_failure),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }

    /// Tells the readers of all shards that batches are written.
    fn note_write(&self) {
        self.written_ms.store(self.now_ms() + 1, Ordering::Relaxed);
    }

    /// Whether batches were written to it a moment ago: cold reads leave it to writers then.
    pub fn is_written_to(&self) -> bool {
        let written = self.written_ms.load(Ordering::Relaxed);
        written > 0 && self.now_ms() < written + WRITING_FOR_MS
    }

    fn fail(&self, reason: &str) {
        if !self.offline.swap(true, Ordering::Relaxed) {
            tracing::error!(
                dir = %self.path.display(),
                "{reason}; the log directory is offline until the broker is restarted, the others \
                 go on: check the disk"
            );
            (self.on_failure)();
        }
    }
}

impl LogEnv {
    /// Takes the log directory of `partition_dir` offline, with all of its logs.
    pub(super) fn fail_dir_of(&self, partition_dir: &Path, reason: &str) {
        let Some(health) = self.health_of(partition_dir) else { return };
        health.fail(reason);
        let same_dir = |log: &std::rc::Rc<Log>| log.dir().parent() == partition_dir.parent();
        for log in self.logs().into_iter().filter(same_dir) {
            log.go_offline(reason);
        }
    }
}

impl Log {
    /// Takes the log directory offline, with all of its logs.
    pub(super) fn fail_dir(&self, reason: &str) {
        self.env.fail_dir_of(&self.dir(), reason);
    }

    /// Ends this log's writing and everybody's waiting, for a reason of its own or of its directory.
    pub(super) fn go_offline(&self, reason: &str) {
        if self.has_failed() {
            return;
        }
        self.state.borrow_mut().fail(reason.to_string());
        self.tell_all(LogError::Offline(reason.to_string()));
        self.settled.notify();
    }

    pub(super) fn note_write(&self) {
        self.health.borrow().iter().for_each(|health| health.note_write());
    }

    /// Whether batches are written to the log directory now, by any shard.
    pub(super) fn is_beside_writes(&self) -> bool {
        self.health.borrow().as_ref().is_some_and(|health| health.is_written_to())
    }

    /// Whether another shard has found that the directory failed.
    pub(super) fn check_dir(&self) -> Result<(), LogError> {
        match &*self.health.borrow() {
            Some(health) if health.is_offline() => {
                let reason = "its log directory failed";
                self.go_offline(reason);
                Err(LogError::Offline(reason.to_string()))
            }
            _ => Ok(()),
        }
    }
}
