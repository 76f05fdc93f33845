//! The log on a real disk: appended, crashed, reopened. A crash here is dropping the log without
//! closing it; killing the process is the broker's crash test.

mod support;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::{Rc, Weak};

use bytes::BytesMut;
use corelane_shards::log::batch::{build, transactional, BatchHeader, Marker};
use corelane_shards::log::{
    AppendWaiter, DirHealth, Durability, EndWatcher, Log, LogConfig, LogEnv, LogError, LogId,
    MoreBytes, NewBatch, Recovered,
};
use corelane_shards::runtime::yield_now;
use support::{on_shard, reopen, LOG};

#[derive(Default)]
struct Results(RefCell<Vec<(usize, Result<(), LogError>)>>);

impl AppendWaiter for Results {
    fn done(&self, index: usize, result: Result<(), LogError>) {
        self.0.borrow_mut().push((index, result));
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Watched(RefCell<Vec<MoreBytes>>);

impl EndWatcher for Watched {
    fn advanced(&self, more: MoreBytes) -> bool {
        self.0.borrow_mut().push(more);
        true
    }

    fn ended(&self) {}
}

#[test]
fn watchers_hear_of_committed_records_when_they_may_be_shown() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let log = create(&env, &dir.path().join("t-0"), LogConfig::default()).await;
        let watched = Rc::new(Watched::default());
        log.watch(Rc::downgrade(&watched) as Weak<dyn EndWatcher>);
        let open = transactional(&[(None, Some(b"undecided"))], 5, 7, 0, false);
        let marker = Marker { commit: true, coordinator_epoch: 0 }.batch(7, 0, 5);
        let plain = batch("plain");
        let mut sizes = Vec::new();
        for bytes in [&plain[..], &open, &plain, &marker, &plain] {
            sizes.push(bytes.len() as u64);
            let results = Rc::new(Results::default());
            let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, 0));
            log.append(BytesMut::from(bytes), 0, Durability::Durable, 5, waiter).expect("appends");
            wait_for(&results, 1).await;
        }
        let committed = [sizes[0], 0, 0, u64::MAX, sizes[4]];
        let expected: Vec<_> = sizes.iter().copied().zip(committed).collect();
        let told = watched.0.borrow();
        let told: Vec<_> = told.iter().map(|more| (more.all, more.committed)).collect();
        assert_eq!(told, expected);
    });
}

async fn wait_for(results: &Results, count: usize) {
    while results.0.borrow().len() < count {
        yield_now().await;
    }
}

fn batch(value: &str) -> BytesMut {
    BytesMut::from(&build::batch(&[value.as_bytes(), b"second"], 1_000, None)[..])
}

async fn create(env: &Rc<LogEnv>, dir: &Path, config: LogConfig) -> Rc<Log> {
    Log::create(env, dir, LOG, config, "version: 0\n".to_string()).await.expect("creates")
}

/// Appends `count` batches, some plain and some durable, and waits for all of them.
async fn fill(log: &Rc<Log>, count: usize) {
    let results = Rc::new(Results::default());
    for index in 0..count {
        let level = if index % 3 == 0 { Durability::Durable } else { Durability::Written };
        let value = format!("value-{index}-{}", "x".repeat(index % 900));
        let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, index));
        log.append(batch(&value), 0, level, 5, waiter).expect("appends");
        if index % 7 == 0 {
            yield_now().await;
        }
    }
    wait_for(&results, count).await;
    assert!(results.0.borrow().iter().all(|(_, result)| result.is_ok()));
}

/// All batches from `offset` on, each as (base offset, bytes).
async fn read_all(log: &Rc<Log>, mut offset: i64) -> Vec<(i64, Vec<u8>)> {
    let mut out = Vec::new();
    let end = log.safe_end();
    while offset < end {
        let bytes = log.read(offset, end, 50_000, true).await.expect("reads").concat();
        assert!(!bytes.is_empty(), "stuck at {offset}");
        let mut rest = &bytes[..];
        while let Some(header) = BatchHeader::peek(rest) {
            let len = header.claimed_size() as usize;
            if len > rest.len() {
                break;
            }
            out.push((header.base_offset.get(), rest[..len].to_vec()));
            offset = header.last_offset() + 1;
            rest = &rest[len..];
        }
    }
    out
}

fn offsets(batches: &[(i64, Vec<u8>)]) -> Vec<i64> {
    batches.iter().map(|(offset, _)| *offset).collect()
}

async fn reopen_small(env: &Rc<LogEnv>, dir: &Path, clean: bool) -> (Rc<Log>, Recovered) {
    reopen(env, dir, small_segments(), clean).await.expect("recovers")
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 100_000, ..LogConfig::default() }
}

#[test]
fn batches_are_read_back_from_memory_and_disk_across_segments() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let log = create(&env, &dir.path().join("t-0"), small_segments()).await;
        fill(&log, 600).await;
        let read = read_all(&log, 0).await;
        assert_eq!(offsets(&read), (0..600).map(|n| n * 2).collect::<Vec<i64>>());
        assert!(env.tail.used() <= 64 << 10, "memory is bounded, most was read from disk");
        let from_the_middle = read_all(&log, 601).await;
        assert_eq!(from_the_middle, read[300..].to_vec(), "an offset inside a batch finds it");
        assert!(matches!(
            log.read(1_201, 1_200, 100, true).await,
            Err(LogError::OffsetOutOfRange { .. })
        ));
        let segments = fs::read_dir(log.dir()).expect("lists").count();
        assert!(segments > 9, "several segments were made");
    });
}

#[test]
fn a_cleanly_closed_log_is_opened_without_a_scan_and_goes_on() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, small_segments()).await;
        fill(&log, 300).await;
        let before = read_all(&log, 0).await;
        log.close().await.expect("closes");
        assert!(matches!(
            log.append(batch("late"), 0, Durability::Written, 5, None),
            Err(LogError::Closed)
        ));
        let (log, report) = reopen_small(&env, &path, true).await;
        assert_eq!(report.scanned_segments, 0);
        assert_eq!(read_all(&log, 0).await, before);
        fill(&log, 100).await;
        assert_eq!(offsets(&read_all(&log, 590).await)[..3], [590, 592, 594]);
        assert_eq!(log.log_end(), 800);
    });
}

#[test]
fn a_crashed_log_keeps_all_that_was_acknowledged() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, small_segments()).await;
        fill(&log, 300).await;
        let before = read_all(&log, 0).await;
        drop(log);
        let (log, report) = reopen_small(&env, &path, false).await;
        assert_eq!(report.scanned_segments, 1, "only the last segment can be torn");
        assert_eq!(report.cut_bytes, 0, "preallocated space is no damage");
        assert_eq!(read_all(&log, 0).await, before);
        fill(&log, 10).await;
        assert_eq!(log.log_end(), 620);
    });
}

#[test]
fn a_segment_begun_right_after_a_restart_holds_its_own_bytes_alone() {
    for clean in [true, false] {
        on_shard(move |env| async move {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("t-0");
            let log = create(&env, &path, LogConfig::default()).await;
            fill(&log, 30).await;
            if clean {
                log.close().await.expect("closes");
            }
            drop(log);
            // The first append finds the segment too large and begins another.
            let small = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
            let (log, _) = reopen(&env, &path, small.clone(), clean).await.expect("recovers");
            fill(&log, 1).await;
            let written = read_all(&log, 0).await;
            assert_eq!(offsets(&written), (0..31).map(|n| n * 2).collect::<Vec<i64>>());
            drop(log);
            let (log, report) = reopen(&env, &path, small, false).await.expect("recovers");
            assert_eq!((log.log_end(), report.cut_bytes), (62, 0));
            assert_eq!(read_all(&log, 0).await, written);
        });
    }
}

#[test]
fn a_log_alone_has_its_own_write_and_several_in_one_turn_share_one() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let mut logs = Vec::new();
        for number in 0..3_u8 {
            let path = dir.path().join(format!("t-{number}"));
            let (id, config) = (LogId([number; 20]), LogConfig::default());
            let made = Log::create(&env, &path, id, config, "version: 0\n".to_string()).await;
            logs.push(made.expect("creates"));
        }
        for (together, unwritten) in [(1, false), (3, true)] {
            let results = Rc::new(Results::default());
            for (index, log) in logs[..together].iter().enumerate() {
                let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, index));
                log.append(batch("value"), 0, Durability::Durable, 5, waiter).expect("appends");
            }
            wait_for(&results, together).await;
            assert!(results.0.borrow().iter().all(|(_, result)| result.is_ok()));
            let left = logs[..together].iter().map(|log| log.dirty_bytes() > 0);
            assert_eq!(left.collect::<Vec<_>>(), vec![unwritten; together]);
        }
    });
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_batch_wherever_it_tears() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, LogConfig::default()).await;
        fill(&log, 20).await;
        let whole = read_all(&log, 0).await;
        log.close().await.expect("closes");
        let file = path.join("00000000000000000000.log");
        let bytes = fs::read(&file).expect("reads");
        let last_start = bytes.len() - whole[19].1.len();
        for cut in (last_start + 1..bytes.len()).step_by(7) {
            fs::write(&file, &bytes[..cut]).expect("writes");
            let (log, _) = reopen_small(&env, &path, false).await;
            assert_eq!(log.log_end(), 38, "cut at {cut}");
            assert_eq!(read_all(&log, 0).await, whole[..19].to_vec());
            assert_eq!(fs::metadata(&file).expect("stat").len(), last_start as u64);
        }
    });
}

#[test]
fn missing_and_wrong_indexes_are_built_anew() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("t-0");
        let log = create(&env, &path, small_segments()).await;
        fill(&log, 600).await;
        let before = read_all(&log, 0).await;
        log.close().await.expect("closes");
        for (number, entry) in fs::read_dir(&path).expect("lists").enumerate() {
            let file = entry.expect("an entry").path();
            let extension = file.extension().and_then(|e| e.to_str());
            match extension {
                Some("index") if number % 2 == 0 => fs::remove_file(&file).expect("removes"),
                Some("index" | "timeindex") => fs::write(&file, b"nonsense").expect("writes"),
                _ => {}
            }
        }
        let (log, report) = reopen_small(&env, &path, true).await;
        assert!(report.rebuilt_indexes > 2);
        assert_eq!(read_all(&log, 0).await, before);
    });
}

#[test]
fn producers_are_known_after_clean_stop_and_crash() {
    for clean in [true, false] {
        on_shard(move |env| async move {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("t-0");
            let log = create(&env, &path, small_segments()).await;
            let send = |log: &Rc<Log>, sequence: i32| {
                let producer = build::Producer { id: 77, epoch: 0, sequence };
                let bytes = build::batch(&[&[1; 3_000]], 1_000, Some(producer));
                log.append(BytesMut::from(&bytes[..]), 0, Durability::Durable, 1_000, None)
            };
            for sequence in 0..80 {
                assert_eq!(send(&log, sequence).expect("appends").base_offset, i64::from(sequence));
            }
            while log.dirty_bytes() > 0 {
                yield_now().await;
            }
            if clean {
                log.close().await.expect("closes");
            }
            drop(log);
            let (log, _) = reopen_small(&env, &path, clean).await;
            let again = send(&log, 79).expect("a retry is answered");
            assert!(again.duplicate && again.base_offset == 79);
            let gap = send(&log, 81).expect_err("a batch is missing");
            assert!(matches!(gap, LogError::OutOfOrderSequence { expected: 80, got: 81 }));
            assert_eq!(send(&log, 80).expect("the next").base_offset, 80);
            assert_eq!(log.log_end(), 81);
        });
    }
}

#[test]
fn times_are_found_and_the_largest_is_known() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let log = create(&env, &dir.path().join("t-0"), small_segments()).await;
        let results = Rc::new(Results::default());
        for index in 0..400usize {
            let bytes = build::batch(&[&[2; 800]], 10_000 + index as i64 * 10, None);
            let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, index));
            log.append(BytesMut::from(&bytes[..]), 0, Durability::Written, 0, waiter).expect("ok");
        }
        wait_for(&results, 400).await;
        for (time, offset) in [(0, 0), (10_001, 1), (12_000, 200), (13_990, 399)] {
            let found = log.batch_at_time(time, 400).await.expect("reads").expect("found");
            let header = BatchHeader::peek(&found).expect("a header");
            assert_eq!(header.base_offset.get(), offset, "time {time}");
        }
        assert!(log.batch_at_time(13_991, 400).await.expect("reads").is_none());
        assert_eq!(log.max_timestamp().await.expect("reads"), Some(13_990));
    });
}

#[test]
fn readers_are_told_of_writes_that_are_not_durable_too() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let health = DirHealth::new(dir.path(), || {});
        env.watch_dirs(vec![health.clone()]);
        let log = create(&env, &dir.path().join("t-0"), LogConfig::default()).await;
        assert!(!health.is_written_to());
        let results = Rc::new(Results::default());
        let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, 0));
        log.append(batch("plain"), 0, Durability::Written, 5, waiter).expect("appends");
        wait_for(&results, 1).await;
        assert!(health.is_written_to());
    });
}

#[test]
fn a_batch_counts_for_all_the_memory_it_holds() {
    on_shard(|env| async move {
        let dir = tempfile::tempdir().expect("a directory");
        let log = create(&env, &dir.path().join("t-0"), small_segments()).await;
        let results = Rc::new(Results::default());
        let shared = |bytes: BytesMut| NewBatch { bytes, memory: 4 << 10 };
        for index in 0..200 {
            let waiter = Some((results.clone() as Rc<dyn AppendWaiter>, index));
            log.append(shared(batch("tiny")), 0, Durability::Durable, 5, waiter).expect("appends");
        }
        wait_for(&results, 200).await;
        assert!(env.tail.used() <= 64 << 10, "{} bytes in memory", env.tail.used());
        let in_memory = |at: &i64| log.read_cached(*at, 400, 1, true).expect("is there").is_some();
        let first = (0..400).step_by(2).find(in_memory).expect("some are");
        assert!((360..400).contains(&first), "64 KiB hold fifteen such buffers: from {first}");
        // A batch that is not kept holds its buffer all the same, for those behind it.
        let producer = build::Producer { id: 7, epoch: 0, sequence: 0 };
        let bytes = build::batch(&[b"x"], 1_000, Some(producer));
        for duplicate in [false, true, true, true, true] {
            let batch = shared(BytesMut::from(&bytes[..]));
            let appended = log.append(batch, 0, Durability::Durable, 5, None).expect("is answered");
            assert_eq!(appended.duplicate, duplicate);
        }
        assert!((first..400).step_by(2).filter(in_memory).count() <= 12, "five more buffers");
    });
}
