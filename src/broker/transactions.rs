//! What is asked of transactional ids that this shard coordinates, and what their machines want done:
//! records appended, markers sent to the shards that own the partitions.

use std::rc::Rc;
use std::time::{Duration, Instant};

use corelane_shards::runtime::{sleep, spawn_guarded};

use super::Shard;
use crate::clock::now_ms;
use crate::controller::PRODUCER_ID_BLOCK;
use crate::partition::{
    keyed_log, AddToTransaction, Listed, OfTransaction, Outcome, Partition, PartitionKey,
    TransactionAnswer, TransactionCall, TransactionView,
};
use crate::transaction::{Ask, Effect, Input, Loaded, Machines, EPOCH_PER_TRANSACTION};
use crate::wire::ErrorCode;

/// How long the controller may take to give new producer ids.
const PRODUCER_IDS_TIMEOUT: Duration = Duration::from_secs(30);

impl Shard {
    /// A producer id that nobody has had, from a block that the controller has handed to this shard.
    ///
    /// # Errors
    /// The controller has none, or does not answer.
    pub async fn new_producer_id(&self) -> Result<i64, ErrorCode> {
        let (mut next, mut end) = self.producer_ids.get();
        if next == end {
            // Another request may bring a block meanwhile: this one is then left unused, which costs
            // nothing.
            let first = self.controller.allocate_producer_ids(PRODUCER_IDS_TIMEOUT).await?;
            (next, end) = (first, first + PRODUCER_ID_BLOCK);
        }
        self.producer_ids.set((next + 1, end));
        Ok(next)
    }

    pub(super) fn ask_transaction(
        self: &Rc<Self>,
        asked: OfTransaction<TransactionCall>,
        answer: impl FnOnce(TransactionAnswer) + 'static,
    ) {
        let OfTransaction { partition, id, what: call } = asked;
        let loaded = match self.transactions.find(partition) {
            Ok(loaded) => loaded,
            Err(code) => return answer(Err(code)),
        };
        if loaded.look(|machines| machines.wants_producer_id(&id, &call)) != Some(true) {
            let token = self.transactions.wait(Box::new(answer));
            return self.step(&loaded, &id, Input::Ask(token, Ask { call, fresh: None }));
        }
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "new producer id", async move {
            let fresh = match shard.new_producer_id().await {
                Ok(fresh) => Some(fresh),
                Err(_) => return answer(Err(ErrorCode::CoordinatorNotAvailable)),
            };
            let token = shard.transactions.wait(Box::new(answer));
            shard.step(&loaded, &id, Input::Ask(token, Ask { call, fresh }));
        });
    }

    pub(super) fn add_to_transaction(
        self: &Rc<Self>,
        asked: OfTransaction<AddToTransaction>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let OfTransaction { partition, id, what: add } = asked;
        let what = TransactionCall::Add { add, version: EPOCH_PER_TRANSACTION };
        let told = |told: TransactionAnswer| answer(Outcome::AddToTransaction(told.map(drop)));
        self.ask_transaction(OfTransaction { partition, id, what }, told);
    }

    pub(super) fn describe_transaction(
        &self,
        asked: &OfTransaction<()>,
    ) -> Result<TransactionView, ErrorCode> {
        let loaded = self.transactions.find(asked.partition)?;
        let view = loaded.look(|machines| machines.view(&asked.id)).flatten();
        view.ok_or(ErrorCode::TransactionalIdNotFound)
    }

    pub(super) fn list_transactions(&self) -> Listed<TransactionView> {
        let loaded = self.transactions.loaded();
        let views = loaded.iter().filter_map(|loaded| loaded.look(Machines::views));
        Listed { found: views.flatten().collect(), is_loading: self.transactions.is_loading() }
    }

    /// Reads a partition of the topic, and goes on with what was prepared.
    pub(super) fn load_transactions(self: &Rc<Self>, key: PartitionKey, of: Rc<Partition>) {
        let shard = Rc::clone(self);
        let load = self.transactions.load(key, of);
        spawn_guarded(&self.gate, "load transactions", async move {
            let (loaded, prepared) = load.await;
            for id in prepared {
                shard.step(&loaded, &id, Input::Loaded);
            }
        });
    }

    /// Aborts transactions that take too long, and forgets ids that are not used, for ever.
    pub(super) async fn run_transactions(self: &Rc<Self>) {
        let limits = self.config().transactions;
        let abort_interval = Duration::from_millis(limits.abort_interval_ms);
        let expire_interval = Duration::from_millis(limits.expire_interval_ms);
        let mut expired = Instant::now();
        loop {
            sleep(abort_interval.min(expire_interval)).await;
            let is_time = expired.elapsed() >= expire_interval;
            let expire_after_ms = is_time.then_some(limits.expire_after_ms);
            if is_time {
                expired = Instant::now();
            }
            for loaded in self.transactions.loaded() {
                let due = loaded.look(|machines| machines.due(now_ms(), expire_after_ms));
                for id in due.unwrap_or_default() {
                    self.step(&loaded, &id, Input::Tick { expire_after_ms });
                }
            }
        }
    }

    pub(super) fn step(self: &Rc<Self>, loaded: &Rc<Loaded>, id: &str, input: Input) {
        for effect in self.transactions.step(loaded, id, now_ms(), input) {
            let (shard, loaded, id) = (Rc::clone(self), Rc::clone(loaded), id.to_string());
            match effect {
                Effect::Write(record) => {
                    let appended = keyed_log::append(&loaded.of, &[record], now_ms());
                    spawn_guarded(&self.gate, "transaction record", async move {
                        let written = match appended {
                            Ok(durable) => durable.await,
                            Err(code) => Err(code),
                        };
                        // Kafka's codes for "ask again, perhaps elsewhere".
                        let written = written.map_err(|_| ErrorCode::NotCoordinator);
                        shard.step(&loaded, &id, Input::Written(written));
                    });
                }
                Effect::Markers(prepared) => {
                    spawn_guarded(&self.gate, "markers", async move {
                        shard.send_markers(&loaded, &id, prepared).await;
                    });
                }
            }
        }
    }
}
