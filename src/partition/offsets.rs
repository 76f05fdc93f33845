//! Offsets by time or by name, and the ends of leader epochs.

use std::rc::Rc;

use corelane_shards::log::batch::{first_at_or_after, BatchHeader, Codec};
use corelane_shards::log::{Log, LogError};
use corelane_shards::runtime::spawn_blocking;

use super::{error_code, EpochEnd, EpochQuery, OffsetFound, OffsetQuery, PartitionTable};
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
    let end = if query.read_committed { log.last_stable() } else { log.safe_end() };
    let found = match query.timestamp {
        LATEST => Some((end, -1)),
        EARLIEST | EARLIEST_LOCAL => Some((log.log_start(), -1)),
        LATEST_TIERED => None,
        MAX_TIMESTAMP => match log.max_timestamp().await.map_err(|e| error_code(&e))? {
            Some(max) => at_time(log, max, end).await.map_err(|e| error_code(&e))?,
            None => None,
        },
        time if time >= 0 => at_time(log, time, end).await.map_err(|e| error_code(&e))?,
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    let (offset, timestamp) = found.unwrap_or((-1, -1));
    let leader_epoch = if found.is_some() { partition.leader_epoch.get() } else { -1 };
    Ok(OffsetFound { error_code: 0, timestamp, offset, leader_epoch })
}

/// The first record at or after a time. Compressed batches are undone on the helper thread. Where
/// one cannot be, its first record stands for it: a consumer then gets a few records too early,
/// none too late.
async fn at_time(log: &Rc<Log>, time_ms: i64, end: i64) -> Result<Option<(i64, i64)>, LogError> {
    let Some(batch) = log.batch_at_time(time_ms, end).await? else { return Ok(None) };
    let Some(header) = BatchHeader::peek(&batch) else { return Ok(None) };
    let found = match header.codec() {
        Ok(Codec::None) => first_at_or_after(&batch, time_ms),
        _ => spawn_blocking(move || first_at_or_after(&batch, time_ms)).await,
    };
    let whole = (header.base_offset.get(), header.max_timestamp.get());
    let (offset, timestamp) = found.ok().flatten().unwrap_or(whole);
    Ok(Some((offset.max(log.log_start()), timestamp)))
}

/// Where each of the leader epochs asked for ends.
pub async fn epoch_ends(table: &PartitionTable, queries: &[EpochQuery]) -> Vec<EpochEnd> {
    let mut ends = Vec::with_capacity(queries.len());
    for query in queries {
        let (error_code, found) = match epoch_end(table, query).await {
            Ok(found) => (0, found),
            Err(code) => (code.code(), None),
        };
        let (leader_epoch, end_offset) = found.unwrap_or((-1, -1));
        ends.push(EpochEnd { error_code, leader_epoch, end_offset });
    }
    ends
}

async fn epoch_end(
    table: &PartitionTable,
    query: &EpochQuery,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let partition = table.find(&query.key)?;
    partition.check_epoch(query.current_leader_epoch)?;
    let epochs = partition.log.leader_epochs().await;
    let epochs = epochs.map_err(|_| ErrorCode::KafkaStorageError)?;
    let log_end = partition.log.log_end();
    Ok(epochs.end_of(query.leader_epoch, partition.leader_epoch.get(), log_end))
}
