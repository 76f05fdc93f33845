//! Offsets by time or by name, and the ends of leader epochs.

use std::rc::Rc;

use corelane_shards::log::batch::{first_at_or_after, BatchHeader, Codec};
use corelane_shards::log::{Log, LogError};
use corelane_shards::runtime::spawn_blocking;

use super::{
    error_code, EpochEnd, EpochQuery, OffsetFound, OffsetQuery, Partition, PartitionTable,
};
use crate::wire::ErrorCode;

/// Kafka's names for the ends of a log (KIP-734, KIP-405, KIP-1005).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub async fn find_all(table: &PartitionTable, queries: &[OffsetQuery]) -> Vec<OffsetFound> {
    let mut found = Vec::with_capacity(queries.len());
    for query in queries {
        let one = match find(table, query).await {
            Ok(one) => one,
            Err(code) => {
                OffsetFound { error_code: code.code(), timestamp: -1, offset: -1, leader_epoch: -1 }
            }
        };
        found.push(one);
    }
    found
}

async fn find(table: &PartitionTable, query: &OffsetQuery) -> Result<OffsetFound, ErrorCode> {
    let partition = table.find(&query.key)?;
    partition.check_epoch(query.leader_epoch)?;
    let log = &partition.log;
    let found = match query.timestamp {
        LATEST => Some((log.safe_end(), -1)),
        EARLIEST | EARLIEST_LOCAL => Some((log.log_start(), -1)),
        LATEST_TIERED => None,
        MAX_TIMESTAMP => match log.max_timestamp().await.map_err(|e| error_code(&e))? {
            Some(max) => at_time(log, max).await.map_err(|e| error_code(&e))?,
            None => None,
        },
        time if time >= 0 => at_time(log, time).await.map_err(|e| error_code(&e))?,
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    let (offset, timestamp) = found.unwrap_or((-1, -1));
    let leader_epoch = if found.is_some() { partition.leader_epoch.get() } else { -1 };
    Ok(OffsetFound { error_code: 0, timestamp, offset, leader_epoch })
}

/// The first record at or after a time. Compressed batches are undone on the helper thread. Where
/// one cannot be, its first record stands for it: a consumer then gets a few records too early,
/// none too late.
async fn at_time(log: &Rc<Log>, time_ms: i64) -> Result<Option<(i64, i64)>, LogError> {
    let Some(batch) = log.batch_at_time(time_ms, log.safe_end()).await? else { return Ok(None) };
    let Some(header) = BatchHeader::peek(&batch) else { return Ok(None) };
    let found = match header.codec() {
        Ok(Codec::None) => first_at_or_after(&batch, time_ms),
        _ => spawn_blocking(move || first_at_or_after(&batch, time_ms)).await,
    };
    let whole = (header.base_offset.get(), header.max_timestamp.get());
    let (offset, timestamp) = found.ok().flatten().unwrap_or(whole);
    Ok(Some((offset.max(log.log_start()), timestamp)))
}

pub fn epoch_ends(table: &PartitionTable, queries: &[EpochQuery]) -> Vec<EpochEnd> {
    let end = |query: &EpochQuery| match table.find(&query.key) {
        Err(code) => Err(code),
        Ok(partition) => {
            partition.check_epoch(query.current_leader_epoch)?;
            Ok(epoch_end(&partition, query.leader_epoch))
        }
    };
    let failed =
        |code: ErrorCode| EpochEnd { error_code: code.code(), leader_epoch: -1, end_offset: -1 };
    queries.iter().map(|query| end(query).unwrap_or_else(failed)).collect()
}

/// An unreplicated log has had one leader epoch from its start on.
fn epoch_end(partition: &Partition, asked: i32) -> EpochEnd {
    let ours = partition.leader_epoch.get();
    match asked {
        asked if asked == ours => {
            EpochEnd { error_code: 0, leader_epoch: ours, end_offset: partition.log.log_end() }
        }
        _ => EpochEnd { error_code: 0, leader_epoch: -1, end_offset: -1 },
    }
}
