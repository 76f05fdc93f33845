use std::collections::BTreeSet;

use crate::partition::{ProducerIdentity, TransactionView};

/// Where a transaction is. Kafka has an eighth state, in which it decides to fence a producer: here
/// that is one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Empty,
    Ongoing,
    /// Decided; not every partition has its marker yet.
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

/// All states by the number that a record has for them.
const STATES: [(State, &str); 6] = [
    (State::Empty, "Empty"),
    (State::Ongoing, "Ongoing"),
    (State::PrepareCommit, "PrepareCommit"),
    (State::PrepareAbort, "PrepareAbort"),
    (State::CompleteCommit, "CompleteCommit"),
    (State::CompleteAbort, "CompleteAbort"),
];
/// Kafka's names of states that nothing is ever in here.
const OTHER_NAMES: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl State {
    /// The number that Kafka's records have for it.
    pub fn number(self) -> i8 {
        self as i8
    }

    pub fn of_number(number: i8) -> Option<State> {
        STATES.get(usize::try_from(number).ok()?).map(|(state, _)| *state)
    }

    pub fn name(self) -> &'static str {
        STATES[self as usize].1
    }

    /// Whether Kafka has a state of this name.
    pub fn is_known(name: &str) -> bool {
        STATES.iter().any(|(_, known)| *known == name) || OTHER_NAMES.contains(&name)
    }

    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }
}

/// What is known of a transactional id: a record of `__transaction_state`, and `last_epoch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub producer: ProducerIdentity,
    /// The producer id before the last change, which is the same unless that change gave a new one.
    pub previous_id: i64,
    /// The producer id that the prepared transaction ends with, because the epochs of this one are
    /// used up; −1: it stays.
    pub next_id: i64,
    /// What the producer's epoch was before, where that producer may come again as the same one;
    /// −1 else, and after a restart.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub state: State,
    pub partitions: BTreeSet<(String, i32)>,
    /// −1: none has begun.
    pub start_ms: i64,
    pub update_ms: i64,
    /// Transaction version of the client (or of the broker) that made the last change.
    pub version: i16,
}

/// From here on a producer id's epochs are used up: the last is for the broker, to fence with.
const LAST_EPOCH: i16 = i16::MAX - 1;
/// The transaction version whose clients get a new epoch at each end (KIP-890).
pub const EPOCH_PER_TRANSACTION: i16 = 2;

impl Entry {
    /// Of an id that is not known yet; its first epoch will be 0.
    pub fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Entry {
        Entry {
            producer: ProducerIdentity { id: producer_id, epoch: -1 },
            previous_id: -1,
            next_id: -1,
            last_epoch: -1,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            start_ms: -1,
            update_ms: now_ms,
            version: 0,
        }
    }

    /// A copy to be changed now.
    pub fn changed(&self, state: State, now_ms: i64) -> Entry {
        let previous_id = self.producer.id;
        Entry { state, previous_id, update_ms: now_ms, ..self.clone() }
    }

    /// Whether its record was ever made.
    pub fn is_known(&self) -> bool {
        self.producer.epoch >= 0
    }

    pub fn is_exhausted(&self) -> bool {
        self.producer.epoch >= LAST_EPOCH
    }

    /// Who the producer is once a prepared transaction is complete.
    pub fn successor(&self) -> ProducerIdentity {
        match self.next_id {
            -1 => self.producer,
            id => ProducerIdentity { id, epoch: 0 },
        }
    }

    /// Who has ended the prepared or complete transaction, where that has given it a new epoch. The
    /// broker takes two epochs when it aborts: the one between is nobody's.
    pub fn ended_by(&self) -> Option<ProducerIdentity> {
        let ProducerIdentity { id, epoch } = self.producer;
        let bumped = matches!(epoch, 1..=LAST_EPOCH)
            || epoch == i16::MAX && self.state.is_prepared() && self.next_id >= 0;
        match self.state {
            State::Empty | State::Ongoing => None,
            _ if self.version < EPOCH_PER_TRANSACTION => None,
            _ if bumped => Some(ProducerIdentity { id, epoch: epoch - 1 }),
            _ if epoch == 0 && self.previous_id != id => {
                Some(ProducerIdentity { id: self.previous_id, epoch: LAST_EPOCH })
            }
            _ => None,
        }
    }

    /// Whether `current` may be this id's producer (KIP-360): it is, or it was when its epochs were
    /// used up.
    pub fn may_be(&self, current: ProducerIdentity) -> bool {
        !self.is_known()
            || current.id == self.producer.id
            || current.id == self.previous_id && current.epoch >= LAST_EPOCH
    }

    pub fn view(&self, id: &str) -> TransactionView {
        TransactionView {
            id: id.to_string(),
            state: self.state.name(),
            producer: self.producer,
            timeout_ms: self.timeout_ms,
            start_ms: self.start_ms,
            partitions: self.partitions.iter().cloned().collect(),
        }
    }
}
