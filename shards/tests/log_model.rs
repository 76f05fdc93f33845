//! A log against a model of it: random appends, retries, reads, deletions, stops and crashes, with
//! segments of changing sizes. `CORELANE_MODEL_SEEDS` asks for more runs than the default.

mod support;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::BytesMut;
use corelane_shards::log::batch::{build, BatchHeader};
use corelane_shards::log::{AppendWaiter, Durability, Log, LogConfig, LogEnv, LogError};
use corelane_shards::runtime::yield_now;
use support::random::{Answers, Draw};
use support::{on_shard, reopen, LOG};

const STEPS: usize = 60;

/// What the log must hold: batches by base offset, and where it starts.
#[derive(Default)]
struct Model {
    batches: Vec<(i64, Vec<u8>)>,
    end: i64,
    start: i64,
    sequence: i32,
}

impl Model {
    /// Whether `read` is the beginning of what there is from the batch on that holds `offset`.
    fn begins_with(&self, offset: i64, mut read: &[u8]) -> bool {
        let at = self.batches.partition_point(|(base, _)| *base <= offset).saturating_sub(1);
        for (_, bytes) in &self.batches[at..] {
            let len = bytes.len().min(read.len());
            if read[..len] != bytes[..len] {
                return false;
            }
            read = &read[len..];
        }
        read.is_empty()
    }
}

struct World {
    env: Rc<LogEnv>,
    path: PathBuf,
    log: Rc<Log>,
    model: Model,
    draw: Draw,
}

fn config(draw: &mut Draw) -> LogConfig {
    LogConfig {
        segment_bytes: draw.of(&[1_500, 6_000, 30_000]),
        index_interval_bytes: draw.of(&[0, 4_096]),
        retention_ms: -1,
        delete_delay_ms: draw.of(&[0, 3_600_000]),
        ..LogConfig::default()
    }
}

impl World {
    async fn new(env: Rc<LogEnv>, dir: &Path, seed: u64) -> World {
        let mut draw = Draw(seed);
        let path = dir.join("t-0");
        let config = config(&mut draw);
        let log = Log::create(&env, &path, LOG, config, "version: 0\n".to_string()).await;
        World { env, path, log: log.expect("creates"), model: Model::default(), draw }
    }

    async fn step(&mut self) {
        match self.draw.below(10) {
            0..=4 => self.append().await,
            5 => self.retry().await,
            6 => self.delete().await,
            7 => self.read().await,
            8 => self.restart(true).await,
            _ => self.restart(false).await,
        }
        assert_eq!(self.log.log_end(), self.model.end);
        assert_eq!(self.log.log_start(), self.model.start);
    }

    async fn append(&mut self) {
        let answers = Rc::new(Answers::default());
        for _ in 0..=self.draw.below(6) {
            let records = 1 + self.draw.below(3) as usize;
            let value = vec![self.draw.below(256) as u8; self.draw.below(3_000) as usize];
            let producer = build::Producer { id: 7, epoch: 0, sequence: self.model.sequence };
            let mut bytes = build::batch(&vec![&value[..]; records], 1_000, Some(producer));
            let level = self.draw.of(&[Durability::Durable, Durability::Written]);
            answers.open.set(answers.open.get() + 1);
            let waiter = Some((Rc::clone(&answers) as Rc<dyn AppendWaiter>, 0));
            let sent = BytesMut::from(&bytes[..]);
            let appended = self.log.append(sent, 3, level, 5, waiter).expect("appends");
            assert_eq!((appended.base_offset, appended.duplicate), (self.model.end, false));
            corelane_shards::log::batch::assign(&mut bytes, self.model.end, 3);
            self.model.batches.push((self.model.end, bytes));
            self.model.end += records as i64;
            self.model.sequence += records as i32;
            if self.draw.below(2) == 0 {
                yield_now().await;
            }
        }
        answers.all().await;
        assert!(answers.failed.borrow().is_empty(), "{:?}", answers.failed.borrow());
    }

    /// The producer did not hear of its last batch and sends it again.
    async fn retry(&mut self) {
        let Some((base, bytes)) = self.model.batches.last() else { return };
        let sent = BytesMut::from(&bytes[..]);
        let again = self.log.append(sent, 3, Durability::Durable, 5, None).expect("is known");
        assert_eq!((again.base_offset, again.duplicate), (*base, true));
    }

    async fn delete(&mut self) {
        let offset = self.draw.below(self.model.end as u64 + 1) as i64;
        self.model.start = self.model.start.max(offset);
        let start = self.log.delete_records(offset).await.expect("deletes");
        assert_eq!(start, self.model.start);
        self.log.delete_expired(0).await.expect("deletes");
    }

    async fn read(&mut self) {
        let span = (self.model.end - self.model.start) as u64;
        let offset = self.model.start + self.draw.below(span + 1) as i64;
        let limit = self.draw.of(&[1, 5_000, 1 << 20]);
        self.check(offset, limit).await;
        if self.model.start > 0 {
            let gone = self.log.read(self.model.start - 1, self.model.end, 100, true).await;
            assert!(matches!(gone, Err(LogError::OffsetOutOfRange { .. })), "{gone:?}");
        }
    }

    /// A read gives the beginning of what there is: at least one batch, whole.
    async fn check(&self, offset: i64, limit: usize) {
        let end = self.log.safe_end();
        assert_eq!(end, self.model.end, "all was answered");
        let read = self.log.read(offset, end, limit, true).await.expect("reads").concat();
        if offset == self.model.end {
            assert!(read.is_empty());
            return;
        }
        assert!(self.model.begins_with(offset, &read), "from {offset}, {} bytes", read.len());
        let first = BatchHeader::peek(&read).expect("a batch").claimed_size() as usize;
        assert!(read.len() >= first.max(limit.min(first)), "{} of {first} bytes", read.len());
    }

    async fn restart(&mut self, clean: bool) {
        if clean {
            self.log.close().await.expect("closes");
        }
        let config = config(&mut self.draw);
        let recovered = reopen(&self.env, &self.path, config, clean).await;
        let (log, report) = recovered.expect("recovers");
        assert_eq!(report.cut_bytes, 0, "nothing that was answered is damage");
        self.log = log;
        let mut offset = self.model.start;
        while offset < self.model.end {
            let read = self.log.read(offset, self.model.end, 100_000, true).await.expect("reads");
            let read = read.concat();
            assert!(self.model.begins_with(offset, &read), "from {offset} after a restart");
            let mut rest = &read[..];
            while let Some(header) = BatchHeader::peek(rest) {
                let len = header.claimed_size() as usize;
                if len > rest.len() {
                    break;
                }
                offset = header.last_offset() + 1;
                rest = &rest[len..];
            }
        }
    }
}

#[test]
fn a_log_is_its_model_over_stops_and_crashes() {
    let seeds = std::env::var("CORELANE_MODEL_SEEDS").map_or(30, |n| n.parse().expect("a number"));
    on_shard(move |env| async move {
        for seed in 0..seeds {
            let dir = tempfile::tempdir().expect("a directory");
            let mut world = World::new(Rc::clone(&env), dir.path(), seed).await;
            for step in 0..STEPS {
                // Said by the test's output if it fails.
                println!("seed {seed} step {step}");
                world.step().await;
            }
        }
    });
}
