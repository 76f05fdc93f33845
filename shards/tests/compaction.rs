//! Compaction on a simulated disk, over power cuts and kills: whoever reads all of the log and keeps
//! the last value of each key has what he would have without it. Some records are part of
//! transactions: readers leave out what was aborted, as consumers do.

mod support;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use corelane_shards::disk::sim::{Faults, SimDisk};
use corelane_shards::log::batch::build::{keyed, Pair};
use corelane_shards::log::batch::{
    transactional, undone_records, BatchHeader, Codec, Marker, Record,
};
use corelane_shards::log::{
    Aborted, AppendWaiter, Cleaner, Durability, Log, LogConfig, LogEnv, LogError, Pace,
};
use corelane_shards::runtime::yield_now;
use support::random::{Answers, Draw};
use support::world::{env, run, say};
use support::{reopen, LOG};

const STEPS: u64 = 25;
const RETENTION_MS: i64 = 40;

struct Sent {
    offset: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// Part of a transaction that was aborted.
    aborted: bool,
}

impl Sent {
    fn name(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}

struct World {
    disk: SimDisk,
    env: Rc<LogEnv>,
    log: Rc<Log>,
    draw: Draw,
    sent: Vec<Sent>,
    /// What producers sent in the transactions that they have open.
    open: BTreeMap<i64, Vec<usize>>,
    start: i64,
    now_ms: i64,
    faults: Faults,
}

fn config(draw: &mut Draw) -> LogConfig {
    LogConfig {
        segment_bytes: draw.of(&[700, 2_000, 9_000]),
        index_interval_bytes: draw.of(&[0, 4_096]),
        compact: true,
        delete: false,
        delete_retention_ms: RETENTION_MS,
        min_compaction_lag_ms: draw.of(&[0, 0, 30]),
        delete_delay_ms: draw.of(&[0, 3_600_000]),
        ..LogConfig::default()
    }
}

impl World {
    async fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let disk = SimDisk::install(seed, Faults::default());
        let env = env(&mut draw);
        let path = disk.root().join("t-0");
        let config = config(&mut draw);
        let log = Log::create(&env, &path, LOG, config, "version: 0\n".to_string()).await;
        let faults = Faults { delay: draw.of(&[0, 1, 4]) as u32, ..Faults::default() };
        disk.set_faults(faults);
        let (log, sent) = (log.expect("creates"), Vec::new());
        World { disk, env, log, draw, sent, open: BTreeMap::new(), start: 0, now_ms: 1_000, faults }
    }

    async fn step(&mut self) {
        self.now_ms += self.draw.below(30) as i64;
        let what = self.draw.below(12);
        say(|| format!("step {what} at {}: {} of {}", self.now_ms, self.start, self.sent.len()));
        match what {
            0..=5 => self.append().await,
            6..=7 => self.compact().await,
            8 => self.delete().await,
            9 => self.check().await,
            10 => self.restart().await,
            _ => self.crash_while_compacting().await,
        }
    }

    async fn append(&mut self) {
        let answers = Rc::new(Answers::default());
        for _ in 0..=self.draw.below(6) {
            let records: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..=self.draw.below(4))
                .map(|_| {
                    let key = format!("key-{}", self.draw.below(9)).into_bytes();
                    let length = self.draw.below(200) as usize;
                    let value = vec![self.draw.below(256) as u8; length];
                    (key, (self.draw.below(4) > 0).then_some(value))
                })
                .collect();
            let pairs: Vec<Pair<'_>> =
                records.iter().map(|(key, value)| (Some(&key[..]), value.as_deref())).collect();
            let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
            let codec = codecs[self.draw.below(5) as usize];
            let producer = self.draw.of(&[0, 0, 0, 0, 7, 8]) as i64;
            let batch = match producer {
                0 => keyed(&pairs, self.now_ms, None, codec),
                producer => transactional(&pairs, self.now_ms, producer, 0, false),
            };
            let waiter = Some((Rc::clone(&answers) as Rc<dyn AppendWaiter>, 0));
            answers.open.set(answers.open.get() + 1);
            let batch = BytesMut::from(&batch[..]);
            let done = self.log.append(batch, 0, Durability::Durable, self.now_ms, waiter);
            let base = done.expect("appends").base_offset;
            for (offset, (key, value)) in (base..).zip(records) {
                if producer > 0 {
                    self.open.entry(producer).or_default().push(self.sent.len());
                }
                self.sent.push(Sent { offset, key, value, aborted: false });
            }
            if self.draw.below(4) == 0 {
                self.end_transaction(&answers);
            }
        }
        answers.all().await;
        assert!(answers.failed.borrow().is_empty());
    }

    fn end_transaction(&mut self, answers: &Rc<Answers>) {
        let Some((producer, sent)) = self.open.pop_first() else { return };
        let commit = self.draw.below(2) == 0;
        sent.into_iter().for_each(|at| self.sent[at].aborted = !commit);
        let marker = Marker { commit, coordinator_epoch: 0 }.batch(producer, 0, self.now_ms);
        let waiter = Some((Rc::clone(answers) as Rc<dyn AppendWaiter>, 0));
        answers.open.set(answers.open.get() + 1);
        let marker = BytesMut::from(&marker[..]);
        let done = self.log.append(marker, 0, Durability::Durable, self.now_ms, waiter);
        assert!(!done.expect("appends").duplicate);
    }

    fn cleaner(&mut self) -> Cleaner {
        let key_bytes = self.draw.of(&[0, 200, 1 << 20]);
        Cleaner { key_bytes, pace: Pace { bytes_per_second: 0, slice: Duration::ZERO } }
    }

    async fn compact(&mut self) {
        let cleaner = self.cleaner();
        let done = self.log.compact(&cleaner, self.now_ms).await.expect("compacts");
        say(|| format!("{done:?}"));
        assert!(done.bytes_after <= done.bytes_before + 40 * done.bytes_before / 61, "{done:?}");
        self.check().await;
    }

    async fn delete(&mut self) {
        let offset = self.draw.below(self.log.safe_end() as u64 + 1) as i64;
        self.start = self.start.max(offset);
        self.log.delete_records(offset).await.expect("deletes");
        self.log.delete_expired(0).await.expect("deletes");
    }

    /// Where the last value of every key below `end` is, deleted and aborted ones left out.
    fn expected(&self, end: i64) -> BTreeMap<String, i64> {
        let mut last = BTreeMap::new();
        let there = |sent: &&Sent| (self.start..end).contains(&sent.offset) && !sent.aborted;
        for sent in self.sent.iter().filter(there) {
            match &sent.value {
                Some(_) => drop(last.insert(sent.name(), sent.offset)),
                None => drop(last.remove(&sent.name())),
            }
        }
        last
    }

    async fn check(&mut self) {
        let mut last = BTreeMap::new();
        let (mut offset, end) = (self.start, self.log.last_stable());
        let mut before = -1;
        while offset < end {
            let limit = self.draw.of(&[1, 1_000, 1 << 20]);
            let read = match self.log.read(offset, end, limit, true).await {
                Ok(read) => read.concat(),
                Err(LogError::OffsetOutOfRange { .. }) if offset < self.log.log_start() => return,
                Err(other) => panic!("{other}"),
            };
            if read.is_empty() {
                break; // the rest was compacted away
            }
            let mut aborted = self.log.aborted_between(offset, last_offset(&read) + 1);
            let mut rest = &read[..];
            while let Some(header) = BatchHeader::peek(rest) {
                let size = header.claimed_size() as usize;
                if is_left_out(&mut aborted, &header, &rest[..size]) {
                    offset = header.last_offset() + 1;
                    rest = &rest[size..];
                    continue;
                }
                let undone = undone_records(&header, &rest[..size]).expect("reads");
                let mut records = &undone[..];
                while let Some(record) = Record::take(&mut records) {
                    let at = header.base_offset.get() + record.offset_delta;
                    assert!(at > before, "offset {at} after {before}");
                    before = at;
                    let sent = self.sent.binary_search_by_key(&at, |sent| sent.offset);
                    let sent = &self.sent[sent.expect("was sent")];
                    assert_eq!(record.key, Some(&sent.key[..]));
                    assert_eq!(record.value, sent.value.as_deref());
                    if at < self.start {
                        continue;
                    }
                    match &sent.value {
                        Some(_) => drop(last.insert(sent.name(), at)),
                        None => drop(last.remove(&sent.name())),
                    }
                }
                offset = header.last_offset() + 1;
                rest = &rest[size..];
            }
        }
        assert_eq!(last, self.expected(end));
    }

    async fn restart(&mut self) {
        self.log.close().await.expect("closes");
        self.env.remove_journals().await.expect("removes");
        self.disk.kill();
        self.open(true).await;
    }

    /// The power is cut, or the process killed, at some moment of a compaction.
    async fn crash_while_compacting(&mut self) {
        let (log, cleaner, now_ms) = (Rc::clone(&self.log), self.cleaner(), self.now_ms);
        let pass = self.env.background.spawn(async move {
            let _ = log.compact(&cleaner, now_ms).await;
        });
        for _ in 0..self.draw.below(200) {
            yield_now().await;
        }
        match self.draw.below(2) {
            0 => self.disk.cut_power(),
            _ => self.disk.kill(),
        };
        drop(pass);
        self.open(false).await;
    }

    async fn open(&mut self, clean: bool) {
        self.log.retire();
        self.env.gate.close().await;
        self.env = env(&mut self.draw);
        let config = config(&mut self.draw);
        let path = self.disk.root().join("t-0");
        let end = self.log.log_end();
        self.log = reopen(&self.env, &path, config, clean).await.expect("recovers").0;
        assert_eq!(self.log.log_end(), end);
        assert_eq!(self.log.log_start(), self.start);
        self.disk.set_faults(self.faults);
        self.check().await;
    }
}

fn last_offset(mut read: &[u8]) -> i64 {
    let mut last = 0;
    while let Some(header) = BatchHeader::peek(read) {
        last = header.last_offset();
        read = &read[header.claimed_size() as usize..];
    }
    last
}

/// Whether a consumer that reads committed records leaves a batch out; `aborted` as the broker says.
fn is_left_out(aborted: &mut Vec<Aborted>, header: &BatchHeader, batch: &[u8]) -> bool {
    let (producer, offset) = (header.producer_id.get(), header.base_offset.get());
    let of = |one: &Aborted| one.producer_id == producer && one.first_offset <= offset;
    match Marker::of(header, batch) {
        Some(marker) => {
            // The oldest: the next one has not begun.
            if let Some(at) = aborted.iter().position(of).filter(|_| !marker.commit) {
                aborted.remove(at);
            }
            true
        }
        None => header.is_transactional() && aborted.iter().any(of),
    }
}

#[test]
fn the_last_value_of_each_key_stays() {
    run("compaction", "the_last", 1_000, |seed| async move {
        let mut world = World::new(seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.log.retire();
        world.env.gate.close().await;
    });
}
