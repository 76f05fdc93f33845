//! The partitions of `__transaction_state` that a shard owns: read when they are opened, and a machine
//! for each transactional id in them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::batch::{BatchHeader, Record};
use corelane_shards::log::{Log, LogError};

use super::entry::Entry;
use super::machine::{Ask, Input, Machine, Output, Prepared, Token};
use super::record::{decode_key, decode_value, encode_key, encode_value};
use crate::partition::keyed_log::{self, KeyedRecord};
use crate::partition::{
    Partition, PartitionKey, TransactionAnswer, TransactionCall, TransactionView,
};
use crate::wire::ErrorCode;

/// Transactional ids of one partition at most; those that are not used are forgotten in time.
const MOST_IDS: usize = 1 << 20;

type Tell = Box<dyn FnOnce(TransactionAnswer)>;
type Machines = BTreeMap<String, Machine>;

/// One partition's ids: `None` while it is read.
pub struct Loaded {
    pub of: Rc<Partition>,
    machines: RefCell<Option<Result<Machines, ErrorCode>>>,
}

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
    partitions: RefCell<BTreeMap<i32, (PartitionKey, Rc<Loaded>)>>,
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
        let loaded = Rc::new(Loaded { of, machines: RefCell::new(None) });
        self.partitions.borrow_mut().insert(key.index, (key, Rc::clone(&loaded)));
        async move {
            let log = Rc::clone(&loaded.of.log);
            let read = read_all(&log).await.map_err(|error| {
                tracing::error!(log = %log.dir().display(), "transactions are not served: {error}");
                ErrorCode::CoordinatorNotAvailable
            });
            let is_prepared = |entry: &&Machine| entry.entry().state.is_prepared();
            let ids = read.iter().flatten();
            let ids = ids.filter(|(_, machine)| is_prepared(machine)).map(|(id, _)| id.clone());
            let ids = ids.collect();
            *loaded.machines.borrow_mut() = Some(read);
            (loaded, ids)
        }
    }

    /// Forgets a partition that was deleted.
    pub fn unload(&self, key: &PartitionKey) {
        self.partitions.borrow_mut().retain(|_, (of, _)| of != key);
    }

    /// The partition, if it is served here now.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn find(&self, index: i32) -> Result<Rc<Loaded>, ErrorCode> {
        let found = self.partitions.borrow().get(&index).map(|(_, loaded)| Rc::clone(loaded));
        let found = found.ok_or(ErrorCode::NotCoordinator)?;
        match &*found.machines.borrow() {
            None => return Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Err(code)) => return Err(*code),
            Some(Ok(_)) => {}
        }
        Ok(found)
    }

    /// Takes one that waits for an answer.
    pub fn wait(&self, tell: Tell) -> Token {
        self.next.set(self.next.get() + 1);
        self.waiting.borrow_mut().insert(self.next.get(), tell);
        self.next.get()
    }

    /// Lets something happen to an id; what the broker has to do about it.
    pub fn step(&self, loaded: &Loaded, id: &str, now_ms: i64, input: Input) -> Vec<Effect> {
        let outputs = loaded.step(id, now_ms, input);
        let mut effects = Vec::new();
        for output in outputs {
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
        self.partitions.borrow().values().map(|(_, loaded)| Rc::clone(loaded)).collect()
    }
}

impl Loaded {
    fn step(&self, id: &str, now_ms: i64, input: Input) -> Vec<Output> {
        let mut machines = self.machines.borrow_mut();
        let Some(Ok(machines)) = &mut *machines else { return Vec::new() };
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
        let machines = self.machines.borrow();
        let Some(Ok(machines)) = &*machines else { return false };
        match machines.get(id) {
            Some(machine) => machine.wants_producer_id(call),
            None => matches!(call, TransactionCall::Init { .. }),
        }
    }

    /// Ids for which a tick would do something.
    pub fn due(&self, now_ms: i64, expire_after_ms: Option<i64>) -> Vec<String> {
        let machines = self.machines.borrow();
        let all = machines.iter().flatten().flatten();
        let due = all.filter(|(_, machine)| machine.is_due(now_ms, expire_after_ms));
        due.map(|(id, _)| id.clone()).collect()
    }

    pub fn view(&self, id: &str) -> Option<TransactionView> {
        let machines = self.machines.borrow();
        let Some(Ok(machines)) = &*machines else { return None };
        let entry = machines.get(id)?.entry();
        entry.is_known().then(|| entry.view(id))
    }

    /// All ids, without their partitions.
    pub fn views(&self) -> Vec<TransactionView> {
        let machines = self.machines.borrow();
        let all = machines.iter().flatten().flatten();
        let known = all.filter(|(_, machine)| machine.entry().is_known());
        let view = |(id, machine): (&String, &Machine)| TransactionView {
            partitions: Vec::new(),
            ..machine.entry().view(id)
        };
        known.map(view).collect()
    }
}

/// An id that is not known: its first producer comes, everybody else is mistaken.
fn begin(machines: &mut Machines, id: &str, now_ms: i64, token: Token, ask: Ask) -> Vec<Output> {
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

/// What the whole log comes to.
async fn read_all(log: &Rc<Log>) -> Result<Machines, LogError> {
    let mut machines = Machines::new();
    keyed_log::read_all(log, |header, undone| apply(&mut machines, header, undone)).await?;
    Ok(machines)
}

fn apply(machines: &mut Machines, header: &BatchHeader, undone: &[u8]) -> Result<(), String> {
    let mut rest = undone;
    for _ in 0..header.record_count.get() {
        let record = Record::take(&mut rest).ok_or("a record is cut off")?;
        if header.is_control() {
            continue;
        }
        let key = record.key.ok_or("a record without a key")?;
        let Some(id) = decode_key(key).map_err(|e| e.to_string())? else { continue };
        match record.value {
            None => drop(machines.remove(&id)),
            Some(value) => {
                let entry = decode_value(value).map_err(|e| e.to_string())?;
                machines.insert(id, Machine::new(entry));
            }
        }
    }
    Ok(())
}
