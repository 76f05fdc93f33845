//! The partitions of `__share_group_state` that a shard owns: read when they are opened, asked by the
//! shards that deliver records, appended to by them.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::batch::BatchHeader;

use super::record::{self, Kind};
use crate::group::partition_of;
use crate::metadata::kafka_uuid;
use crate::partition::keyed_log::{append, each_record};
use crate::partition::keyed_partitions::{Keyed, KeyedPartitions};
use crate::partition::share::{OfShareState, ShareKey, ShareState, StateCall};
use crate::partition::{Partition, PartitionKey};
use crate::wire::ErrorCode;

pub use crate::group::SHARE_STATE_TOPIC as STATE_TOPIC;

/// States of one partition at most: each is a group's of a partition.
const MOST_STATES: usize = 1 << 18;

type States = BTreeMap<ShareKey, ShareState>;

type Loaded = Keyed<States>;

/// See the module's head. Lives on its shard.
#[derive(Default)]
pub struct ShareStates {
    partitions: KeyedPartitions<States>,
}

/// The partition of the state's topic that a state belongs to, as Kafka computes it.
pub fn state_partition(key: &ShareKey, partitions: usize) -> i32 {
    let name = format!("{}:{}:{}", key.group, kafka_uuid(key.topic), key.index);
    partition_of(&name, partitions)
}

impl ShareStates {
    /// Takes a partition that was opened; it is of use once the future is done.
    pub fn load(&self, key: PartitionKey, of: Rc<Partition>) -> impl Future<Output = ()> {
        let load = self.partitions.load(key, of, apply, |states: States| states);
        async move { drop(load.await) }
    }

    /// Forgets a partition that was deleted.
    pub fn unload(&self, key: &PartitionKey) {
        self.partitions.unload(key);
    }

    /// Whether a partition is still being read.
    pub fn is_loading(&self) -> bool {
        self.partitions.is_loading()
    }

    /// Reads a state, or writes it durably; what it is then.
    ///
    /// # Errors
    /// Kafka's code.
    pub async fn call(
        &self,
        call: OfShareState,
        now_ms: i64,
    ) -> Result<Option<ShareState>, ErrorCode> {
        let OfShareState { at, key, what } = call;
        let loaded = self.partitions.find(at)?;
        let state = match what {
            StateCall::Read => {
                return Ok(loaded.look(|states| states.get(&key).cloned()).flatten())
            }
            StateCall::Write(state) => state,
        };
        if loaded.look(|states| is_full(states, &key)) == Some(true) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let epoch = loaded.of.leader_epoch.get();
        let value = state.as_ref().map(|state| record::encode(state, epoch, now_ms));
        append(&loaded.of, &[(record::encode_key(&key), value)], now_ms)?.await?;
        put(&loaded, key, state.clone());
        Ok(state)
    }

    /// Where a group is in partitions, as far as this shard keeps it: everything below is finished.
    pub fn of_group(&self, group: &str) -> Vec<(ShareKey, i64)> {
        let mut found = Vec::new();
        for (_, loaded) in self.partitions.served() {
            loaded.look(|states| {
                let of_it = states.iter().filter(|(key, _)| key.group == group);
                found.extend(of_it.map(|(key, state)| (key.clone(), state.start)));
            });
        }
        found
    }

    /// Forgets states, now; the futures are done when that is durable. Nobody has to wait for them.
    pub fn forget(
        &self,
        is_gone: &dyn Fn(&ShareKey) -> bool,
        now_ms: i64,
    ) -> Vec<impl Future<Output = Result<(), ErrorCode>> + use<>> {
        let mut durable = Vec::new();
        for (_, loaded) in self.partitions.served() {
            let mut records = Vec::new();
            loaded.change(|states| {
                states.retain(|key, _| {
                    let gone = is_gone(key);
                    if gone {
                        records.push((record::encode_key(key), None));
                    }
                    !gone
                });
            });
            if records.is_empty() {
                continue;
            }
            match append(&loaded.of, &records, now_ms) {
                Ok(done) => durable.push(done),
                Err(code) => {
                    tracing::warn!("states of share groups stay in the log: {code:?}");
                }
            }
        }
        durable
    }
}

fn put(loaded: &Loaded, key: ShareKey, state: Option<ShareState>) {
    loaded.change(|states| match state {
        Some(state) => drop(states.insert(key, state)),
        None => drop(states.remove(&key)),
    });
}

fn is_full(states: &States, key: &ShareKey) -> bool {
    states.len() >= MOST_STATES && !states.contains_key(key)
}

fn apply(states: &mut States, header: &BatchHeader, undone: &[u8]) -> Result<(), String> {
    if header.is_control() {
        return Ok(());
    }
    each_record(header, undone, |key, value| {
        let Some((kind, key)) = record::decode_key(key).map_err(|e| e.to_string())? else {
            return Ok(());
        };
        match value {
            Some(value) => {
                let known = states.remove(&key);
                let state = record::apply(known, kind, value).map_err(|e| e.to_string())?;
                states.insert(key, state);
            }
            None if kind == Kind::Snapshot => drop(states.remove(&key)),
            None => {}
        }
        Ok(())
    })
}
