//! Appends on the owning shard: synchronous up to the offsets, answered when the log says so.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use corelane_shards::log::batch::BatchHeader;
use corelane_shards::log::{AppendWaiter, Durability, LogError, NewBatch};

use super::{error_code, InTransaction, Partition, PartitionTable, ProduceGroup, ProduceOutcome};
use crate::wire::ErrorCode;

/// Called once with the outcome of every entry.
pub type Done = Box<dyn FnOnce(Vec<ProduceOutcome>)>;

/// One request's appends on this shard: the one waiter that all its logs tell.
struct ProduceOp {
    open: Cell<usize>,
    outcomes: RefCell<Vec<ProduceOutcome>>,
    done: Cell<Option<Done>>,
}

impl ProduceOp {
    fn finish_one(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            if let Some(done) = self.done.take() {
                done(std::mem::take(&mut *self.outcomes.borrow_mut()));
            }
        }
    }
}

impl AppendWaiter for ProduceOp {
    fn done(&self, index: usize, result: Result<(), LogError>) {
        if let Err(error) = result {
            self.outcomes.borrow_mut()[index] = failed(&error);
        }
        self.finish_one();
    }
}

fn failed(error: &LogError) -> ProduceOutcome {
    ProduceOutcome {
        error_code: error_code(error).code(),
        error_message: Some(error.to_string()),
        base_offset: -1,
        log_start_offset: -1,
    }
}

/// Appends every entry now, in order; `done` is called when each is as safe as was asked for.
pub fn produce(table: &PartitionTable, group: ProduceGroup, done: Done) {
    let durability = if group.durable { Durability::Durable } else { Durability::Written };
    let op = Rc::new(ProduceOp {
        // One more than there are entries, so that nothing finishes before all have begun.
        open: Cell::new(group.entries.len() + 1),
        outcomes: RefCell::new(Vec::with_capacity(group.entries.len())),
        done: Cell::new(Some(done)),
    });
    for (index, (key, batch)) in group.entries.into_iter().enumerate() {
        op.outcomes.borrow_mut().push(ProduceOutcome::default());
        let found = table.find(&key).and_then(|partition| {
            may_append(&partition, group.transaction.as_ref(), &batch)?;
            Ok(partition)
        });
        let outcome = match found {
            Err(code) => Err(not_here(code)),
            Ok(partition) => {
                let waiter = Some((Rc::clone(&op) as Rc<dyn AppendWaiter>, index));
                let epoch = partition.leader_epoch.get();
                let appended = partition.log.append(batch, epoch, durability, group.now_ms, waiter);
                appended.map_err(|e| failed(&e)).map(|appended| ProduceOutcome {
                    base_offset: appended.base_offset,
                    log_start_offset: partition.log.log_start(),
                    ..ProduceOutcome::default()
                })
            }
        };
        match outcome {
            Ok(outcome) => {
                let mut outcomes = op.outcomes.borrow_mut();
                if outcomes[index].error_code == 0 {
                    outcomes[index] = outcome;
                }
            }
            Err(outcome) => {
                op.outcomes.borrow_mut()[index] = outcome;
                op.finish_one();
            }
        }
    }
    op.finish_one();
}

/// A batch that begins a transaction here was asked for at the coordinator, and none ends meanwhile.
fn may_append(
    partition: &Partition,
    transaction: Option<&InTransaction>,
    batch: &NewBatch,
) -> Result<(), ErrorCode> {
    let Some(transaction) = transaction else { return Ok(()) };
    let header = BatchHeader::peek(&batch.bytes).filter(BatchHeader::is_transactional);
    let Some(header) = header else { return Ok(()) };
    let (producer_id, epoch) = (header.producer_id.get(), header.producer_epoch.get());
    match partition.may_be_in_transaction(producer_id, epoch) {
        true => Ok(()),
        false => Err(transaction.refusal(ErrorCode::NotEnoughReplicas)),
    }
}

fn not_here(code: ErrorCode) -> ProduceOutcome {
    ProduceOutcome {
        error_code: code.code(),
        error_message: None,
        base_offset: -1,
        log_start_offset: -1,
    }
}
