//! A log that moves to another log directory while its oldest segments are deleted.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use corelane_shards::disk::{self, sim::Faults, sim::SimDisk};
use corelane_shards::log::batch::build;
use corelane_shards::log::{Durability, Log, LogConfig, MoveTarget, Pace};
use corelane_shards::runtime::{yield_now, TaskQueue};
use support::{on_shard, reopen, LOG};

const BATCHES: i64 = 20;

/// Whenever a segment is deleted, and its copy fails just then, what was copied of it is no part of the
/// log in its new directory: a part of a segment there would be a hole before all that follows.
#[test]
fn what_was_copied_of_a_segment_that_is_deleted_does_not_stay() {
    on_shard(|env| async move {
        for turns in 0..200 {
            let disk = SimDisk::install(turns, Faults { delay: 2, ..Faults::default() });
            for dir in ["a", "b"] {
                disk::create_dir(&disk.root().join(dir)).await.expect("creates");
            }
            let home = disk.root().join("a/t-0");
            let config =
                LogConfig { segment_bytes: 900, delete_delay_ms: 0, ..LogConfig::default() };
            let metadata = "version: 0\n".to_string();
            let log = Log::create(&env, &home, LOG, config.clone(), metadata).await;
            let log = log.expect("creates");
            for _ in 0..BATCHES {
                let batch = BytesMut::from(&build::batch(&[&[7; 800][..]], 1_000, None)[..]);
                log.append(batch, 0, Durability::Durable, 5, None).expect("appends");
            }
            log.flush().await.expect("flushes");
            let target = MoveTarget {
                future: disk.root().join("b/t-0.0-future"),
                home: disk.root().join("b/t-0"),
            };
            let moved = Rc::new(Cell::new(false));
            let (moving, done) = (Rc::clone(&log), Rc::clone(&moved));
            let run = async move {
                let pace = Pace { bytes_per_second: 0, slice: Duration::ZERO };
                let all = moving.move_to(&target, pace, || async { Ok(()) }).await;
                done.set(all.is_ok());
            };
            TaskQueue::current().spawn(run).detach();
            for _ in 0..turns {
                yield_now().await;
            }
            log.delete_records(15).await.expect("deletes");
            disk.set_faults(Faults { delay: 4, write_errors: 1_000, ..Faults::default() });
            log.delete_expired(0).await.expect("deletes");
            disk.set_faults(Faults { delay: 2, ..Faults::default() });
            log.move_ended().await;
            yield_now().await;
            log.retire();
            disk.cut_power();
            let home = disk.root().join(if moved.get() { "b/t-0" } else { "a/t-0" });
            let (log, _) = reopen(&env, &home, config, false).await.expect("recovers");
            assert_eq!((log.log_start(), log.log_end()), (15, BATCHES), "after {turns} turns");
            log.retire();
        }
    });
}
