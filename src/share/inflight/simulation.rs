//! Members that take, judge, lose and give back records at random, a log that grows with holes and
//! loses its beginning, a shard that starts again from what was saved, somebody who sends the group
//! elsewhere, against a model that keeps each record by itself.

use std::collections::BTreeMap;

use super::*;
use crate::partition::share::{Acquired, Verdict, Verdicts};
use crate::wire::ErrorCode;

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Free,
    Held { by: u64, until_ms: i64 },
    Accepted,
    Archived,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    is: Is,
    deliveries: i16,
}

struct World {
    draw: Draw,
    now_ms: i64,
    limits: ShareLimits,
    share: InFlight,
    saved: ShareState,
    log: Vec<LogBatch>,
    log_start: i64,
    log_end: i64,
    /// Records for consumers, by offset.
    records: BTreeMap<i64, Record>,
    accepted: u64,
}

const MEMBERS: u64 = 4;

impl World {
    fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let limits = ShareLimits {
            max_locks: 10 + draw.below(60) as i64,
            delivery_limit: 1 + draw.below(4) as i16,
            lock_ms: 1_000,
            ..ShareLimits::default()
        };
        let share = InFlight::new(limits, 0);
        World {
            draw,
            now_ms: 0,
            limits,
            saved: share.saved(),
            share,
            log: Vec::new(),
            log_start: 0,
            log_end: 0,
            records: BTreeMap::new(),
            accepted: 0,
        }
    }

    fn step(&mut self) {
        match self.draw.below(40) {
            0..8 => self.produce(),
            8..18 => self.take(),
            18..31 => self.judge(),
            31 => self.give_back(),
            32..36 => self.now_ms += self.draw.below(400) as i64,
            36 => self.tick(),
            37 => self.start_again(),
            38 if self.draw.below(10) == 0 => self.cut(),
            38 if self.draw.below(10) == 0 => self.begin_elsewhere(),
            _ => self.keep(),
        }
        self.check();
    }

    fn produce(&mut self) {
        if self.log_end - self.share.start > 200 {
            return;
        }
        let first = self.log_end + [0, 0, 0, 3][self.draw.below(4) as usize];
        let last = first + self.draw.below(12) as i64;
        let is_data = self.draw.below(6) != 0;
        self.log.push(LogBatch { first, last, is_data });
        self.log_end = last + 1;
        if is_data {
            let free = Record { is: Is::Free, deliveries: 0 };
            self.records.extend((first..=last).map(|offset| (offset, free)));
        }
    }

    /// The model's locks that are over.
    fn time_out(&mut self) {
        let (now_ms, limit) = (self.now_ms, self.limits.delivery_limit);
        for record in self.records.values_mut() {
            if matches!(record.is, Is::Held { until_ms, .. } if until_ms <= now_ms) {
                record.is = if record.deliveries >= limit { Is::Archived } else { Is::Free };
            }
        }
    }

    fn take(&mut self) {
        let by = self.draw.below(MEMBERS);
        let Some(from) = self.share.next_fetch() else { return };
        // What is read may be old by now, and less than there is.
        let from = from.max(self.log_start);
        let many = 1 + self.draw.below(4) as usize;
        let batches: Vec<LogBatch> =
            self.log.iter().filter(|batch| batch.last >= from).take(many).copied().collect();
        let to = batches.last().map_or(self.log_end, |batch| batch.last + 1);
        if self.draw.below(8) == 0 {
            self.tick();
        }
        let (records, size) = (1 + self.draw.below(20) as usize, 1 + self.draw.below(9) as usize);
        let name = by.to_string();
        let taken = self.share.acquire(self.now_ms, &name, (from, to), &batches, (records, size));
        self.time_out();
        let until_ms = self.now_ms + i64::from(self.limits.lock_ms);
        for Acquired { first, last, deliveries } in taken {
            for offset in first..=last {
                let record = self.records.get_mut(&offset).expect("a record for consumers");
                assert_eq!(record.is, Is::Free, "{offset} is had by two, or was finished");
                record.deliveries += 1;
                assert_eq!(record.deliveries, deliveries, "of {offset}");
                assert!(deliveries <= self.limits.delivery_limit, "{offset} comes too often");
                record.is = Is::Held { by, until_ms };
            }
        }
    }

    fn judge(&mut self) {
        self.time_out();
        let start = self.share.start;
        let mut first = start + self.draw.below(self.limits.max_locks as u64) as i64;
        let mut by = self.draw.below(MEMBERS);
        // Mostly it says something of what it has.
        let held = self.records.range(first..).find_map(|(offset, record)| match record.is {
            Is::Held { by, .. } => Some((*offset, by)),
            _ => None,
        });
        if let (Some(held), 0..6) = (held, self.draw.below(8)) {
            (first, by) = held;
        }
        let last = first + self.draw.below(6) as i64;
        let verdicts = [Verdict::Accept, Verdict::Accept, Verdict::Release, Verdict::Reject];
        let count = if self.draw.below(2) == 0 { 1 } else { last - first + 1 };
        let verdicts: Vec<Verdict> =
            (0..count).map(|_| verdicts[self.draw.below(4) as usize]).collect();
        let holds = |offset: i64| {
            let record = self.records.get(&offset);
            record.is_some_and(|r| matches!(r.is, Is::Held { by: of, .. } if of == by))
        };
        let may = (first..=last).all(holds);
        let said = [Verdicts { first, last, verdicts: verdicts.clone() }];
        let done = self.share.acknowledge(self.now_ms, &by.to_string(), &said);
        assert_eq!(done.is_ok(), may, "{first}..={last} by {by}: {done:?}");
        assert!(matches!(
            done,
            Ok(()) | Err(ErrorCode::InvalidRecordState | ErrorCode::InvalidRequest)
        ));
        if !may {
            return;
        }
        for offset in first..=last {
            let verdict = verdicts[(offset - first) as usize % verdicts.len()];
            let record = self.records.get_mut(&offset).expect("is there");
            let over = record.deliveries >= self.limits.delivery_limit;
            record.is = match verdict {
                Verdict::Accept => Is::Accepted,
                Verdict::Release if !over => Is::Free,
                _ => Is::Archived,
            };
            self.accepted += u64::from(verdict == Verdict::Accept);
        }
        // An acknowledgement is answered when its state is durable.
        self.keep();
    }

    fn give_back(&mut self) {
        let (by, unseen) = (self.draw.below(MEMBERS), self.draw.below(2) == 0);
        self.share.release(&by.to_string(), unseen);
        for record in self.records.values_mut() {
            if matches!(record.is, Is::Held { by: of, .. } if of == by) {
                record.deliveries -= i16::from(unseen);
                let over = record.deliveries >= self.limits.delivery_limit;
                record.is = if over { Is::Archived } else { Is::Free };
            }
        }
    }

    fn tick(&mut self) {
        self.share.tick(self.now_ms);
        self.time_out();
    }

    fn keep(&mut self) {
        self.saved = self.share.saved();
    }

    /// The shard dies and begins with what was saved last: what members had since then is free.
    fn start_again(&mut self) {
        self.share = InFlight::restore(self.limits, &self.saved, (self.log_start, self.log_end));
        for (offset, record) in &mut self.records {
            let run = self.saved.runs.iter().find(|run| (run.first..=run.last).contains(offset));
            let accepted = record.is == Is::Accepted;
            (record.is, record.deliveries) = match run {
                _ if *offset < self.saved.start => continue,
                None => (Is::Free, 0),
                Some(run) => match run.state {
                    Saved::Accepted => (Is::Accepted, run.deliveries),
                    Saved::Archived => (Is::Archived, run.deliveries),
                    Saved::Available if run.deliveries >= self.limits.delivery_limit => {
                        (Is::Archived, run.deliveries)
                    }
                    Saved::Available => (Is::Free, run.deliveries),
                },
            };
            assert!(
                !accepted || record.is == Is::Accepted,
                "{offset} was accepted and is forgotten"
            );
        }
    }

    /// The log loses its beginning.
    fn cut(&mut self) {
        self.log_start = (self.share.start + self.draw.below(30) as i64).min(self.log_end);
        self.share.trim(self.log_start);
        let start = self.log_start;
        self.log.retain(|batch| batch.last >= start);
        self.records.range_mut(..start).for_each(|(_, record)| {
            if record.is != Is::Accepted {
                record.is = Is::Archived;
            }
        });
        self.keep();
    }

    /// All from there on is as if nobody had had it.
    fn begin_elsewhere(&mut self) {
        let span = (self.log_end - self.log_start + 20) as u64;
        let start = self.log_start - 10 + self.draw.below(span) as i64;
        self.share.begin_at(start, (self.log_start, self.log_end));
        let start = start.max(self.log_start).min(self.log_end);
        assert_eq!(self.share.start, start);
        let free = Record { is: Is::Free, deliveries: 0 };
        let data = self.log.iter().filter(|batch| batch.is_data);
        let offsets = data.flat_map(|batch| batch.first..=batch.last);
        self.records = offsets.filter(|at| *at >= start).map(|at| (at, free)).collect();
        self.keep();
    }

    fn check(&mut self) {
        let InFlight { start, end, runs, .. } = &self.share;
        let mut next = *start;
        for (first, run) in runs {
            assert_eq!(*first, next, "runs cover all without a gap");
            assert!(run.last >= *first);
            next = run.last + 1;
        }
        assert_eq!(next, *end);
        for (offset, record) in self.records.range(..*start) {
            let finished = matches!(record.is, Is::Accepted | Is::Archived);
            assert!(finished, "{offset} is {:?}, and the group has passed it", record.is);
        }
        // What a crash cannot bring back is forgotten here, too.
        self.records = self.records.split_off(&self.saved.start.min(*start));
        let held = runs.iter().filter_map(|(first, run)| match &run.state {
            State::Acquired { .. } => Some(run.last - first + 1),
            _ => None,
        });
        assert!(held.sum::<i64>() <= self.limits.max_locks, "more is held than may be");
    }

    /// One member takes what there is, to the end: no record is left behind.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.now_ms += 10_000;
            self.tick();
            if self.share.start == self.log_end {
                break;
            }
            self.take();
            let held: Vec<i64> = self
                .records
                .iter()
                .filter(|(_, record)| matches!(record.is, Is::Held { .. }))
                .map(|(offset, _)| *offset)
                .collect();
            for offset in held {
                let by = (0..MEMBERS).find(|by| {
                    let verdicts = vec![Verdict::Accept];
                    let said = [Verdicts { first: offset, last: offset, verdicts }];
                    self.share.acknowledge(self.now_ms, &by.to_string(), &said).is_ok()
                });
                assert!(by.is_some(), "somebody had {offset}");
                self.records.get_mut(&offset).expect("is there").is = Is::Accepted;
            }
            self.check();
        }
        assert_eq!(self.share.start, self.log_end, "all is finished in the end");
        assert!(self.share.runs.is_empty());
    }
}

#[test]
fn no_record_is_had_by_two_or_lost_in_a_million_steps() {
    let mut accepted = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        let mut start = 0;
        for _ in 0..5_000 {
            let again = world.saved.clone();
            world.step();
            // After a crash it may be where it was saved last; who sends it elsewhere is counted.
            let sent = world.share.epoch > again.epoch;
            assert!(sent || world.share.start >= start.min(again.start), "seed {seed} goes back");
            start = world.share.start;
        }
        world.finish();
        accepted += world.accepted;
    }
    assert!(accepted > 80_000, "{accepted} were accepted: the steps do little");
}
