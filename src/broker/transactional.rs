//! What transactions ask of the partitions that this shard owns: batches are appended once the
//! transaction's coordinator knows that the partition is in it (KIP-890), and markers end them.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;
use futures_util::future::join_all;

use super::Shard;
use crate::clock::now_ms;
use crate::group::OFFSETS_TOPIC;
use crate::handlers::route::ask_transaction_coordinator;
use crate::partition::produce::{self, Done};
use crate::partition::{
    markers, AddToTransaction, InTransaction, MarkerOrder, OfTransaction, Operation, Outcome,
    Partition, ProduceGroup,
};
use crate::wire::ErrorCode;

/// Batches of producers about whom a coordinator is asked now, in their order. As many as their
/// connections may have in flight.
pub type Verifying = RefCell<HashMap<i64, VecDeque<(ProduceGroup, Done)>>>;

impl Shard {
    pub(super) fn produce(self: &Rc<Self>, group: ProduceGroup, done: Done) {
        let Some(transaction) = &group.transaction else {
            return produce::produce(&self.table, group, done);
        };
        let producer_id = transaction.producer_id;
        if let Some(behind) = self.verifying.borrow_mut().get_mut(&producer_id) {
            behind.push_back((group, done));
            return;
        }
        if self.to_verify(&group).is_empty() {
            return produce::produce(&self.table, group, done);
        }
        self.verifying.borrow_mut().insert(producer_id, VecDeque::new());
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "verify", async move {
            let mut next = Some((group, done));
            while let Some((mut group, done)) = next {
                shard.verify(&mut group).await;
                produce::produce(&shard.table, group, done);
                let mut verifying = shard.verifying.borrow_mut();
                next = verifying.get_mut(&producer_id).and_then(VecDeque::pop_front);
                if next.is_none() {
                    verifying.remove(&producer_id);
                }
            }
        });
    }

    /// Partitions that a producer would begin a transaction in, by name.
    fn to_verify(&self, group: &ProduceGroup) -> Vec<((String, i32), Rc<Partition>)> {
        let Some(transaction) = &group.transaction else { return Vec::new() };
        let image = self.image();
        let unknown = group.entries.iter().filter_map(|(key, _)| {
            let partition = self.table.get(key)?;
            let topic = image.by_id.get(&key.topic)?;
            let InTransaction { producer_id, producer_epoch, .. } = *transaction;
            let open = partition.log.is_in_transaction(producer_id, producer_epoch);
            (!open).then(|| ((topic.name.to_string(), key.index), partition))
        });
        unknown.collect()
    }

    async fn verify(self: &Rc<Self>, group: &mut ProduceGroup) {
        let unknown = self.to_verify(group);
        if let Some(transaction) = &mut group.transaction {
            self.verify_all(transaction, &unknown).await;
        }
    }

    /// Asks whether a transaction may begin in a partition of the offsets topic.
    pub(super) async fn verify_offsets(self: &Rc<Self>, of: &mut InTransaction, index: i32) {
        let Ok(partition) = self.coordinators.partition(index) else { return };
        if !partition.log.is_in_transaction(of.producer_id, of.producer_epoch) {
            self.verify_all(of, &[((OFFSETS_TOPIC.to_string(), index), partition)]).await;
        }
    }

    /// Asks the coordinator whether a transaction may begin in partitions; if not, it says why.
    async fn verify_all(
        self: &Rc<Self>,
        transaction: &mut InTransaction,
        unknown: &[((String, i32), Rc<Partition>)],
    ) {
        if unknown.is_empty() {
            return;
        }
        // A marker that comes before the answer takes this back.
        unknown.iter().for_each(|(_, partition)| partition.verified.ask(transaction));
        let names = unknown.iter().map(|(name, _)| name.clone()).collect();
        if let Err(code) = self.ask_to_add(transaction, names).await {
            transaction.refused = Some(code);
            for (_, partition) in unknown {
                partition.verified.take(transaction.producer_id, transaction.producer_epoch);
            }
        }
    }

    async fn ask_to_add(
        self: &Rc<Self>,
        transaction: &InTransaction,
        partitions: Vec<(String, i32)>,
    ) -> Result<(), ErrorCode> {
        let verify_only = !transaction.adds_partitions;
        if verify_only && !self.config().transactions.verify_partitions {
            return Ok(());
        }
        let what = AddToTransaction {
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            verify_only,
            partitions,
        };
        let id = transaction.id.clone();
        let call = |partition| Operation::AddToTransaction(OfTransaction { partition, id, what });
        ask_transaction_coordinator(self, &transaction.id, call, |outcome| match outcome {
            Outcome::AddToTransaction(it) => Some(it),
            _ => None,
        })
        .await?
    }

    pub(super) fn write_markers(
        self: &Rc<Self>,
        orders: Vec<MarkerOrder>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "markers", async move {
            // All are appended before the first is waited for: they share writes.
            let written = orders.iter().map(|order| markers::write(&shard.table, order, now_ms()));
            let written = join_all(written).await;
            for (order, written) in orders.iter().zip(&written) {
                if written.is_ok() {
                    let MarkerOrder { key, producer_id, commit, .. } = order;
                    shard.coordinators.end_transaction(key, *producer_id, *commit);
                }
            }
            answer(Outcome::WriteMarkers(written));
        });
    }
}
