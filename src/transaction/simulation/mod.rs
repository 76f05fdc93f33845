//! Producers that share a transactional id, repeat themselves, die and come back, with a log that fails
//! and forgets, markers that are late, a clock that jumps and a coordinator that crashes, against what
//! must hold whatever they do.

mod environment;

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Entry;
use super::machine::{Ask, Input, Machine, Output, Prepared, Token};
use crate::partition::{AddToTransaction, ProducerIdentity, TransactionAnswer, TransactionCall};
use crate::wire::ErrorCode;

const PARTITIONS: i32 = 4;
const TIMEOUT_MS: i32 = 10_000;
const EXPIRE_MS: i64 = 100_000;

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

#[derive(Debug, Clone)]
enum Doing {
    Starting,
    Working,
    Waiting(Token, TransactionCall),
    Asking(TransactionCall),
}

#[derive(Debug)]
struct Producer {
    is: ProducerIdentity,
    /// Transaction version.
    version: i16,
    doing: Doing,
    /// The transaction that it is in, and its partitions.
    transaction: Option<u64>,
    added: BTreeSet<i32>,
}

/// What a partition has of a producer id.
#[derive(Default)]
struct Written {
    epoch: i16,
    /// The transaction whose records have no marker yet.
    open: Option<u64>,
}

struct World {
    draw: Draw,
    now_ms: i64,
    machine: Option<Machine>,
    /// As the machine was told that the log has it.
    durable: Option<Entry>,
    /// What the log may have after all.
    uncertain: Option<Option<Entry>>,
    writing: Option<Option<Entry>>,
    /// Markers under way, and partitions that have theirs.
    markers: Option<(Prepared, u64, BTreeSet<i32>)>,
    partitions: BTreeMap<(i32, i64), Written>,
    producers: Vec<Producer>,
    next_token: Token,
    next_id: i64,
    /// Number of the transaction that was begun last, and what was decided about each.
    current: u64,
    decided: BTreeMap<u64, bool>,
    superseded: BTreeSet<ProducerIdentity>,
    committed: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let producer = |number: i16| Producer {
            is: ProducerIdentity::NONE,
            version: if number == 1 { 0 } else { 2 },
            doing: Doing::Starting,
            transaction: None,
            added: BTreeSet::new(),
        };
        let mut world = World {
            now_ms: 1_000_000,
            machine: None,
            durable: None,
            uncertain: None,
            writing: None,
            markers: None,
            partitions: BTreeMap::new(),
            producers: (0..3).map(producer).collect(),
            next_token: 0,
            next_id: 1,
            current: 0,
            decided: BTreeMap::new(),
            superseded: BTreeSet::new(),
            committed: 0,
            draw: Draw(0),
        };
        if draw.one_in(2) {
            // A producer id whose epochs are nearly used up.
            let mut entry = Entry::new(0, TIMEOUT_MS, world.now_ms);
            entry.producer.epoch = i16::MAX - draw.below(8) as i16;
            entry.previous_id = 0;
            world.durable = Some(entry);
        }
        world.draw = draw;
        world.machine = world.durable.clone().map(Machine::new);
        world
    }

    fn step(&mut self) {
        match self.draw.below(100) {
            0..50 => self.produce(),
            50..70 => self.write_ends(),
            70..90 => self.marker_arrives(),
            90..96 => self.now_ms += self.draw.below(500) as i64,
            96 if self.draw.one_in(3) => self.now_ms += self.draw.below(15_000) as i64,
            97 => self.tick(),
            98 if self.markers.is_some() && self.draw.one_in(3) => self.input(Input::MarkersLate),
            99 if self.draw.one_in(5) => self.crash(),
            _ => {}
        }
    }

    fn produce(&mut self) {
        // The last one is slow: it is often of the past.
        let at = if self.draw.one_in(40) { 2 } else { self.draw.below(2) as usize };
        match self.producers[at].doing.clone() {
            Doing::Starting if self.draw.one_in(30) => {
                let current = self.producers[at].is;
                let goes_on = current != ProducerIdentity::NONE && self.draw.one_in(2);
                let current = goes_on.then_some(current);
                self.ask(at, TransactionCall::Init { timeout_ms: TIMEOUT_MS, current });
            }
            Doing::Starting => {}
            Doing::Working => self.work(at),
            // The answer is lost.
            Doing::Waiting(_, call) if self.draw.one_in(30) => {
                self.producers[at].doing = Doing::Asking(call);
            }
            Doing::Waiting(..) => {}
            Doing::Asking(call) => self.ask(at, call),
        }
    }

    fn work(&mut self, at: usize) {
        let partition = self.draw.below(PARTITIONS as u64) as i32;
        let Producer { is, version, transaction, .. } = self.producers[at];
        match self.draw.below(8) {
            0..4 if self.producers[at].added.contains(&partition) => self.append(at, partition),
            0..5 => {
                let add = adding(is, partition, false);
                self.ask(at, TransactionCall::Add { add, version });
            }
            // Seldom one that was never begun.
            5..7 if transaction.is_some() || self.draw.one_in(10) => {
                let commit = self.draw.one_in(2);
                self.ask(at, TransactionCall::End { producer: is, commit, version });
            }
            // It dies, or thinks that it should begin anew.
            7 if self.draw.one_in(20) => self.starts(at),
            _ => {}
        }
    }

    fn starts(&mut self, at: usize) {
        let producer = &mut self.producers[at];
        (producer.doing, producer.transaction) = (Doing::Starting, None);
        producer.added.clear();
    }

    /// A record, as its partition's leader takes it: the first asks whether it is in the transaction.
    fn append(&mut self, at: usize, partition: i32) {
        let is = self.producers[at].is;
        let written = self.partitions.entry((partition, is.id)).or_default();
        if is.epoch < written.epoch {
            return self.starts(at);
        }
        if written.open.is_none() {
            self.next_token += 1;
            let call = TransactionCall::Add { add: adding(is, partition, true), version: 0 };
            let ask = Input::Ask(self.next_token, Ask { call, fresh: None });
            let Some(machine) = &mut self.machine else { return self.starts(at) };
            let told = machine.step(self.now_ms, ask);
            match &told[..] {
                [Output::Tell(_, Ok(_))] => {}
                [Output::Tell(_, Err(_))] => return self.starts(at),
                // It is answered when an end is durable; until then nothing is written.
                [] => return,
                told => panic!("{told:?}"),
            }
            let written = self.partitions.entry((partition, is.id)).or_default();
            (written.epoch, written.open) = (is.epoch, Some(self.current));
        }
        let open = self.partitions[&(partition, is.id)].open;
        assert_eq!(open, self.producers[at].transaction, "it writes into another's transaction");
    }

    fn ask(&mut self, at: usize, call: TransactionCall) {
        self.next_token += 1;
        let token = self.next_token;
        self.producers[at].doing = Doing::Waiting(token, call.clone());
        let wants = match &self.machine {
            Some(machine) => machine.wants_producer_id(&call),
            None => matches!(call, TransactionCall::Init { .. }),
        };
        let fresh = wants.then(|| {
            self.next_id += 1;
            self.next_id
        });
        if let (None, Some(id)) = (&self.machine, fresh) {
            self.machine = Some(Machine::new(Entry::new(id, TIMEOUT_MS, self.now_ms)));
        }
        if self.machine.is_none() {
            return self.hear(token, Err(ErrorCode::InvalidProducerIdMapping));
        }
        let asks = match &call {
            // One whose last epoch was taken by the broker for it comes for a new id.
            TransactionCall::Init { current, .. } => current.filter(|current| {
                let epoch = self.durable.as_ref().map_or(-1, |entry| entry.producer.epoch);
                epoch < i16::MAX || current.epoch < epoch - 2
            }),
            TransactionCall::Add { add, .. } => {
                Some(ProducerIdentity { id: add.producer_id, epoch: add.producer_epoch })
            }
            TransactionCall::End { producer, .. } => Some(*producer),
        };
        let before = self.writing.is_some();
        self.input(Input::Ask(token, Ask { call, fresh }));
        if !before && self.writing.is_some() {
            let old = asks.is_some_and(|asks| self.superseded.contains(&asks));
            assert!(!old, "{asks:?} is of the past and changes {:?}", self.durable);
        }
    }

    fn input(&mut self, input: Input) {
        let Some(machine) = &mut self.machine else { return };
        for output in machine.step(self.now_ms, input) {
            match output {
                Output::Write(next) => {
                    assert!(self.writing.is_none(), "two changes at once");
                    self.writing = Some(next);
                }
                Output::Markers(prepared) => {
                    assert!(self.markers.is_none(), "markers twice");
                    self.markers = Some((prepared, self.current, BTreeSet::new()));
                }
                Output::Tell(token, answer) => self.hear(token, answer),
                Output::Gone => self.machine = None,
            }
        }
    }

    fn hear(&mut self, token: Token, answer: TransactionAnswer) {
        let waits = |p: &Producer| matches!(p.doing, Doing::Waiting(t, _) if t == token);
        let Some(at) = self.producers.iter().position(waits) else { return };
        if let Ok(is) = answer {
            let others = self.producers.iter().enumerate().filter(|(other, _)| *other != at);
            let same = others.filter(|(_, other)| other.is == is && is.id != -1);
            assert_eq!(same.count(), 0, "{is:?} is two producers");
        }
        let producer = &mut self.producers[at];
        let Doing::Waiting(_, call) = producer.doing.clone() else { return };
        producer.doing = Doing::Working;
        match (answer, call) {
            (Err(ErrorCode::ConcurrentTransactions | ErrorCode::NotCoordinator), call) => {
                producer.doing = Doing::Asking(call);
            }
            (Err(ErrorCode::InvalidTxnState), TransactionCall::End { .. }) => {
                assert_eq!(producer.transaction, None, "its transaction is not known");
                self.starts(at);
            }
            (Err(ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping), call) => {
                let is_past = self.superseded.contains(&producer.is);
                assert!(is_past, "{:?} is refused {call:?}", producer.is);
                self.starts(at);
            }
            (Err(code), call) => panic!("{code:?} for {call:?}"),
            (Ok(is), TransactionCall::Init { .. }) => {
                producer.is = is;
                assert!(!self.superseded.contains(&is), "{is:?} was somebody's");
            }
            (Ok(_), TransactionCall::Add { add, .. }) => {
                producer.transaction = Some(self.current);
                producer.added.extend(add.partitions.iter().map(|(_, index)| *index));
            }
            (Ok(is), TransactionCall::End { commit, .. }) => {
                if let Some(transaction) = producer.transaction.take() {
                    assert_eq!(self.decided.get(&transaction), Some(&commit), "told otherwise");
                    self.committed += u64::from(commit);
                }
                producer.added.clear();
                if producer.version == 2 {
                    producer.is = is;
                }
            }
        }
    }
}

fn adding(is: ProducerIdentity, partition: i32, verify_only: bool) -> AddToTransaction {
    AddToTransaction {
        producer_id: is.id,
        producer_epoch: is.epoch,
        verify_only,
        partitions: vec![("t".to_string(), partition)],
    }
}

#[test]
fn eight_million_steps_leave_no_transaction_half_done_and_no_answer_untrue() {
    let (mut committed, mut ids) = (0, 0);
    for seed in 0..4_000 {
        let mut world = World::new(seed);
        for _ in 0..2_000 {
            world.step();
        }
        world.settle();
        committed += world.committed;
        ids += world.next_id;
    }
    assert!(committed > 20_000 && ids > 8_000, "they worked: {committed} by {ids}");
}
