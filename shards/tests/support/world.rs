//! Logs on a simulated disk and what must be in them, whatever happens to the disk.

use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use corelane_shards::disk::sim::{Faults, SimDisk};
use corelane_shards::log::batch::{assign, build, BatchHeader};
use corelane_shards::log::{
    recover, settle_moves, AppendWaiter, Durability, Home, JournalReplay, Log, LogConfig, LogEnv,
    LogEnvLimits, LogError, LogId, MoveTarget, Opening, Pace,
};
use corelane_shards::runtime::{yield_now, TaskQueue};
use futures_util::FutureExt;

use super::on_shards;
use super::random::Draw;
use super::transactions::Transactions;

/// What was appended, in order, and what became of it.
pub struct Appended {
    pub base: i64,
    pub end: i64,
    pub bytes: Vec<u8>,
    /// Its answer says that it survives the loss of power.
    pub durable: bool,
    /// Its answer says that it survives the process.
    pub written: bool,
    pub answer: Rc<Answer>,
}

#[derive(Default)]
pub struct Answer(pub Cell<Option<bool>>);

impl AppendWaiter for Answer {
    fn done(&self, _index: usize, result: Result<(), LogError>) {
        self.0.set(Some(result.is_ok()));
    }
}

impl Appended {
    pub fn was_acknowledged(&self) -> bool {
        self.answer.0.get() == Some(true)
    }
}

/// One log and what must be in it.
pub struct Story {
    pub id: LogId,
    pub name: String,
    /// Number of its log directory, as it was decided last.
    pub home: Rc<Cell<usize>>,
    pub log: Rc<Log>,
    pub appended: Vec<Appended>,
    pub start: i64,
    pub producer: i64,
    pub sequence: i32,
    /// Of batches that are known no more.
    pub before: Transactions,
    pub flush_messages: i64,
    pub write_caching: bool,
}

/// The log directories of a disk.
const LOG_DIRS: [&str; 2] = ["a", "b"];

/// A disk with a few logs that share journals.
pub struct World {
    pub disk: SimDisk,
    pub env: Rc<LogEnv>,
    pub stories: Vec<Story>,
    pub draw: Draw,
    pub faults: Faults,
}

pub fn config(draw: &mut Draw) -> LogConfig {
    LogConfig {
        segment_bytes: draw.of(&[900, 3_000, 30_000]),
        index_interval_bytes: draw.of(&[0, 4_096]),
        retention_ms: -1,
        flush_messages: draw.of(&[1, 4, i64::MAX, i64::MAX]),
        write_caching: draw.below(5) == 0,
        preallocate: draw.below(5) == 0,
        segment_index_bytes: draw.of(&[40, 10 << 20]),
        delete_delay_ms: draw.of(&[0, 3_600_000]),
        ..LogConfig::default()
    }
}

pub fn faults(draw: &mut Draw) -> Faults {
    let delay = draw.of(&[0, 1, 4]) as u32;
    match draw.below(6) {
        0 => Faults { delay, write_errors: 20, ..Faults::default() },
        1 => Faults { delay, sync_errors: 60, ..Faults::default() },
        2 => Faults { delay, read_errors: 100, ..Faults::default() },
        3 => Faults { delay, capacity: 2_000 + draw.below(90_000), ..Faults::default() },
        _ => Faults { delay, ..Faults::default() },
    }
}

impl Story {
    pub fn path(&self, disk: &SimDisk) -> PathBuf {
        disk.root().join(LOG_DIRS[self.home.get()]).join(&self.name)
    }

    /// Begins to move to the other log directory, or cancels the move that is under way.
    fn begin_move(&self, env: &Rc<LogEnv>, disk: &SimDisk, draw: &mut Draw) {
        if self.log.cancel_move() {
            return;
        }
        let to = 1 - self.home.get();
        let log_dir = disk.root().join(LOG_DIRS[to]);
        let unique = format!("{:032x}", draw.below(u64::MAX));
        let future = log_dir.join(format!("{}.{unique}-future", self.name));
        let target = MoveTarget { future, home: log_dir.join(&self.name) };
        let (log, home, disk) = (Rc::clone(&self.log), Rc::clone(&self.home), disk.clone());
        let (refused, turns) = (draw.below(5) == 0, draw.below(30));
        let Some(pass) = env.gate.enter() else { return };
        let root = disk.root();
        let old = log.dir();
        let decide = move || async move {
            for _ in 0..turns {
                yield_now().await;
            }
            // What a process of before a crash decides does not count.
            if refused || disk.root() != root {
                return Err("not now".to_string());
            }
            home.set(to);
            Ok(())
        };
        let run = async move {
            let pace = Pace { bytes_per_second: 0, slice: Duration::ZERO };
            let moved = log.move_to(&target, pace, decide).await;
            say(|| format!("moved to {}: {moved:?}", target.home.display()));
            if moved.is_ok() {
                // As far as it gets before the next crash.
                let _ = corelane_shards::disk::remove_dir(&old).await;
            }
            drop(pass);
        };
        TaskQueue::current().spawn(run).detach();
    }

    pub fn end(&self) -> i64 {
        self.appended.last().map_or(0, |last| last.end).max(self.start)
    }

    fn draw_plain(&self, draw: &mut Draw) -> (Vec<u8>, usize) {
        let records = 1 + draw.below(3) as usize;
        let value = vec![draw.below(256) as u8; draw.below(900) as usize];
        let producer = build::Producer { id: self.producer, epoch: 0, sequence: self.sequence };
        (build::batch(&vec![&value[..]; records], 1_000, Some(producer)), records)
    }

    pub async fn append(&mut self, draw: &mut Draw) {
        for _ in 0..=draw.below(5) {
            let in_transaction = draw.below(3) == 0;
            let (mut bytes, records) = match in_transaction {
                true => self.draw_transactional(draw),
                false => self.draw_plain(draw),
            };
            let durable = draw.below(4) > 0;
            let level = if durable { Durability::Durable } else { Durability::Written };
            let answer = Rc::new(Answer::default());
            let waiter = Some((answer.clone() as Rc<dyn AppendWaiter>, 0));
            let base = self.end();
            match self.log.append(BytesMut::from(&bytes[..]), 3, level, 5, waiter) {
                Ok(done) => assert_eq!((done.base_offset, done.duplicate), (base, false)),
                Err(LogError::Offline(_) | LogError::NoSpace) => return,
                Err(other) => panic!("{other}"),
            }
            assign(&mut bytes, base, 3);
            let end = base + records as i64;
            let (durable, written) = match (self.flush_messages, self.write_caching) {
                (1, _) => (true, true),
                (_, true) => (false, false),
                _ => (durable, true),
            };
            self.appended.push(Appended { base, end, bytes, durable, written, answer });
            if !in_transaction {
                self.sequence += records as i32;
            }
            for _ in 0..draw.below(4) {
                yield_now().await;
            }
        }
    }

    pub async fn all_answered(&self) {
        for _ in 0..200_000 {
            if self.appended.iter().all(|batch| batch.answer.0.get().is_some()) {
                return;
            }
            yield_now().await;
        }
        panic!("{} waits for ever", self.name);
    }

    /// What is there now has been made durable.
    fn all_must_stay(&mut self) {
        for batch in &mut self.appended {
            (batch.written, batch.durable) = (true, true);
            batch.answer.0.set(Some(true));
        }
    }

    fn is_plain(&self, batch: &Appended) -> bool {
        let header = BatchHeader::peek(&batch.bytes);
        header.is_some_and(|header| header.producer_id.get() == self.producer)
    }

    /// The producer did not hear of its last batch and sends it again.
    pub fn retry(&mut self) {
        let Some(last) = self.appended.last().filter(|last| self.is_plain(last)) else { return };
        let sent = BytesMut::from(&last.bytes[..]);
        match self.log.append(sent, 3, Durability::Durable, 5, None) {
            Ok(again) => assert_eq!((again.base_offset, again.duplicate), (last.base, true)),
            Err(LogError::Offline(_) | LogError::NoSpace) => {}
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn delete(&mut self, draw: &mut Draw) {
        let safe = self.log.safe_end();
        let offset = draw.below(safe as u64 + 1) as i64;
        match self.log.delete_records(offset).await {
            Ok(start) => assert_eq!(start, self.start.max(offset)),
            Err(LogError::Offline(_)) => return,
            Err(LogError::Disk(error)) if error.is_no_space() => return,
            Err(other) => panic!("{other}"),
        }
        self.start = self.start.max(offset);
        self.log.delete_expired(0).await.expect("deletes");
    }

    pub async fn read_somewhere(&self, draw: &mut Draw, may_fail: bool) {
        let end = self.log.safe_end();
        let span = (end - self.start).max(0) as u64;
        let offset = self.start + draw.below(span + 1) as i64;
        let limit = draw.of(&[1, 2_000, 1 << 20]);
        match self.log.read(offset, end, limit, true).await {
            Ok(read) => self.check_read(offset, end, &read.concat()),
            Err(LogError::Disk(_)) => assert!(may_fail),
            Err(other) => panic!("{other}"),
        }
    }

    /// What was read is the beginning of what was appended from the batch on that holds `offset`.
    pub fn check_read(&self, offset: i64, end: i64, mut read: &[u8]) {
        assert!(offset == end || !read.is_empty(), "nothing at {offset} below {end}");
        for batch in self.appended.iter().skip_while(|batch| batch.end <= offset) {
            if read.is_empty() {
                return;
            }
            assert!(read.starts_with(&batch.bytes), "the batch at {} is another", batch.base);
            read = &read[batch.bytes.len()..];
        }
        assert!(read.is_empty(), "{} bytes that nobody appended", read.len());
    }

    /// The log was opened again: it holds the beginning of what was appended, with at least
    /// everything that was acknowledged and `must_be_there`.
    pub async fn check_reopened(
        &mut self,
        began_anew: bool,
        must_be_there: &dyn Fn(&Appended) -> bool,
    ) {
        let must = |batch: &&Appended| batch.was_acknowledged() && must_be_there(batch);
        let least = self.appended.iter().rev().find(must).map_or(0, |batch| batch.end);
        let end = self.log.log_end();
        assert!(end >= least, "{least} was acknowledged and {} ends at {end}", self.name);
        let is_an_end = self.appended.iter().any(|batch| batch.end == end);
        assert!(
            is_an_end || end == 0 || end == self.start,
            "ends at {end}, starts at {}",
            self.start
        );
        self.appended.retain(|batch| batch.end <= end);
        let last = self.appended.iter().rev().find(|batch| self.is_plain(batch));
        let last = last.and_then(|batch| BatchHeader::peek(&batch.bytes));
        self.sequence = last.map_or(0, |h| h.base_sequence.get() + h.last_offset_delta.get() + 1);
        self.all_must_stay();
        assert_eq!(self.log.log_start(), self.start);
        if began_anew {
            assert_eq!(end, self.start);
            self.appended.clear();
            (self.producer, self.sequence) = (self.producer + 1, 0);
            self.forget_transactions();
        }
        self.check_transactions();
        let mut offset = self.start;
        while offset < end {
            let read = self.log.read(offset, end, 10_000, true).await.expect("reads").concat();
            self.check_read(offset, end, &read);
            let mut rest = &read[..];
            while let Some(header) = BatchHeader::peek(rest) {
                offset = header.last_offset() + 1;
                rest = &rest[header.claimed_size() as usize..];
            }
        }
    }
}

impl World {
    pub async fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let disk = SimDisk::install(seed, Faults::default());
        let env = env(&mut draw);
        for dir in LOG_DIRS {
            corelane_shards::disk::create_dir(&disk.root().join(dir)).await.expect("creates");
        }
        let mut stories = Vec::new();
        for number in 0..1 + draw.below(4) as u8 {
            let (id, name) = (LogId([number; 20]), format!("t-{number}"));
            let home = Rc::new(Cell::new(usize::from(draw.below(3) == 0)));
            let path = disk.root().join(LOG_DIRS[home.get()]).join(&name);
            let config = config(&mut draw);
            let (flush_messages, write_caching) = (config.flush_messages, config.write_caching);
            let log = Log::create(&env, &path, id, config, "version: 0\n".to_string()).await;
            let log = log.expect("creates");
            let (start, producer, sequence, appended) = (0, 7, 0, Vec::new());
            let before = Transactions::default();
            stories.push(Story {
                id,
                name,
                home,
                log,
                appended,
                start,
                producer,
                sequence,
                before,
                flush_messages,
                write_caching,
            });
        }
        let faults = faults(&mut draw);
        disk.set_faults(faults);
        World { disk, env, stories, draw, faults }
    }

    pub async fn step(&mut self) {
        let what = self.draw.below(18);
        say(|| format!("step {what}"));
        match what {
            0..=7 => self.append().await,
            8 => self.make_room(),
            9 => self.stop().await,
            10 => self.crash(true).await,
            11 => self.crash(false).await,
            what => {
                let number = self.draw.below(self.stories.len() as u64) as usize;
                let (story, draw) = (&mut self.stories[number], &mut self.draw);
                match what {
                    12 => story.retry(),
                    13 => story.delete(draw).await,
                    14 => story.read_somewhere(draw, self.faults.read_errors > 0).await,
                    15 => story.begin_move(&self.env, &self.disk, draw),
                    16 => {
                        story.begin_move(&self.env, &self.disk, draw);
                        for _ in 0..draw.below(4) {
                            story.append(draw).await;
                        }
                        story.log.move_ended().await;
                    }
                    _ => drop(story.log.flush().await),
                }
            }
        }
        self.stories.iter().for_each(Story::check_transactions);
    }

    /// Some of the logs get batches, close upon one another.
    pub async fn append(&mut self) {
        for story in &mut self.stories {
            if self.draw.below(3) > 0 {
                story.append(&mut self.draw).await;
            }
        }
        if self.draw.below(2) == 0 {
            for story in &self.stories {
                story.all_answered().await;
            }
        }
    }

    /// Somebody clears up: what was refused for want of space is written by and by.
    pub fn make_room(&mut self) {
        self.faults.capacity = 0;
        self.disk.set_faults(self.faults);
    }

    pub async fn stop(&mut self) {
        let mut all = true;
        for story in &mut self.stories {
            let closed = story.log.close().await.is_ok();
            if closed {
                story.all_answered().await;
                // All of it is there, also what was refused for want of space and written since.
                story.all_must_stay();
            }
            all &= closed;
        }
        if all {
            self.env.remove_journals().await.expect("removes");
        }
        self.disk.kill();
        self.reopen(all, &|batch| batch.written).await;
    }

    pub async fn crash(&mut self, power: bool) {
        if power {
            self.disk.cut_power();
            self.reopen(false, &|batch| batch.durable).await;
        } else {
            self.disk.kill();
            self.reopen(false, &|batch| batch.written).await;
        }
    }

    pub async fn reopen(&mut self, clean: bool, must_be_there: &dyn Fn(&Appended) -> bool) {
        self.stories.iter().for_each(|story| story.log.retire());
        self.env.gate.close().await; // what was under way can reach nothing any more
        self.env = env(&mut self.draw);
        self.disk.set_faults(Faults { delay: self.faults.delay, ..Faults::default() });
        self.settle_moves().await;
        let mut journals = Vec::new();
        for dir in LOG_DIRS {
            let journal = JournalReplay::read(&self.disk.root().join(dir)).await.expect("reads");
            assert!(!clean || journal.is_empty());
            journals.push(journal);
        }
        for story in &mut self.stories {
            let config = config(&mut self.draw);
            story.flush_messages = config.flush_messages;
            story.write_caching = config.write_caching;
            let path = story.path(&self.disk);
            let journal = &journals[story.home.get()];
            let opening = Opening { id: story.id, clean, journal };
            let opened = recover(&self.env, &path, config, opening).await;
            let (log, report) = opened.expect("recovers");
            story.log = log;
            say(|| {
                let known = story.appended.iter().map(|b| (b.base, b.durable, b.answer.0.get()));
                let known: Vec<_> = known.collect();
                format!(
                    "{}: {report:?}\n  ends at {}, of {known:?}",
                    story.name,
                    story.log.log_end()
                )
            });
            story.check_reopened(report.began_anew, must_be_there).await;
        }
        for journal in journals {
            journal.remove().await.expect("removes");
        }
        self.disk.set_faults(self.faults);
    }

    /// Moves are finished or forgotten, and every log is in one directory alone.
    async fn settle_moves(&self) {
        let root = self.disk.root();
        let dirs = LOG_DIRS.map(|dir| root.join(dir));
        let home = |name: &str| {
            let story = self.stories.iter().find(|story| story.name == name);
            story.map_or(Home::Nowhere, |story| Home::In(story.home.get()))
        };
        settle_moves(&dirs, home, TaskQueue::current()).await.expect("settles");
        for story in &self.stories {
            let other = dirs[1 - story.home.get()].join(&story.name);
            let left = self.disk.files(&other);
            // What was being removed may be there in parts, without the file that says so.
            assert!(!left.iter().any(|name| name.ends_with(".log")), "{left:?} twice");
        }
    }
}

pub fn env(draw: &mut Draw) -> Rc<LogEnv> {
    let queue = TaskQueue::current();
    let limits = LogEnvLimits {
        tail_bytes: draw.of(&[0, 4 << 10, 64 << 10]),
        block_bytes: draw.of(&[0, 1 << 20]),
        open_files: 16,
        journal_file_bytes: draw.of(&[0, 8 << 10, 64 << 10]),
        journal_batch_bytes: draw.of(&[500, 4_000]),
        clear_ahead_bytes: draw.of(&[0, 8 << 10, 64 << 10]),
        recovery_point_bytes: draw.of(&[0, 500, 3_000]),
        try_again_after: Duration::ZERO,
    };
    LogEnv::new(limits, queue, queue)
}

/// Tells of a history that is repeated.
pub fn say(what: impl FnOnce() -> String) {
    if std::env::var_os("CORELANE_HISTORY").is_some() {
        println!("{}", what());
    }
}

pub fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs `history` with one seed after the other, on two shards; says how to repeat one that fails.
pub fn run<F, Fut>(test: &'static str, name: &'static str, default: u64, history: F)
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let seeds = match from_env("CORELANE_HISTORY") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("CORELANE_HISTORIES").unwrap_or(default),
    };
    on_shards(2, move |_, shard| {
        let (seeds, history) = (seeds.clone(), history.clone());
        async move {
            for seed in seeds.skip(shard).step_by(2) {
                if let Err(panic) = AssertUnwindSafe(history(seed)).catch_unwind().await {
                    eprintln!("again: CORELANE_HISTORY={seed} cargo test -p corelane-shards --test {test} {name}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    });
}
