//! One transactional id's order of things: a change is durable before anything is answered or any
//! marker is sent, requests meanwhile wait for it, a transaction is complete when all markers are.

use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, State, EPOCH_PER_TRANSACTION};
use super::rules::{self, Decision};
use crate::partition::{ProducerIdentity, TransactionAnswer, TransactionCall};
use crate::wire::ErrorCode;

/// Names a request that waits for its answer.
pub type Token = u64;

/// Requests that wait at most; a producer has a handful.
const MOST_WAITING: usize = 128;

/// What happens to a transactional id.
#[derive(Debug, Clone)]
pub enum Input {
    Ask(Token, Ask),
    /// The change that was to be written is durable, or failed.
    Written(Result<(), ErrorCode>),
    /// All markers of the prepared transaction are durable.
    MarkersWritten,
    /// Some markers cannot be written now; they are tried again.
    MarkersLate,
    /// The log was read: what was begun goes on.
    Loaded,
    /// Time has passed; ids that were not used for `expire_after_ms` are forgotten.
    Tick {
        expire_after_ms: Option<i64>,
    },
}

/// A request, with a new producer id if one was needed when it came.
#[derive(Debug, Clone)]
pub struct Ask {
    pub call: TransactionCall,
    pub fresh: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make this durable, or a tombstone; then say [`Input::Written`].
    Write(Option<Entry>),
    /// Write these markers; then say [`Input::MarkersWritten`].
    Markers(Prepared),
    Tell(Token, TransactionAnswer),
    /// The id is not known any more.
    Gone,
}

/// A decided transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// As the markers name it: with the epoch of after the end.
    pub producer: ProducerIdentity,
    pub commit: bool,
    pub partitions: BTreeSet<(String, i32)>,
}

/// A change on its way to the log.
#[derive(Debug)]
struct Writing {
    /// `None`: the id is forgotten.
    next: Option<Entry>,
    told: Option<(Token, TransactionAnswer)>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Machine {
    /// As the log has it.
    entry: Entry,
    writing: Option<Writing>,
    waiting: VecDeque<(Token, Ask)>,
    /// All markers are there, only the record of that is not.
    marked: bool,
    /// Nobody waits for markers that failed once.
    late: bool,
    outputs: Vec<Output>,
}

impl Machine {
    /// Of an id as the log has it, or of a new one.
    pub fn new(entry: Entry) -> Machine {
        Machine {
            entry,
            writing: None,
            waiting: VecDeque::new(),
            marked: false,
            late: false,
            outputs: Vec::new(),
        }
    }

    /// What is durable.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Whether this cannot be decided without a new producer id.
    pub fn wants_producer_id(&self, call: &TransactionCall) -> bool {
        let may_rotate = match call {
            TransactionCall::Init { .. } => true,
            TransactionCall::End { version, .. } => *version >= EPOCH_PER_TRANSACTION,
            TransactionCall::Add { .. } => false,
        };
        may_rotate && self.entry.is_exhausted()
    }

    /// Whether a tick would do something.
    pub fn is_due(&self, now_ms: i64, expire_after_ms: Option<i64>) -> bool {
        let Entry { start_ms, update_ms, timeout_ms, .. } = self.entry;
        if self.writing.is_some() {
            return false;
        }
        match self.entry.state {
            State::Ongoing => start_ms.saturating_add(timeout_ms.into()) <= now_ms,
            State::PrepareCommit | State::PrepareAbort => self.marked,
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                expire_after_ms.is_some_and(|after| update_ms.saturating_add(after) <= now_ms)
            }
        }
    }

    /// Takes one input; what is to be done about it, in order.
    pub fn step(&mut self, now_ms: i64, input: Input) -> Vec<Output> {
        match input {
            Input::Ask(token, ask) => self.ask(now_ms, token, ask),
            Input::Written(done) => self.written(now_ms, done),
            Input::MarkersWritten => {
                if self.entry.state.is_prepared() && self.writing.is_none() {
                    self.marked = true;
                    self.complete(now_ms);
                }
            }
            Input::MarkersLate => {
                self.late = true;
                self.go_on(now_ms);
            }
            Input::Loaded => self.prepare_on(now_ms),
            Input::Tick { expire_after_ms } if self.is_due(now_ms, expire_after_ms) => {
                match self.entry.state {
                    State::Ongoing => {
                        let next = rules::abort(&self.entry, now_ms);
                        self.write(Some(next), None);
                    }
                    State::PrepareCommit | State::PrepareAbort => self.complete(now_ms),
                    _ => self.write(None, None),
                }
            }
            Input::Tick { .. } => {}
        }
        std::mem::take(&mut self.outputs)
    }

    fn ask(&mut self, now_ms: i64, token: Token, ask: Ask) {
        let decision = match &self.writing {
            Some(writing) => self.meanwhile(writing, &ask, now_ms),
            None => self.decide(now_ms, &ask),
        };
        match decision {
            Decision::Tell(answer) => self.outputs.push(Output::Tell(token, answer)),
            Decision::Change(next, answer) => self.write(Some(next), Some((token, answer))),
            Decision::Wait if self.late || self.waiting.len() >= MOST_WAITING => {
                let busy = Err(ErrorCode::ConcurrentTransactions);
                self.outputs.push(Output::Tell(token, busy));
            }
            Decision::Wait => self.waiting.push_back((token, ask)),
        }
    }

    fn decide(&self, now_ms: i64, ask: &Ask) -> Decision {
        let entry = &self.entry;
        match &ask.call {
            TransactionCall::Init { timeout_ms, current } => {
                rules::init(entry, *timeout_ms, *current, ask.fresh, now_ms)
            }
            TransactionCall::Add { add, version } => rules::add(entry, add, *version, now_ms),
            TransactionCall::End { producer, commit, version } => match *version {
                EPOCH_PER_TRANSACTION.. => {
                    rules::end_with_bump(entry, *producer, *commit, ask.fresh, now_ms)
                }
                _ => rules::end(entry, *producer, *commit, now_ms),
            },
        }
    }

    /// Only questions are answered while a change is on its way, and not when it is an end.
    fn meanwhile(&self, writing: &Writing, ask: &Ask, now_ms: i64) -> Decision {
        let ends = writing.next.as_ref().is_none_or(|next| next.state.is_prepared());
        match &ask.call {
            TransactionCall::Add { add, .. } if add.verify_only && !ends => {
                self.decide(now_ms, ask)
            }
            _ => Decision::Wait,
        }
    }

    fn write(&mut self, next: Option<Entry>, told: Option<(Token, TransactionAnswer)>) {
        self.outputs.push(Output::Write(next.clone()));
        self.writing = Some(Writing { next, told });
    }

    fn complete(&mut self, now_ms: i64) {
        let next = rules::complete(&self.entry, now_ms);
        self.write(Some(next), None);
    }

    fn written(&mut self, now_ms: i64, done: Result<(), ErrorCode>) {
        let Some(Writing { next, told }) = self.writing.take() else { return };
        if let Some((token, answer)) = told {
            let answer = done.and(answer);
            self.outputs.push(Output::Tell(token, answer));
        }
        match (done, next) {
            (Ok(()), Some(next)) => {
                self.entry = next;
                self.prepare_on(now_ms);
            }
            (Ok(()), None) => return self.end(),
            (Err(_), _) if !self.entry.is_known() => return self.end(),
            // What failed is tried again by the clock, or by whoever asked.
            (Err(_), _) => self.late = true,
        }
        self.go_on(now_ms);
    }

    /// A transaction that was prepared now, or before a restart.
    fn prepare_on(&mut self, now_ms: i64) {
        (self.marked, self.late) = (false, false);
        if !self.entry.state.is_prepared() {
            return;
        }
        if self.entry.partitions.is_empty() {
            self.marked = true;
            return self.complete(now_ms);
        }
        self.outputs.push(Output::Markers(Prepared {
            producer: self.entry.producer,
            commit: self.entry.state == State::PrepareCommit,
            partitions: self.entry.partitions.clone(),
        }));
    }

    /// Decides what has waited, in its order.
    fn go_on(&mut self, now_ms: i64) {
        for (token, ask) in std::mem::take(&mut self.waiting) {
            self.ask(now_ms, token, ask);
        }
    }

    /// The id is forgotten: whoever waits comes again.
    fn end(&mut self) {
        let gone = |(token, _)| Output::Tell(token, Err(ErrorCode::ConcurrentTransactions));
        self.outputs.extend(self.waiting.drain(..).map(gone));
        self.outputs.push(Output::Gone);
    }
}
