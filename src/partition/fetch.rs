//! Reads on the owning shard, waiting for more where there is too little.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelane_shards::log::batch::BatchHeader;
use corelane_shards::log::{EndWatcher, MoreBytes};
use corelane_shards::runtime::timeout;

use super::{error_code, FetchEntry, FetchGroup, FetchOutcome, Partition, PartitionTable};
use crate::wire::ErrorCode;

/// What a waiting fetch is woken by: enough new bytes, a failed log, or a call for an answer now.
#[derive(Default)]
pub struct FetchWatch {
    missing: Cell<u64>,
    read_committed: Cell<bool>,
    woken: Cell<bool>,
    answer_now: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl FetchWatch {
    /// Ends the waiting for good: the fetch answers with what there is.
    pub fn answer_now(&self) {
        self.answer_now.set(true);
        self.wake();
    }

    /// Waits anew, for so many bytes; of decided transactions alone where it reads committed records.
    pub fn arm(&self, missing: u64, read_committed: bool) {
        self.woken.set(false);
        self.missing.set(missing);
        self.read_committed.set(read_committed);
    }

    /// Whether an answer is wanted now.
    pub fn is_called(&self) -> bool {
        self.answer_now.get()
    }

    /// As a log keeps it.
    pub fn weak(watch: &Rc<FetchWatch>) -> Weak<dyn EndWatcher> {
        Rc::downgrade(watch) as Weak<dyn EndWatcher>
    }

    /// Has the fetch look again.
    pub fn wake(&self) {
        self.woken.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until there is a reason to look again.
    pub async fn woken(&self) {
        poll_fn(|cx| {
            if self.woken.get() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl EndWatcher for FetchWatch {
    fn advanced(&self, more: MoreBytes) -> bool {
        let bytes = if self.read_committed.get() { more.committed } else { more.all };
        self.missing.set(self.missing.get().saturating_sub(bytes));
        if self.missing.get() == 0 {
            self.wake();
        }
        !self.woken.get()
    }

    fn ended(&self) {
        self.wake();
    }
}

/// Reads all entries; where they hold fewer than `min_bytes`, waits for more, for an error, for
/// `max_wait_ms`, or for [`FetchWatch::answer_now`].
pub async fn fetch(
    table: &PartitionTable,
    group: &FetchGroup,
    watch: &Rc<FetchWatch>,
) -> Vec<FetchOutcome> {
    let deadline = Instant::now() + Duration::from_millis(group.max_wait_ms);
    loop {
        let outcomes = read_all(table, group).await;
        let bytes: usize = outcomes.iter().flat_map(|o| &o.records).map(Bytes::len).sum();
        let failed = outcomes.iter().any(|o| o.error_code != 0 || o.diverging.is_some());
        let left = deadline.saturating_duration_since(Instant::now());
        if bytes >= group.min_bytes || failed || left.is_zero() || watch.answer_now.get() {
            return outcomes;
        }
        watch.arm((group.min_bytes - bytes) as u64, group.read_committed);
        if !register(table, group, &outcomes, watch) {
            continue; // more has come since it was read
        }
        timeout(left, watch.woken()).await;
    }
}

/// Watches every partition, unless one has moved on since it was read: no await lies between that
/// check and the watch, so no wake-up is lost.
fn register(
    table: &PartitionTable,
    group: &FetchGroup,
    outcomes: &[FetchOutcome],
    watch: &Rc<FetchWatch>,
) -> bool {
    let partitions: Vec<_> = group.entries.iter().map(|entry| table.get(&entry.key)).collect();
    let unchanged = partitions.iter().zip(outcomes).all(|(partition, outcome)| {
        partition.as_ref().is_some_and(|p| match group.read_committed {
            true => p.log.last_stable() == outcome.last_stable_offset,
            false => p.log.safe_end() == outcome.high_watermark,
        })
    });
    if unchanged {
        partitions.iter().flatten().for_each(|p| p.log.watch(FetchWatch::weak(watch)));
    }
    unchanged
}

async fn read_all(table: &PartitionTable, group: &FetchGroup) -> Vec<FetchOutcome> {
    let mut left = group.max_bytes;
    let mut outcomes = Vec::with_capacity(group.entries.len());
    let mut nothing_yet = true;
    for entry in &group.entries {
        let limit = entry.max_bytes.min(left);
        let read = read_one(table, entry, group.read_committed, limit, nothing_yet).await;
        let outcome = read.unwrap_or_else(FetchOutcome::error);
        let bytes: usize = outcome.records.iter().map(Bytes::len).sum();
        nothing_yet &= bytes == 0;
        left = left.saturating_sub(bytes);
        outcomes.push(outcome);
    }
    outcomes
}

async fn read_one(
    table: &PartitionTable,
    entry: &FetchEntry,
    read_committed: bool,
    limit: usize,
    at_least_one: bool,
) -> Result<FetchOutcome, ErrorCode> {
    let partition = table.find(&entry.key)?;
    partition.check_epoch(entry.leader_epoch)?;
    let log = &partition.log;
    let diverging = diverging(&partition, entry).await?;
    let (high_watermark, last_stable_offset) = (log.safe_end(), log.last_stable());
    let end = if read_committed { last_stable_offset } else { high_watermark };
    let failed = |error: corelane_shards::log::LogError| {
        let code = error_code(&error);
        if code == ErrorCode::CorruptMessage || code == ErrorCode::KafkaStorageError {
            tracing::error!("fetch: {error}");
        }
        code
    };
    let records = match diverging {
        Some(_) => Vec::new(),
        None => match log.read_cached(entry.offset, end, limit, at_least_one).map_err(failed)? {
            Some(records) => records,
            None => log.read(entry.offset, end, limit, at_least_one).await.map_err(failed)?,
        },
    };
    let aborted = match last_offset(&records) {
        Some(last) if read_committed => log.aborted_between(entry.offset, last + 1),
        _ => Vec::new(),
    };
    Ok(FetchOutcome {
        error_code: 0,
        high_watermark,
        last_stable_offset,
        log_start_offset: log.log_start(),
        aborted: aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect(),
        diverging,
        records,
    })
}

/// Where the log parts from what the client has read (KIP-320, KIP-595), if it does.
async fn diverging(
    partition: &Partition,
    entry: &FetchEntry,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let (fetched, current) = (entry.last_fetched_epoch, partition.leader_epoch.get());
    let log = &partition.log;
    if fetched < 0 || (fetched == current && entry.offset <= log.log_end()) {
        return Ok(None);
    }
    let epochs = log.leader_epochs().await.map_err(|_| ErrorCode::KafkaStorageError)?;
    let (epoch, end) =
        epochs.end_of(fetched, current, log.log_end()).ok_or(ErrorCode::OffsetOutOfRange)?;
    Ok((epoch < fetched || end < entry.offset).then_some((epoch, end)))
}

/// The last offset of whole batches, which may lie in several pieces.
fn last_offset(pieces: &[Bytes]) -> Option<i64> {
    let mut last = None;
    let mut skip = 0;
    let mut rest = pieces;
    while let Some((piece, behind)) = rest.split_first() {
        if skip >= piece.len() {
            (skip, rest) = (skip - piece.len(), behind);
            continue;
        }
        let header = match BatchHeader::peek(&piece[skip..]) {
            Some(header) => header,
            // Its header goes on in the next piece.
            None => BatchHeader::peek(&[&piece[skip..], behind.first()?].concat())?,
        };
        last = Some(header.last_offset());
        skip += usize::try_from(header.claimed_size()).ok()?;
    }
    last
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use corelane_shards::log::batch::{assign, build};

    #[test]
    fn the_last_batch_is_found_wherever_it_is_cut() {
        let mut bytes = Vec::new();
        for offset in [5, 7, 9] {
            let mut batch = build::batch(&[b"one", b"two"], 1, None);
            assign(&mut batch, offset, 0);
            bytes.extend_from_slice(&batch);
        }
        let whole = Bytes::from(bytes);
        for cut in 0..whole.len() {
            let pieces = [whole.slice(..cut), whole.slice(cut..)];
            assert_eq!(super::last_offset(&pieces), Some(10), "cut at {cut}");
        }
        assert_eq!(super::last_offset(&[]), None);
    }
}
