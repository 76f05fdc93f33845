//! What a stop in the middle of a move left, and what is to become of it.

use std::path::{Path, PathBuf};

use super::MOVED_AWAY_FILE;
use crate::disk::{self, DiskError};
use crate::log::log_dir::DELETED_SUFFIX;
use crate::runtime::TaskQueue;

/// Ends the name of a directory that a log is being copied to, as in Kafka.
pub const FUTURE_SUFFIX: &str = "-future";

/// Where a partition's directory belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In the log directory of this number.
    In(usize),
    /// Somebody else sees to it.
    NotOurs,
    /// There is no such partition.
    Nowhere,
}

/// A move that was not decided: its copy is gone, it may begin again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedMove {
    pub partition: String,
    /// Number of the log directory it was on its way to.
    pub to: usize,
}

/// Brings moves to their end that were decided, and forgets the others, before any log is opened.
/// `home` knows where the partition directory of a name belongs.
///
/// # Errors
/// A directory cannot be read or changed.
pub async fn settle_moves(
    log_dirs: &[PathBuf],
    home: impl Fn(&str) -> Home,
    background: TaskQueue,
) -> Result<Vec<UnfinishedMove>, DiskError> {
    let mut unfinished = Vec::new();
    for (number, log_dir) in log_dirs.iter().enumerate() {
        let names: Vec<String> = disk::list_dir(log_dir).await?.into_iter().map(|n| n.0).collect();
        for name in &names {
            let Some(partition) = of_future(name) else {
                remove_moved_away(log_dir, name, number, home(name), background).await?;
                continue;
            };
            match home(partition) {
                Home::NotOurs => {}
                Home::In(at) if at == number && !names.iter().any(|n| n == partition) => {
                    tracing::info!(partition, dir = %log_dir.display(), "a move is brought to its end");
                    disk::rename(&log_dir.join(name), &log_dir.join(partition)).await?;
                }
                at => {
                    remove(log_dir, name, background).await?;
                    if matches!(at, Home::In(at) if at != number) {
                        let partition = partition.to_string();
                        unfinished.push(UnfinishedMove { partition, to: number });
                    }
                }
            }
        }
    }
    Ok(unfinished)
}

/// The partition directory's name in `<topic>-<n>.<32 digits>-future`.
fn of_future(name: &str) -> Option<&str> {
    let (partition, unique) = name.strip_suffix(FUTURE_SUFFIX)?.rsplit_once('.')?;
    let is_unique = unique.len() == 32 && unique.bytes().all(|b| b.is_ascii_hexdigit());
    is_unique.then_some(partition)
}

async fn remove_moved_away(
    log_dir: &Path,
    name: &str,
    number: usize,
    home: Home,
    background: TaskQueue,
) -> Result<(), DiskError> {
    let elsewhere = matches!(home, Home::In(at) if at != number);
    if !elsewhere || disk::read_small(&log_dir.join(name).join(MOVED_AWAY_FILE)).await?.is_none() {
        return Ok(());
    }
    remove(log_dir, name, background).await
}

/// Gives a directory a name under which it is never used again, and removes it by and by.
async fn remove(log_dir: &Path, name: &str, background: TaskQueue) -> Result<(), DiskError> {
    let from = log_dir.join(name);
    let aside = log_dir.join(format!("{name}{DELETED_SUFFIX}"));
    disk::remove_dir(&aside).await?;
    disk::rename(&from, &aside).await?;
    let remove = async move {
        if let Err(error) = disk::remove_dir(&aside).await {
            tracing::warn!("what a move left stays until the next start: {error}");
        }
    };
    background.spawn(remove).detach();
    Ok(())
}
