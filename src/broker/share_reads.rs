//! Records for members of share groups, from the log.

use std::rc::Rc;

use bytes::{Buf, Bytes};
use corelane_shards::log::batch::BatchHeader;
use corelane_shards::log::{Aborted, Log, LogError};

use super::Shard;
use crate::clock::now_ms;
use crate::partition::error_code;
use crate::partition::share::{Acquired, ShareFetch, ShareOutcome};
use crate::share::inflight::LogBatch;
use crate::share::Hold;
use crate::wire::ErrorCode;

/// Reads of a partition for one request: more are in vain only where others are faster each time.
const MOST_READS: usize = 16;

/// What one read found.
struct Found {
    from: i64,
    /// These batches are all that there is up to here.
    to: i64,
    batches: Vec<(LogBatch, Bytes)>,
}

impl Shard {
    /// Takes what there is for a member; whether that is something.
    pub(super) async fn take_shares(
        self: &Rc<Self>,
        fetch: &ShareFetch,
        held: &[Option<Hold>],
        outcomes: &mut [ShareOutcome],
    ) -> bool {
        let (mut bytes, mut records) = (fetch.max_bytes, fetch.max_records);
        for ((entry, held), outcome) in fetch.entries.iter().zip(held).zip(outcomes.iter_mut()) {
            let Some(held) = held.as_ref().filter(|_| entry.wants) else { continue };
            if bytes == 0 || records == 0 {
                break;
            }
            match self.take_share(fetch, held, (bytes, records)).await {
                Ok((pieces, acquired)) => {
                    let taken: i64 = acquired.iter().map(|part| part.last - part.first + 1).sum();
                    records = records.saturating_sub(taken as usize);
                    bytes = bytes.saturating_sub(pieces.iter().map(Bytes::len).sum());
                    (outcome.records, outcome.acquired) = (pieces, acquired);
                }
                Err(code) => outcome.error = Some(code),
            }
        }
        outcomes.iter().any(|outcome| !outcome.acquired.is_empty())
    }

    async fn take_share(
        self: &Rc<Self>,
        fetch: &ShareFetch,
        held: &Hold,
        (bytes, records): (usize, usize),
    ) -> Result<(Vec<Bytes>, Vec<Acquired>), ErrorCode> {
        for _ in 0..MOST_READS {
            let log = Rc::clone(&self.table.find(&held.partition())?.log);
            let next = held.on(|inflight| {
                inflight.trim(log.log_start());
                inflight.next_fetch()
            })?;
            let Some(from) = next else { break };
            let found = match self.read_share(&held.key.group, &log, from, bytes).await {
                Ok(Some(found)) => found,
                Ok(None) => break,
                // The log's beginning has moved meanwhile.
                Err(LogError::OffsetOutOfRange { .. }) if log.log_start() > from => continue,
                Err(error) => return Err(error_code(&error)),
            };
            let batches: Vec<LogBatch> = found.batches.iter().map(|(batch, _)| *batch).collect();
            let (span, sizes) = ((found.from, found.to), (records, fetch.batch_size));
            let acquired = held
                .on(|inflight| inflight.acquire(now_ms(), &fetch.member, span, &batches, sizes))?;
            self.keep_share(held);
            if !acquired.is_empty() {
                let is_meant = |batch: &LogBatch| {
                    acquired.iter().any(|part| part.first <= batch.last && batch.first <= part.last)
                };
                let meant = found.batches.into_iter().filter(|(batch, _)| is_meant(batch));
                return Ok((meant.map(|(_, bytes)| bytes).collect(), acquired));
            }
        }
        Ok((Vec::new(), Vec::new()))
    }

    /// `None`: there is nothing yet.
    async fn read_share(
        &self,
        group: &str,
        log: &Rc<Log>,
        from: i64,
        max_bytes: usize,
    ) -> Result<Option<Found>, LogError> {
        let read_committed = self.share_limits(group).read_committed;
        let end = if read_committed { log.last_stable() } else { log.safe_end() };
        if from >= end {
            return Ok(None);
        }
        let mut pieces = log.read(from, end, max_bytes, true).await?;
        let mut bytes = match pieces.len() {
            1 => pieces.remove(0),
            _ => Bytes::from(pieces.concat()),
        };
        let mut batches = Vec::new();
        let mut to = from;
        while let Some(header) = BatchHeader::peek(&bytes) {
            let size = (header.claimed_size() as usize).min(bytes.remaining());
            let (first, last) = (header.base_offset.get(), header.last_offset());
            to = last + 1;
            let aborted = match read_committed && header.is_transactional() {
                true => is_aborted(&log.aborted_between(first, to), &header),
                false => false,
            };
            let is_data = !header.is_control() && !aborted;
            batches.push((LogBatch { first, last, is_data }, bytes.split_to(size)));
        }
        // Without any, what was looked for is not there any more.
        let to = if batches.is_empty() { end } else { to };
        Ok(Some(Found { from, to, batches }))
    }
}

fn is_aborted(aborted: &[Aborted], header: &BatchHeader) -> bool {
    let (producer_id, first) = (header.producer_id.get(), header.base_offset.get());
    aborted.iter().any(|one| {
        one.producer_id == producer_id && (one.first_offset..one.last_offset).contains(&first)
    })
}
