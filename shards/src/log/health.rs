//! Whether a log directory can still be trusted: the first failed write or sync takes all of its
//! partitions offline, on every shard, and no others.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::env::LogEnv;
use super::error::LogError;
use super::log::Log;

/// One log directory's state, shared by all shards; read by each append, written once.
pub struct DirHealth {
    path: PathBuf,
    offline: AtomicBool,
    on_failure: Box<dyn Fn() + Send + Sync>,
}

impl DirHealth {
    /// `on_failure` is called once, on the shard whose disk operation failed.
    pub fn new(path: &Path, on_failure: impl Fn() + Send + Sync + 'static) -> Arc<DirHealth> {
        let (path, offline) = (path.to_path_buf(), AtomicBool::new(false));
        Arc::new(DirHealth { path, offline, on_failure: Box::new(on_failure) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Relaxed)
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
