//! Incremental fetch sessions (KIP-227): what a client asked for last time, so that it need only
//! say what has changed. Kept per shard; a client that comes back on another shard is told that
//! its session is not found, and makes a new one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use corelane_shards::runtime::ShardId;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use crate::wire::fetch::{FetchPartition, FetchRequest, PartitionData};
use crate::wire::{ErrorCode, TopicRef};

/// A session unused for longer may be dropped for a new one, as in Kafka.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);
/// Partitions in all sessions of a shard; whoever wants more is served without a session.
const MAX_PARTITIONS: usize = 200_000;
const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;
/// Bits of a session's id that count within a shard; the shard's number is above them.
const COUNTER_BITS: u32 = 20;

/// One partition of a session, and what its client was told of it last.
#[derive(Debug, Clone)]
pub struct SessionPartition {
    pub topic: TopicRef,
    pub ask: FetchPartition,
    told: Option<(i64, i64)>,
}

struct Session {
    epoch: i32,
    used: Instant,
    partitions: IndexMap<(TopicRef, i32), SessionPartition, FxBuildHasher>,
}

/// What a request comes to once its session is known.
#[derive(Debug)]
pub struct Merged {
    /// 0: without a session.
    pub session_id: i32,
    pub partitions: Vec<SessionPartition>,
    /// Whether partitions without news are left out of the answer.
    pub incremental: bool,
}

/// A shard's sessions.
pub struct FetchSessions {
    slots: usize,
    shard: ShardId,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<i32, Session>,
    next: i32,
}

impl FetchSessions {
    pub fn new(slots: usize, shard: ShardId) -> Self {
        FetchSessions { slots, shard, inner: RefCell::default() }
    }

    /// Brings a request and its session together.
    ///
    /// # Errors
    /// The session is not here, or the request is not the next of it.
    pub fn merge(&self, request: &FetchRequest, now: Instant) -> Result<Merged, ErrorCode> {
        let mut inner = self.inner.borrow_mut();
        let (id, epoch) = (request.session_id, request.session_epoch);
        if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            inner.sessions.remove(&id);
            let partitions = asked(request);
            let session_id = match epoch {
                INITIAL_EPOCH => self.open(&mut inner, &partitions, now),
                _ => 0,
            };
            return Ok(Merged { session_id, partitions, incremental: false });
        }
        let session = inner.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.used = now;
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.update(request);
        // Another partition comes first each time, so that a size limit is fair to all.
        let mut partitions: Vec<_> = session.partitions.values().cloned().collect();
        if inner.partitions() > MAX_PARTITIONS {
            inner.sessions.remove(&id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        let first = epoch as usize % partitions.len().max(1);
        partitions.rotate_left(first);
        Ok(Merged { session_id: id, partitions, incremental: true })
    }

    fn open(&self, inner: &mut Inner, partitions: &[SessionPartition], now: Instant) -> i32 {
        if inner.sessions.len() >= self.slots && !inner.evict(now) {
            return 0;
        }
        if inner.partitions() + partitions.len() > MAX_PARTITIONS {
            return 0;
        }
        inner.next = inner.next % ((1 << COUNTER_BITS) - 1) + 1;
        let id = ((self.shard.index() as i32 & 0x3ff) << COUNTER_BITS) | inner.next;
        let mut session = Session { epoch: 1, used: now, partitions: IndexMap::default() };
        partitions.iter().for_each(|partition| session.put(partition.clone()));
        inner.sessions.insert(id, session);
        id
    }

    /// Notes what the client is told now; returns whether any of it is new to it.
    pub fn has_news(&self, session_id: i32, topic: &TopicRef, data: &PartitionData) -> bool {
        let mut inner = self.inner.borrow_mut();
        let Some(session) = inner.sessions.get_mut(&session_id) else { return true };
        let key = (topic.clone(), data.partition);
        let Some(partition) = session.partitions.get_mut(&key) else { return true };
        let told = Some((data.high_watermark, data.log_start_offset));
        let news = partition.told != told
            || !data.records.is_empty()
            || data.error_code != 0
            || data.diverging.is_some();
        // After an error everything is said again.
        partition.told = if data.error_code == 0 { told } else { None };
        news
    }
}

impl Inner {
    fn partitions(&self) -> usize {
        self.sessions.values().map(|session| session.partitions.len()).sum()
    }

    /// Drops the session that was not used for longest, if that is long enough.
    fn evict(&mut self, now: Instant) -> bool {
        let oldest = self.sessions.iter().min_by_key(|(_, s)| s.used).map(|(id, s)| (*id, s.used));
        match oldest {
            Some((id, used)) if now.duration_since(used) > EVICTABLE_AFTER => {
                self.sessions.remove(&id).is_some()
            }
            _ => false,
        }
    }
}

impl Session {
    /// Notes what is asked of a partition, and keeps what was told of it.
    fn put(&mut self, mut asked: SessionPartition) {
        // The name is a part of the request's frame, which it would keep in memory.
        asked.topic = asked.topic.detached();
        let key = (asked.topic.clone(), asked.ask.partition);
        asked.told = self.partitions.get(&key).and_then(|known| known.told);
        self.partitions.insert(key, asked);
    }

    fn update(&mut self, request: &FetchRequest) {
        asked(request).into_iter().for_each(|partition| self.put(partition));
        for forgotten in &request.forgotten {
            for partition in &forgotten.partitions {
                self.partitions.swap_remove(&(forgotten.topic.clone(), *partition));
            }
        }
    }
}

fn asked(request: &FetchRequest) -> Vec<SessionPartition> {
    let of_topic = |topic: &crate::wire::fetch::FetchTopic| {
        let name = topic.topic.clone();
        topic
            .partitions
            .iter()
            .map(move |ask| SessionPartition { topic: name.clone(), ask: *ask, told: None })
            .collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of_topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fetch::{FetchTopic, ForgottenTopic};
    use crate::wire::StrBytes;

    fn name() -> TopicRef {
        TopicRef::Name(StrBytes::from_static_str("t"))
    }

    fn request(id: i32, epoch: i32, partitions: &[i32], forgotten: &[i32]) -> FetchRequest {
        let ask = |p: &i32| FetchPartition {
            partition: *p,
            current_leader_epoch: -1,
            fetch_offset: 7,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: 1,
        };
        FetchRequest {
            replica_id: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 0,
            isolation_level: 0,
            session_id: id,
            session_epoch: epoch,
            topics: vec![FetchTopic {
                topic: name(),
                partitions: partitions.iter().map(ask).collect(),
            }],
            forgotten: vec![ForgottenTopic { topic: name(), partitions: forgotten.to_vec() }],
            rack_id: None,
            memory_bytes: 0,
        }
    }

    fn numbers(merged: &Merged) -> Vec<i32> {
        let mut out: Vec<i32> = merged.partitions.iter().map(|p| p.ask.partition).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn a_session_remembers_adds_and_forgets() {
        let sessions = FetchSessions::new(10, ShardId::new(3));
        let now = Instant::now();
        let first = sessions.merge(&request(0, 0, &[0, 1], &[]), now).expect("full");
        let id = first.session_id;
        assert!(id != 0 && !first.incremental);
        let second = sessions.merge(&request(id, 1, &[2], &[0]), now).expect("next");
        assert_eq!(numbers(&second), [1, 2]);
        let again = sessions.merge(&request(id, 1, &[], &[]), now).expect_err("same epoch");
        assert_eq!(again, ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(numbers(&sessions.merge(&request(id, 2, &[], &[]), now).expect("next")), [1, 2]);
        sessions.merge(&request(id, -1, &[], &[]), now).expect("closed");
        let gone = sessions.merge(&request(id, 3, &[], &[]), now).expect_err("closed");
        assert_eq!(gone, ErrorCode::FetchSessionIdNotFound);
    }

    #[test]
    fn full_slots_mean_no_session_until_one_is_old() {
        let sessions = FetchSessions::new(1, ShardId::new(0));
        let now = Instant::now();
        let full = |at| sessions.merge(&request(0, 0, &[0], &[]), at).expect("full").session_id;
        assert_ne!(full(now), 0);
        assert_eq!(full(now), 0);
        assert_ne!(full(now + EVICTABLE_AFTER + Duration::from_secs(1)), 0);
    }

    #[test]
    fn there_is_an_end_to_the_partitions_that_are_remembered() {
        let sessions = FetchSessions::new(10, ShardId::new(0));
        let now = Instant::now();
        let half: Vec<i32> = (0..MAX_PARTITIONS as i32 / 2).collect();
        let open = |asked: &[i32]| sessions.merge(&request(0, 0, asked, &[]), now).expect("full");
        let first = open(&half).session_id;
        assert_ne!(first, 0);
        assert_ne!(open(&half).session_id, 0);
        assert_eq!(open(&[0]).session_id, 0, "served, but without a session");
        let more = sessions.merge(&request(first, 1, &[-1], &[]), now);
        assert_eq!(more.expect_err("too many"), ErrorCode::FetchSessionIdNotFound);
    }

    #[test]
    fn what_was_told_is_not_news() {
        let sessions = FetchSessions::new(1, ShardId::new(0));
        let id =
            sessions.merge(&request(0, 0, &[0], &[]), Instant::now()).expect("full").session_id;
        let mut data = PartitionData::error(0, 0);
        assert!(sessions.has_news(id, &name(), &data));
        assert!(!sessions.has_news(id, &name(), &data));
        data.high_watermark = 5;
        assert!(sessions.has_news(id, &name(), &data));
        data.error_code = 3;
        assert!(sessions.has_news(id, &name(), &data));
        data.error_code = 0;
        assert!(sessions.has_news(id, &name(), &data), "after an error all is said again");
    }
}
