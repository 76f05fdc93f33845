//! Deleting records: on demand, and what is expired.

use std::path::PathBuf;
use std::time::Duration;

use corelane_shards::disk::fill_reserve;
use corelane_shards::runtime::{sleep, spawn_blocking};

use super::{error_code, PartitionTable, Trim};
use crate::clock::now_ms;
use crate::wire::ErrorCode;

/// Moves each partition's log start offset up and deletes the segments before it.
pub async fn trim_all(table: &PartitionTable, trims: &[Trim]) -> Vec<Result<i64, ErrorCode>> {
    let mut starts = Vec::with_capacity(trims.len());
    for trim in trims {
        starts.push(trim_one(table, trim).await);
    }
    starts
}

async fn trim_one(table: &PartitionTable, trim: &Trim) -> Result<i64, ErrorCode> {
    let partition = table.find(&trim.key)?;
    let offset = if trim.offset == -1 { partition.log.safe_end() } else { trim.offset };
    let start = partition.log.delete_records(offset).await.map_err(|e| error_code(&e))?;
    if let Err(error) = partition.log.delete_expired(now_ms()).await {
        tracing::warn!("segments before offset {start} stay for now: {error}");
    }
    Ok(start)
}

/// What was used on a full disk is there again when there is space.
async fn fill_reserves(log_dirs: &[PathBuf]) {
    for dir in log_dirs.iter().cloned() {
        let filled = spawn_blocking(move || fill_reserve(&dir).map_err(|e| (dir, e))).await;
        if let Err((dir, error)) = filled {
            let dir = dir.display();
            tracing::warn!(%dir, "no space in reserve for deleting when the disk is full: {error}");
        }
    }
}

/// Deletes what is expired of a shard's partitions, for ever: one look at all of them each
/// `interval`. Keeps the reserves of `log_dirs` full.
pub async fn delete_expired(table: &PartitionTable, interval: Duration, log_dirs: &[PathBuf]) {
    loop {
        fill_reserves(log_dirs).await;
        sleep(interval).await;
        for key in table.keys() {
            let Some(partition) = table.get(&key) else { continue };
            if let Err(error) = partition.log.delete_expired(now_ms()).await {
                tracing::warn!("old segments stay for now: {error}");
            }
        }
    }
}
