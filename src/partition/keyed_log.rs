//! Logs whose records are a state by key, as `__consumer_offsets` and `__transaction_state` are: read
//! whole when their partition is opened, appended to durably.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use corelane_shards::log::batch::{build, undone_records, BatchHeader, Codec, Record};
use corelane_shards::log::{AppendWaiter, Durability, Log, LogError};
use corelane_shards::runtime::spawn_blocking;
use tokio::sync::oneshot;

use super::{error_code, Partition};
use crate::wire::ErrorCode;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// A key, and its value or a tombstone.
pub type KeyedRecord = (Vec<u8>, Option<Vec<u8>>);

/// Appends records as one batch, now, in the order of the calls; the future is done when they are
/// durable. Nobody has to wait for it.
///
/// # Errors
/// Kafka's code, now or from the future. After an error from the future it is not known whether the
/// records are there at the next start.
pub fn append(
    partition: &Partition,
    records: &[KeyedRecord],
    now_ms: i64,
) -> Result<impl Future<Output = Result<(), ErrorCode>> + use<>, ErrorCode> {
    append_batch(partition, &build::keyed(&pairs(records), now_ms, None, Codec::None), now_ms)
}

/// Records as a batch is made of.
pub fn pairs(records: &[KeyedRecord]) -> Vec<build::Pair<'_>> {
    records.iter().map(|(key, value)| (Some(&key[..]), value.as_deref())).collect()
}

/// [`append`] for a batch that is made already.
///
/// # Errors
/// Those of [`append`].
pub fn append_batch(
    partition: &Partition,
    batch: &[u8],
    now_ms: i64,
) -> Result<impl Future<Output = Result<(), ErrorCode>> + use<>, ErrorCode> {
    let (batch, epoch) = (BytesMut::from(batch), partition.leader_epoch.get());
    let (told, safe) = oneshot::channel();
    let waiter = Rc::new(Told(RefCell::new(Some(told))));
    let appended =
        partition.log.append(batch, epoch, Durability::Durable, now_ms, Some((waiter, 0)));
    appended.map_err(|error| error_code(&error))?;
    Ok(async move {
        match safe.await {
            Ok(done) => done.map_err(|error| error_code(&error)),
            Err(_) => Err(ErrorCode::NotCoordinator),
        }
    })
}

/// Appends records and waits until they are durable.
///
/// # Errors
/// Those of [`append`].
pub async fn append_durably(
    partition: &Partition,
    records: &[KeyedRecord],
    now_ms: i64,
) -> Result<(), ErrorCode> {
    append(partition, records, now_ms)?.await
}

/// Hands each record of a batch to `take`: its key, and its value or a tombstone.
///
/// # Errors
/// The first thing that was wrong; the records behind it are handed on all the same.
pub fn each_record(
    header: &BatchHeader,
    undone: &[u8],
    mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = undone;
    let mut wrong = Ok(());
    for _ in 0..header.record_count.get() {
        let record = Record::take(&mut rest).ok_or("a record is cut off")?;
        let key = record.key.ok_or_else(|| "a record without a key".to_string());
        wrong = wrong.and(key.and_then(|key| take(key, record.value)));
    }
    wrong
}

struct Told(RefCell<Option<oneshot::Sender<Result<(), LogError>>>>);

impl AppendWaiter for Told {
    fn done(&self, _index: usize, result: Result<(), LogError>) {
        if let Some(told) = self.0.borrow_mut().take() {
            // Whoever asked may have gone.
            let _ = told.send(result);
        }
    }
}

/// Hands every batch of a log to `take` in order, its records not compressed any more. What `take`
/// does not understand is logged and left out: one record must not hide all others.
///
/// # Errors
/// The log cannot be read.
pub async fn read_all(
    log: &Rc<Log>,
    mut take: impl FnMut(&BatchHeader, &[u8]) -> Result<(), String>,
) -> Result<(), LogError> {
    let mut next = log.log_start();
    while next < log.log_end() {
        let pieces = log.read(next, log.safe_end(), READ_BYTES, true).await?;
        let mut bytes = Bytes::from(pieces.concat());
        if bytes.is_empty() {
            break;
        }
        while let Some(header) = BatchHeader::peek(&bytes) {
            let batch = bytes.split_to((header.claimed_size() as usize).min(bytes.remaining()));
            let undone = match header.codec() {
                Ok(Codec::None) => undone_records(&header, &batch),
                _ => spawn_blocking(move || undone_records(&header, &batch)).await,
            };
            let taken = undone.map_err(|e| e.to_string());
            if let Err(reason) = taken.and_then(|undone| take(&header, &undone)) {
                let offset = header.base_offset.get();
                tracing::error!(log = %log.dir().display(), offset, "left out: {reason}");
            }
            next = header.last_offset() + 1;
        }
    }
    Ok(())
}
