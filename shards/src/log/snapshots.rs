//! Producer snapshots beside the segments: `<20-digit offset>.snapshot`, holding the producers as
//! they were when that offset was the log end.

use std::path::Path;

use super::producers::Producers;
use super::segment::{file_path, parse_file_name};
use crate::disk::{self, DiskError};

/// Snapshots kept: the newest and, should it be damaged, the one before.
const KEPT: usize = 2;

/// Writes a snapshot for `offset` and removes those that are too old to be of use.
pub(super) async fn write(dir: &Path, offset: i64, content: Vec<u8>) -> Result<(), DiskError> {
    disk::replace_file(&file_path(dir, offset, "snapshot"), content).await?;
    let mut offsets = list(dir).await?;
    offsets.truncate(offsets.len().saturating_sub(KEPT));
    for old in offsets {
        disk::remove_file(&file_path(dir, old, "snapshot")).await?;
    }
    Ok(())
}

/// The newest readable snapshot at or before `offset`, with its offset; an empty one at `start`
/// where there is none.
pub(super) async fn load(
    dir: &Path,
    start: i64,
    offset: i64,
) -> Result<(i64, Producers), DiskError> {
    let offsets = list(dir).await?;
    for at in offsets.into_iter().rev().filter(|at| *at <= offset) {
        let path = file_path(dir, at, "snapshot");
        let content = disk::read_small(&path).await?.unwrap_or_default();
        match Producers::decode(&content) {
            Some(producers) => return Ok((at, producers)),
            None => tracing::warn!(file = %path.display(), "damaged producer snapshot, not used"),
        }
    }
    Ok((start, Producers::default()))
}

/// Offsets of the snapshots in `dir`, ascending.
pub(super) async fn list(dir: &Path) -> Result<Vec<i64>, DiskError> {
    let names = disk::list_dir(dir).await?;
    Ok(names.iter().filter_map(|(name, _)| parse_file_name(name, "snapshot")).collect())
}
