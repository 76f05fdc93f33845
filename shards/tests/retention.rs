//! What a log deletes, on a real disk: by age, by size and on demand; over crashes; under readers.

mod support;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use bytes::BytesMut;
use corelane_shards::log::batch::build;
use corelane_shards::log::{Durability, Log, LogConfig, LogEnv, LogError};
use corelane_shards::runtime::yield_now;
use support::{on_shard, reopen, LOG};

/// Five batches of 3,000 bytes fill a segment.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 16_000,
        retention_ms: -1,
        delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

async fn create(env: &Rc<LogEnv>, dir: &Path, config: LogConfig) -> Rc<Log> {
    Log::create(env, dir, LOG, config, "version: 0\n".to_string()).await.expect("creates")
}

/// Appends one record per batch, `n` with timestamp `n`, and waits until all are written and every
/// full segment is closed.
async fn fill(log: &Rc<Log>, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let bytes = build::batch(&[&[7; 3_000]], number, None);
        let durable = Durability::Durable;
        log.append(BytesMut::from(&bytes[..]), 0, durable, number, None).expect("appends");
    }
    while log.dirty_bytes() > 0 {
        yield_now().await;
    }
}

fn files(dir: &Path, extension: &str) -> usize {
    let names = fs::read_dir(dir).expect("lists").map(|e| e.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().ends_with(extension)).count()
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed().as_secs() < 20, "never: {what}");
        yield_now().await;
    }
}

#[test]
fn the_oldest_segments_go_when_there_are_too_many_bytes() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let keep = LogConfig { retention_bytes: 40_000, ..config() };
        let log = create(&env, &path, keep.clone()).await;
        fill(&log, 0..23).await;
        assert_eq!(files(&path, ".log"), 5);
        // 23 batches of a little more than 3,000 bytes: the excess holds one segment of five.
        assert_eq!(log.delete_expired(1_000).await.expect("deletes"), 1);
        assert_eq!(log.log_start(), 5);
        assert_eq!(log.delete_expired(1_000).await.expect("deletes"), 0);
        let gone = log.read(4, 23, 100, true).await;
        assert!(matches!(gone, Err(LogError::OffsetOutOfRange { start: 5, .. })), "{gone:?}");
        assert!(!log.read(5, 23, 100, true).await.expect("reads").is_empty());
        eventually("the files are removed", || files(&path, ".deleted") == 0).await;
        assert_eq!((files(&path, ".log"), files(&path, ".index")), (4, 3));
        drop(log);
        let (log, _) = reopen(&env, &path, keep, false).await.expect("recovers");
        assert_eq!((log.log_start(), log.log_end()), (5, 23));
    });
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, LogConfig { retention_ms: 100, ..config() }).await;
        fill(&log, 0..12).await;
        assert_eq!(log.delete_expired(104).await.expect("deletes"), 0, "4 is not older than 100");
        assert_eq!(log.delete_expired(105).await.expect("deletes"), 1);
        assert_eq!(log.log_start(), 5);
        // The active segment is closed for its age, and deleted when there is another.
        assert_eq!(log.delete_expired(1_000).await.expect("deletes"), 1);
        eventually("the next segment has its file", || files(&path, ".log") == 2).await;
        eventually("and the one before is closed", || files(&path, ".index") == 1).await;
        while log.delete_expired(1_000).await.expect("deletes") == 0 {
            yield_now().await;
        }
        assert_eq!((log.log_start(), log.log_end()), (12, 12), "empty, and offsets go on");
        fill(&log, 2_000..2_001).await;
        assert_eq!(log.log_end(), 13);
        log.close().await.expect("closes");
        let (log, _) = reopen(&env, &path, config(), true).await.expect("recovers");
        assert_eq!((log.log_start(), log.log_end()), (12, 13));
    });
}

#[test]
fn nothing_goes_from_a_compacted_log_for_its_age_or_size() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = LogConfig { delete: false, retention_ms: 1, retention_bytes: 1, ..config() };
        let log = create(&env, &dir.path().join("t-0"), keep).await;
        fill(&log, 0..12).await;
        assert_eq!(log.delete_expired(1_000_000).await.expect("looks"), 0);
    });
}

#[test]
fn records_deleted_on_demand_stay_deleted() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, config()).await;
        fill(&log, 0..12).await;
        let beyond = log.delete_records(13).await;
        assert!(matches!(beyond, Err(LogError::OffsetOutOfRange { .. })), "{beyond:?}");
        assert_eq!(log.delete_records(7).await.expect("deletes"), 7);
        assert_eq!(log.delete_records(3).await.expect("never goes back"), 7);
        assert_eq!(log.delete_expired(0).await.expect("deletes"), 1, "the first segment");
        assert!(log.read(6, 12, 100, true).await.is_err());
        drop(log);
        let (log, _) = reopen(&env, &path, config(), false).await.expect("recovers");
        assert_eq!((log.log_start(), log.log_end()), (7, 12));
        assert_eq!(log.delete_records(12).await.expect("all of it"), 12);
        assert_eq!(log.delete_expired(0).await.expect("deletes"), 1, "the active one stays");
    });
}

#[test]
fn what_an_earlier_process_left_is_removed_at_start() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let slow = LogConfig { retention_bytes: 0, delete_delay_ms: 3_600_000, ..config() };
        let log = create(&env, &path, slow.clone()).await;
        fill(&log, 0..12).await;
        assert_eq!(log.delete_expired(0).await.expect("deletes"), 2);
        assert_eq!(files(&path, ".log.deleted"), 2, "readers may still have them open");
        drop(log);
        let (log, _) = reopen(&env, &path, slow, false).await.expect("recovers");
        assert_eq!(files(&path, ".deleted"), 0);
        assert_eq!((log.log_start(), log.log_end()), (10, 12));
    });
}
