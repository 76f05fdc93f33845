//! The partitions of `__transaction_state` that a shard owns: read when they are opened, and a machine
//! for each transactional id in them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::batch::BatchHeader;

use super::entry::Entry;
use super::machine::{Ask, Input, Machine, Output, Prepared, Token};
use super::record::{decode_key, decode_value, encode_key, encode_value};
use crate::partition::keyed_log::{each_record, KeyedRecord};
use crate::partition::keyed_partitions::{Keyed, KeyedPartitions};
use crate::partition::{
    Partition, PartitionKey, TransactionAnswer, TransactionCall, TransactionView,
};
use crate::wire::ErrorCode;

/// Transactional ids of one partition at most; those that are not used are forgotten in time.
const MOST_IDS: usize = 1 << 20;

type Tell = Box<dyn FnOnce(TransactionAnswer)>;

/// One partition's ids.
pub type Loaded = Keyed<Machines>;

/// What the broker has to do for an id's machine.
pub enum Effect {
    /// Append this, then say that it is written.
    Write(KeyedRecord),
    /// Write these markers, then say so.
    Markers(Prepared),
}

/// The partitions of the topic on one shard. Lives there.
#[derive(Default)]
pub struct Transactions {
    partitions: KeyedPartitions<Machines>,
    waiting: RefCell<HashMap<Token, Tell>>,
    next: Cell<Token>,
}

impl Transactions {
    /// Takes a partition that was opened; it is of use once the future is done, which gives the ids
    /// that are to be told [`Input::Loaded`].
    pub fn load(
        &self,
        key: PartitionKey,
        of: Rc<Partition>,
    ) -> impl Future<Output = (Rc<Loaded>, Vec<String>)> {
        let load = self.partitions.load(key, of, apply, |machines: Machines| machines);
        async move {
            let loaded = load.await;
            let prepared = loaded.look(|machines| {
                let all = machines.0.iter();
                let prepared = all.filter(|(_, machine)| machine.entry().state.is_prepared());
                prepared.map(|(id, _)| id.clone()).collect()
            });
            (loaded, prepared.unwrap_or_default())
        }
    }

    /// Forgets a partition that was deleted.
    pub fn unload(&self, key: &PartitionKey) {
        self.partitions.unload(key);
    }

    /// The partition, if it is served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn find(&self, index: i32) -> Result<Rc<Loaded>, ErrorCode> {
        self.partitions.find(index)
    }

    /// Takes one that waits for an answer.
    pub fn wait(&self, tell: Tell) -> Token {
        self.next.set(self.next.get() + 1);
        self.waiting.borrow_mut().insert(self.next.get(), tell);
        self.next.get()
    }

    /// Lets something happen to an id; what the broker has to do about it.
    pub fn step(&self, loaded: &Loaded, id: &str, now_ms: i64, input: Input) -> Vec<Effect> {
        let stepped = loaded.change(|machines| machines.step(id, now_ms, input));
        let mut effects = Vec::new();
        for output in stepped.unwrap_or_default() {
            match output {
                Output::Write(entry) => {
                    let value = entry.map(|entry| encode_value(&entry));
                    effects.push(Effect::Write((encode_key(id), value)));
                }
                Output::Markers(prepared) => effects.push(Effect::Markers(prepared)),
                Output::Tell(token, answer) => {
                    let waiting = self.waiting.borrow_mut().remove(&token);
                    if let Some(tell) = waiting {
                        tell(answer);
                    }
                }
                Output::Gone => {}
            }
        }
        effects
    }

    /// All partitions that are loaded.
    pub fn loaded(&self) -> Vec<Rc<Loaded>> {
        self.partitions.served().into_iter().map(|(_, loaded)| loaded).collect()
    }

    /// Whether a partition is still being read: what is known of ids is not whole.
    pub fn is_loading(&self) -> bool {
        self.partitions.is_loading()
    }
}

/// The machines of one partition's ids.
#[derive(Default)]
pub struct Machines(BTreeMap<String, Machine>);

impl Machines {
    fn step(&mut self, id: &str, now_ms: i64, input: Input) -> Vec<Output> {
        let machines = &mut self.0;
        let Some(machine) = machines.get_mut(id) else {
            return match input {
                Input::Ask(token, ask) => begin(machines, id, now_ms, token, ask),
                _ => Vec::new(),
            };
        };
        let outputs = machine.step(now_ms, input);
        if outputs.contains(&Output::Gone) {
            machines.remove(id);
        }
        outputs
    }

    /// Whether a call cannot be decided without a new producer id.
    pub fn wants_producer_id(&self, id: &str, call: &TransactionCall) -> bool {
        match self.0.get(id) {
            Some(machine) => machine.wants_producer_id(call),
            None => matches!(call, TransactionCall::Init { .. }),
        }
    }

    /// Ids for which a tick would do something.
    pub fn due(&self, now_ms: i64, expire_after_ms: Option<i64>) -> Vec<String> {
        let due = self.0.iter().filter(|(_, machine)| machine.is_due(now_ms, expire_after_ms));
        due.map(|(id, _)| id.clone()).collect()
    }

    pub fn view(&self, id: &str) -> Option<TransactionView> {
        let entry = self.0.get(id)?.entry();
        entry.is_known().then(|| entry.view(id))
    }

    /// All ids, without their partitions.
    pub fn views(&self) -> Vec<TransactionView> {
        let known = self.0.iter().filter(|(_, machine)| machine.entry().is_known());
        let view = |(id, machine): (&String, &Machine)| TransactionView {
            partitions: Vec::new(),
            ..machine.entry().view(id)
        };
        known.map(view).collect()
    }
}

/// An id that is not known: its first producer comes, everybody else is mistaken.
fn begin(
    machines: &mut BTreeMap<String, Machine>,
    id: &str,
    now_ms: i64,
    token: Token,
    ask: Ask,
) -> Vec<Output> {
    let refused = |code| vec![Output::Tell(token, Err(code))];
    let TransactionCall::Init { timeout_ms, .. } = ask.call else {
        return refused(ErrorCode::InvalidProducerIdMapping);
    };
    let Some(producer_id) = ask.fresh else { return refused(ErrorCode::ConcurrentTransactions) };
    if machines.len() >= MOST_IDS {
        return refused(ErrorCode::CoordinatorNotAvailable);
    }
    let machine = Machine::new(Entry::new(producer_id, timeout_ms, now_ms));
    let machine = machines.entry(id.to_string()).or_insert(machine);
    machine.step(now_ms, Input::Ask(token, ask))
}

fn apply(machines: &mut Machines, header: &BatchHeader, undone: &[u8]) -> Result<(), String> {
    if header.is_control() {
        return Ok(());
    }
    each_record(header, undone, |key, value| {
        let Some(id) = decode_key(key).map_err(|e| e.to_string())? else { return Ok(()) };
        match value {
            None => drop(machines.0.remove(&id)),
            Some(value) => {
                let entry = decode_value(value).map_err(|e| e.to_string())?;
                machines.0.insert(id, Machine::new(entry));
            }
        }
        Ok(())
    })
}
