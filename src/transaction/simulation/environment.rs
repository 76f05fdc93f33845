//! What is around the machine: a log that fails and forgets, partitions that take markers, a crash.

use super::{Doing, World, EXPIRE_MS};
use crate::partition::ProducerIdentity;
use crate::transaction::entry::{Entry, State};
use crate::transaction::machine::{Input, Machine};
use crate::wire::ErrorCode;

impl World {
    pub(super) fn write_ends(&mut self) {
        let Some(next) = self.writing.take() else { return };
        if self.draw.one_in(20) {
            if self.draw.one_in(2) {
                self.uncertain = Some(next);
            }
            return self.input(Input::Written(Err(ErrorCode::NotCoordinator)));
        }
        self.is_durable(next);
        self.input(Input::Written(Ok(())));
    }

    /// What the log has now: transactions are counted and compared by it.
    pub(super) fn is_durable(&mut self, next: Option<Entry>) {
        let was = self.durable.as_ref().map_or(State::Empty, |entry| entry.state);
        let state = next.as_ref().map_or(State::Empty, |entry| entry.state);
        match (was, state) {
            (State::Ongoing, State::Ongoing) => {}
            (_, State::Ongoing) => self.current += 1,
            (_, State::PrepareCommit | State::PrepareAbort) => {
                self.current += u64::from(was != State::Ongoing);
                let before = self.decided.insert(self.current, state == State::PrepareCommit);
                assert_eq!(before, None, "decided twice");
            }
            (State::Ongoing, _) => panic!("from {was:?} to {state:?}"),
            (State::PrepareCommit, state) => assert_eq!(state, State::CompleteCommit),
            (State::PrepareAbort, state) => assert_eq!(state, State::CompleteAbort),
            _ => {}
        }
        self.supersede(next.as_ref());
        (self.durable, self.uncertain) = (next, None);
    }

    pub(super) fn supersede(&mut self, next: Option<&Entry>) {
        let Some(was) = &self.durable else { return };
        if next.is_none_or(|next| next.producer != was.producer) {
            self.superseded.insert(was.producer);
        }
    }

    pub(super) fn marker_arrives(&mut self) {
        let Some((prepared, number, done)) = &mut self.markers else { return };
        let missing = prepared.partitions.iter().find(|(_, index)| !done.contains(index));
        let Some(&(_, index)) = missing else {
            self.markers = None;
            return self.input(Input::MarkersWritten);
        };
        let ProducerIdentity { id, epoch } = prepared.producer;
        let written = self.partitions.entry((index, id)).or_default();
        assert!(epoch >= written.epoch, "a marker of an old epoch");
        written.epoch = epoch;
        if let Some(open) = written.open.take() {
            assert_eq!(open, *number, "another transaction's marker");
        }
        assert_eq!(self.decided[number], prepared.commit);
        done.insert(index);
    }

    pub(super) fn tick(&mut self) {
        let expire_after_ms = self.draw.one_in(2).then_some(EXPIRE_MS);
        self.input(Input::Tick { expire_after_ms });
    }

    /// Whatever was not in the log is gone.
    pub(super) fn crash(&mut self) {
        let writing = self.writing.take();
        let found = [writing, self.uncertain.take()].into_iter().flatten().next();
        if let Some(found) = found.filter(|_| self.draw.one_in(2)) {
            self.is_durable(found);
        }
        self.markers = None;
        if let Some(entry) = &mut self.durable {
            entry.last_epoch = -1;
        }
        self.machine = self.durable.clone().map(Machine::new);
        self.input(Input::Loaded);
        for producer in &mut self.producers {
            if let Doing::Waiting(_, call) = &producer.doing {
                producer.doing = Doing::Asking(call.clone());
            }
        }
    }

    /// Nobody asks any more: every transaction comes to its end.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            self.now_ms += 1_000;
            self.write_ends();
            self.marker_arrives();
            self.input(Input::Tick { expire_after_ms: None });
        }
        let state = self.durable.as_ref().map_or(State::Empty, |entry| entry.state);
        assert!(!state.is_prepared() && state != State::Ongoing, "{state:?} stays");
        assert!(self.markers.is_none());
        let open = self.partitions.iter().find(|(_, written)| written.open.is_some());
        assert!(open.is_none(), "{:?} has records without a marker", open.map(|(key, _)| key));
        assert_eq!(self.decided.len() as u64, self.current, "each was decided, once");
    }
}
