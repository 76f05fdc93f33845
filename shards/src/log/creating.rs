//! Many new logs at once.

use std::path::PathBuf;
use std::rc::Rc;

use super::config::LogConfig;
use super::env::LogEnv;
use super::epochs::{self, LeaderEpochs};
use super::error::LogError;
use super::journal::LogId;
use super::log::Log;
use super::segment::{file_path, SEGMENT_FILES};
use crate::disk::{self, NewDir};

/// A log that is to be made.
pub struct NewLog {
    pub dir: PathBuf,
    pub id: LogId,
    pub config: LogConfig,
    /// What `partition.metadata` says.
    pub metadata: String,
}

impl Log {
    /// Makes empty logs in new directories, durably: all with one wait for the disk. `None` for one whose
    /// directory is there already, which is left as it is.
    pub async fn create_all(
        env: &Rc<LogEnv>,
        logs: Vec<NewLog>,
    ) -> Vec<Result<Option<Rc<Log>>, LogError>> {
        let dir = |log: &NewLog| {
            let mut files = vec![
                ("partition.metadata".to_string(), log.metadata.clone().into_bytes()),
                (epochs::FILE.to_string(), LeaderEpochs::first(0).encode().into_bytes()),
            ];
            for extension in &SEGMENT_FILES[..3] {
                let path = file_path(&log.dir, 0, extension);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                files.push((name.into_owned(), Vec::new()));
            }
            NewDir { path: log.dir.clone(), files }
        };
        let made = disk::create_dirs(logs.iter().map(dir).collect()).await;
        let open = |(log, made): (NewLog, Result<bool, disk::DiskError>)| match made? {
            true => Ok(Some(Log::empty(env, &log.dir, log.id, log.config))),
            false => Ok(None),
        };
        logs.into_iter().zip(made).map(open).collect()
    }
}
