//! What a request does to what is known of a transactional id: Kafka's rules, without the order of
//! things.

use super::entry::{Entry, State, EPOCH_PER_TRANSACTION};
use crate::partition::{AddToTransaction, ProducerIdentity, TransactionAnswer};
use crate::wire::ErrorCode;

/// What is done about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing changes.
    Tell(TransactionAnswer),
    /// It is told once the change is durable.
    Change(Entry, TransactionAnswer),
    /// It is decided once the prepared transaction is complete.
    Wait,
}

use Decision::{Change, Tell, Wait};

/// InitProducerId. `fresh`: a new producer id, where one was needed when it was looked.
pub fn init(
    entry: &Entry,
    timeout_ms: i32,
    current: Option<ProducerIdentity>,
    fresh: Option<i64>,
    now_ms: i64,
) -> Decision {
    if current.is_some_and(|current| !entry.may_be(current)) {
        return Tell(Err(ErrorCode::ProducerFenced));
    }
    let is_current = current.is_none_or(|current| current.epoch == entry.producer.epoch);
    // The call that gave the present epoch is asked for again: its answer was lost.
    let is_retry =
        current.is_some_and(|current| current.epoch >= 0 && current.epoch == entry.last_epoch);
    match entry.state {
        State::PrepareCommit | State::PrepareAbort => Tell(Err(ErrorCode::ConcurrentTransactions)),
        // Unlike in Kafka: one that was fenced does not end its successor's transaction.
        State::Ongoing if !is_current => Tell(Err(ErrorCode::ProducerFenced)),
        State::Ongoing => {
            let mut next = abort(entry, now_ms);
            if current.is_some() {
                next.last_epoch = entry.producer.epoch;
            }
            Change(next, Err(ErrorCode::ConcurrentTransactions))
        }
        State::Empty | State::CompleteCommit | State::CompleteAbort => {
            let mut next = entry.changed(State::Empty, now_ms);
            let epoch = entry.producer.epoch;
            next.last_epoch = current.map_or(-1, |_| epoch);
            // The last epoch of all is never a producer's.
            let is_spent = is_current && entry.is_exhausted() || is_retry && epoch == i16::MAX;
            match fresh {
                Some(id) if is_spent => next.producer = ProducerIdentity { id, epoch: 0 },
                None if is_spent => return Tell(Err(ErrorCode::ConcurrentTransactions)),
                _ if is_current || !entry.is_known() => next.producer.epoch = epoch + 1,
                _ if is_retry => return Tell(Ok(entry.producer)),
                _ => return Tell(Err(ErrorCode::ProducerFenced)),
            }
            next.timeout_ms = timeout_ms;
            next.partitions.clear();
            next.start_ms = -1;
            let producer = next.producer;
            Change(next, Ok(producer))
        }
    }
}

/// Partitions are added, or looked for.
pub fn add(entry: &Entry, add: &AddToTransaction, version: i16, now_ms: i64) -> Decision {
    let producer = ProducerIdentity { id: add.producer_id, epoch: add.producer_epoch };
    let is_prepared = entry.state.is_prepared();
    if is_prepared && producer == entry.successor() && !add.verify_only {
        return Wait;
    }
    if let Err(code) = check(entry, producer) {
        return Tell(Err(code));
    }
    let all_there = add.partitions.iter().all(|partition| entry.partitions.contains(partition));
    match () {
        () if is_prepared => Tell(Err(ErrorCode::ConcurrentTransactions)),
        () if add.verify_only && !all_there => Tell(Err(ErrorCode::TransactionAbortable)),
        () if add.verify_only || all_there && entry.state == State::Ongoing => {
            Tell(Ok(ProducerIdentity::NONE))
        }
        () => {
            let mut next = entry.changed(State::Ongoing, now_ms);
            if entry.state != State::Ongoing {
                next.start_ms = now_ms;
            }
            next.partitions.extend(add.partitions.iter().cloned());
            next.version = version;
            Change(next, Ok(ProducerIdentity::NONE))
        }
    }
}

fn check(entry: &Entry, producer: ProducerIdentity) -> Result<(), ErrorCode> {
    match () {
        () if producer.id != entry.producer.id => Err(ErrorCode::InvalidProducerIdMapping),
        () if producer.epoch != entry.producer.epoch => Err(ErrorCode::ProducerFenced),
        () => Ok(()),
    }
}

/// EndTxn of a client before transaction version 2: the same producer goes on, so a retry cannot be
/// told from a transaction without partitions.
pub fn end(entry: &Entry, producer: ProducerIdentity, commit: bool, now_ms: i64) -> Decision {
    if let Err(code) = check(entry, producer) {
        return Tell(Err(code));
    }
    match (entry.state, commit) {
        (State::Ongoing, _) => {
            let mut next = entry.changed(prepared(commit), now_ms);
            (next.version, next.next_id) = (0, -1);
            Change(next, Ok(ProducerIdentity::NONE))
        }
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => {
            Tell(Ok(ProducerIdentity::NONE))
        }
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
            Tell(Err(ErrorCode::ConcurrentTransactions))
        }
        _ => Tell(Err(ErrorCode::InvalidTxnState)),
    }
}

/// EndTxn of a client of transaction version 2: each end gives a new epoch, and with the last epoch a
/// new producer id (`fresh`).
pub fn end_with_bump(
    entry: &Entry,
    producer: ProducerIdentity,
    commit: bool,
    fresh: Option<i64>,
    now_ms: i64,
) -> Decision {
    if entry.ended_by() == Some(producer) {
        return Tell(match (entry.state, commit) {
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(entry.producer),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        });
    }
    if entry.state.is_prepared() && producer == entry.successor() {
        return match entry.version >= EPOCH_PER_TRANSACTION {
            true => Wait,
            // Its own end, asked for as an older client a moment ago.
            false => Tell(Err(ErrorCode::ConcurrentTransactions)),
        };
    }
    if let Err(code) = check(entry, producer) {
        return Tell(Err(code));
    }
    if commit && entry.state != State::Ongoing {
        return Tell(Err(ErrorCode::InvalidTxnState));
    }
    let mut next = entry.changed(prepared(commit), now_ms);
    next.next_id = match (entry.is_exhausted(), fresh) {
        (false, _) => -1,
        (true, Some(id)) => id,
        (true, None) => return Tell(Err(ErrorCode::ConcurrentTransactions)),
    };
    next.producer.epoch = producer.epoch.saturating_add(1);
    next.last_epoch = producer.epoch;
    next.version = EPOCH_PER_TRANSACTION;
    if entry.state != State::Ongoing {
        next.start_ms = now_ms;
    }
    let successor = next.successor();
    Change(next, Ok(successor))
}

/// The broker aborts a transaction: its producer has come anew, or has not ended it in time. Two
/// epochs are taken, so that no end that is asked for again can be taken for this one.
pub fn abort(entry: &Entry, now_ms: i64) -> Entry {
    let mut next = entry.changed(State::PrepareAbort, now_ms);
    next.producer.epoch = entry.producer.epoch.saturating_add(2);
    (next.last_epoch, next.next_id) = (-1, -1);
    next.version = EPOCH_PER_TRANSACTION;
    next
}

/// Every partition of a prepared transaction has its marker.
pub fn complete(entry: &Entry, now_ms: i64) -> Entry {
    let state = match entry.state {
        State::PrepareCommit => State::CompleteCommit,
        _ => State::CompleteAbort,
    };
    let mut next = entry.changed(state, now_ms);
    next.producer = entry.successor();
    next.next_id = -1;
    next.partitions.clear();
    next
}

fn prepared(commit: bool) -> State {
    match commit {
        true => State::PrepareCommit,
        false => State::PrepareAbort,
    }
}
