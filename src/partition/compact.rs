//! Compaction of a shard's partitions: the most needy first, one at a time, in the background.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use corelane_shards::log::Cleaner;
use corelane_shards::runtime::sleep;

use super::{PartitionKey, PartitionTable};
use crate::clock::now_ms;

/// Compacts for ever. `settings`: how, and the time between two looks at which partitions need it; asked
/// each time.
pub async fn compact_all(table: &PartitionTable, settings: impl Fn() -> (Cleaner, Duration)) {
    let mut given_up = HashSet::new();
    loop {
        sleep(settings().1).await;
        while let Some(key) = neediest(table, &given_up).await {
            if !compact(table, key, &settings().0).await {
                given_up.insert(key);
            }
        }
    }
}

/// The partition with the largest share of bytes that were never compacted, of those that are due.
async fn neediest(
    table: &PartitionTable,
    given_up: &HashSet<PartitionKey>,
) -> Option<PartitionKey> {
    let mut found: Option<(f64, PartitionKey)> = None;
    for key in table.keys() {
        let Some(partition) = table.get(&key).filter(|_| !given_up.contains(&key)) else {
            continue;
        };
        match partition.log.compaction_due(now_ms()).await {
            Ok(Some(ratio)) if found.is_none_or(|(most, _)| ratio > most) => {
                found = Some((ratio, key));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot tell whether to compact: {error}"),
        }
    }
    found.map(|(_, key)| key)
}

/// Whether the partition may be compacted again.
async fn compact(table: &PartitionTable, key: PartitionKey, cleaner: &Cleaner) -> bool {
    let Some(partition) = table.get(&key) else { return true };
    let log = &partition.log;
    let began = Instant::now();
    match log.compact(cleaner, now_ms()).await {
        Ok(done) => {
            tracing::info!(
                log = %log.dir().display(),
                bytes_before = done.bytes_before,
                bytes_after = done.bytes_after,
                keys = done.keys,
                clean_end = done.clean_end,
                millis = began.elapsed().as_millis() as u64,
                "compacted"
            );
            true
        }
        Err(error) => {
            tracing::error!(
                log = %log.dir().display(),
                "not compacted until the broker is restarted: {error}; \
                 look at the file with `corelane log verify`"
            );
            false
        }
    }
}
