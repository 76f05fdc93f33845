//! Members that join, speak, leave, die and come back at random, under a clock that jumps, with records
//! that are slow or fail and a coordinator that starts again from them, against what must hold whatever
//! they do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{Answer, Group, GroupLimits, Join, Joined, Sync, Synced, Token, Write};
use crate::group::record::{decode_group, encode_group, GroupRecord};
use crate::wire::ErrorCode;

const PARTITIONS: u8 = 12;
const SESSION_MS: i32 = 6_000;
const REBALANCE_MS: i32 = 10_000;

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Doing {
    Nothing,
    Joining(Token),
    Joined(Joined),
    Syncing(Token, Joined),
    /// In a generation, with what it was given.
    Working(i32),
}

struct Consumer {
    id: String,
    instance: Option<String>,
    doing: Doing,
}

struct World {
    draw: Draw,
    now_ms: i64,
    group: Group,
    consumers: Vec<Consumer>,
    next: Token,
    open: BTreeSet<Token>,
    /// The group's last record that is durable, and those under way.
    durable: Option<GroupRecord>,
    writing: VecDeque<Write>,
    /// Who leads each generation, and who was given each partition in it.
    leaders: BTreeMap<i32, String>,
    owners: BTreeMap<(i32, u8), String>,
    worked: u64,
    restarts_unnoticed: u64,
}

/// Which consumer has an id, or had.
fn whose(id: &str) -> String {
    id.rsplit_once('-').map_or(String::new(), |(whose, _)| whose.to_string())
}

impl World {
    fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let limits = GroupLimits {
            initial_rebalance_delay_ms: [0, 3_000][draw.below(2) as usize],
            min_session_timeout_ms: 1_000,
            max_session_timeout_ms: 60_000,
            max_size: 5,
        };
        let consumer = |number: usize| Consumer {
            id: String::new(),
            instance: (number < 2).then(|| format!("static-{number}")),
            doing: Doing::Nothing,
        };
        World {
            draw,
            now_ms: 1_000_000,
            group: Group::new(limits),
            consumers: (0..6).map(consumer).collect(),
            next: 0,
            open: BTreeSet::new(),
            durable: None,
            writing: VecDeque::new(),
            leaders: BTreeMap::new(),
            owners: BTreeMap::new(),
            worked: 0,
            restarts_unnoticed: 0,
        }
    }

    fn token(&mut self) -> Token {
        self.next += 1;
        self.open.insert(self.next);
        self.next
    }

    fn step(&mut self, calm: bool) {
        let at = self.draw.below(self.consumers.len() as u64) as usize;
        match self.draw.below(14) {
            0..=7 => self.speak(at),
            12 => self.write(calm),
            13 if !calm && self.draw.below(12) == 0 => self.restart(),
            8 => self.now_ms += self.draw.below(2_000) as i64,
            9 if !calm => self.now_ms += self.draw.below(15_000) as i64,
            10 if !calm && self.draw.below(3) == 0 => {
                // It dies and forgets; or it leaves first.
                if self.draw.below(2) == 0 && !self.consumers[at].id.is_empty() {
                    let id = self.consumers[at].id.clone();
                    let _ = self.group.leave(self.now_ms, &id, None);
                }
                self.consumers[at].id.clear();
                self.consumers[at].doing = Doing::Nothing;
            }
            _ => {}
        }
        if self.group.due_ms().is_some_and(|due| due <= self.now_ms) {
            self.group.tick(self.now_ms);
        }
        self.writing.extend(self.group.take_writes());
        self.hear();
    }

    /// The oldest record under way is durable, or fails: then nobody knows whether it is there.
    fn write(&mut self, calm: bool) {
        let Some(Write { number, record }) = self.writing.pop_front() else { return };
        let fails = !calm && self.draw.below(5) == 0;
        if !fails || self.draw.below(2) == 0 {
            self.durable = Some(decode_group(&encode_group(&record)).expect("reads"));
        }
        let done = if fails { Err(ErrorCode::KafkaStorageError) } else { Ok(()) };
        self.group.written(self.now_ms, number, done);
    }

    /// The broker is killed and starts again: its clients' requests are lost.
    fn restart(&mut self) {
        let kept = self.draw.below(self.writing.len() as u64 + 1) as usize;
        let last = self.writing.drain(..).take(kept).next_back();
        self.durable = last.map(|write| write.record).or(self.durable.take());
        let limits = self.group.limits;
        self.group = match &self.durable {
            Some(record) => Group::restore(limits, self.now_ms, record.clone()),
            None => Group::new(limits),
        };
        self.open.clear();
        // Of later generations nobody was given anything: they come again.
        let generation = self.group.generation;
        self.leaders.retain(|of, _| *of <= generation);
        assert!(self.owners.keys().all(|(of, _)| *of <= generation), "a generation is lost");
        for consumer in &mut self.consumers {
            match consumer.doing {
                Doing::Joining(_) | Doing::Syncing(..) => consumer.doing = Doing::Nothing,
                Doing::Working(of) if of == generation => {
                    if !self.group.members.contains(&consumer.id) {
                        continue;
                    }
                    let (id, instance) = (&consumer.id, consumer.instance.as_deref());
                    let heard = self.group.heartbeat(self.now_ms, id, instance, of);
                    assert_eq!(heard, Ok(()), "{:?}", self.group);
                    self.restarts_unnoticed += 1;
                }
                _ => {}
            }
        }
    }

    fn speak(&mut self, at: usize) {
        let token = self.next + 1;
        let now = self.now_ms;
        let Consumer { id, instance, doing } = &mut self.consumers[at];
        match doing.clone() {
            Doing::Nothing => {
                let join = Join {
                    token,
                    member_id: id.clone(),
                    fresh_id: format!("m-{at}-{token}"),
                    instance_id: instance.clone(),
                    client_id: String::new(),
                    client_host: String::new(),
                    session_timeout_ms: SESSION_MS,
                    rebalance_timeout_ms: REBALANCE_MS,
                    protocol_type: "consumer".to_string(),
                    protocols: vec![
                        (["a", "b"][at % 2].to_string(), Bytes::from_static(b"x")),
                        ("common".to_string(), Bytes::from_static(b"y")),
                    ],
                    must_come_again: at.is_multiple_of(3),
                    may_skip_assignment: at == 0,
                };
                *doing = Doing::Joining(token);
                self.token();
                self.group.join(now, join);
            }
            Doing::Joined(joined) => {
                let ids: Vec<&String> = joined.members.iter().map(|member| &member.id).collect();
                let share = |n: usize| {
                    let mine = (0..PARTITIONS).filter(|p| usize::from(*p) % ids.len() == n);
                    Bytes::from(mine.collect::<Vec<u8>>())
                };
                let shares = ids.iter().enumerate().map(|(n, id)| ((*id).clone(), share(n)));
                let assignments = match joined.skip_assignment {
                    true => Vec::new(),
                    false => shares.collect(),
                };
                let sync = Sync {
                    token,
                    member_id: id.clone(),
                    instance_id: instance.clone(),
                    generation: joined.generation,
                    protocol_type: Some(joined.protocol_type.clone()),
                    protocol_name: Some(joined.protocol.clone()),
                    assignments,
                };
                *doing = Doing::Syncing(token, joined);
                self.token();
                self.group.sync(now, sync);
            }
            Doing::Working(generation) => {
                let heard = self.group.heartbeat(now, id, instance.as_deref(), generation);
                match heard {
                    Ok(()) => self.worked += 1,
                    Err(ErrorCode::RebalanceInProgress) => *doing = Doing::Nothing,
                    Err(_) => {
                        id.clear();
                        *doing = Doing::Nothing;
                    }
                }
            }
            Doing::Joining(_) | Doing::Syncing(..) => {}
        }
    }

    fn hear(&mut self) {
        for answer in self.group.take_answers() {
            let token = match &answer {
                Answer::Joined(token, _) | Answer::Synced(token, _) => *token,
            };
            assert!(self.open.remove(&token), "{token} is answered twice");
            let waits = |consumer: &&mut Consumer| match &consumer.doing {
                Doing::Joining(t) | Doing::Syncing(t, _) => *t == token,
                _ => false,
            };
            let Some(consumer) = self.consumers.iter_mut().find(waits) else { continue };
            match (answer, consumer.doing.clone()) {
                (Answer::Joined(_, Ok(joined)), _) => {
                    consumer.id.clone_from(&joined.member_id);
                    let leader = self.leaders.entry(joined.generation);
                    let leads = whose(&joined.leader);
                    assert_eq!(*leader.or_insert(leads.clone()), leads);
                    assert_eq!(joined.leader == joined.member_id, !joined.members.is_empty());
                    consumer.doing = Doing::Joined(joined);
                }
                (Answer::Joined(_, Err(refused)), _) => {
                    consumer.id = match refused.code {
                        ErrorCode::MemberIdRequired => refused.member_id,
                        _ => String::new(),
                    };
                    consumer.doing = Doing::Nothing;
                }
                (Answer::Synced(_, Ok(synced)), Doing::Syncing(_, joined)) => {
                    let Synced { assignment, .. } = synced;
                    let durable = self.durable.as_ref().map(|record| record.generation);
                    assert_eq!(durable, Some(joined.generation), "told before it was durable");
                    for partition in assignment {
                        let owner = self.owners.entry((joined.generation, partition));
                        let owner = owner.or_insert_with(|| whose(&consumer.id));
                        assert_eq!(*owner, whose(&consumer.id), "{partition} has two owners");
                    }
                    consumer.doing = Doing::Working(joined.generation);
                }
                (Answer::Synced(_, Err(code)), _) => {
                    if code != ErrorCode::RebalanceInProgress {
                        consumer.id.clear();
                    }
                    consumer.doing = Doing::Nothing;
                }
                (answer, doing) => panic!("{answer:?} for {doing:?}"),
            }
        }
    }

    /// Nobody dies any more: all that fit are in one generation, and every partition has an owner.
    fn settle(&mut self) {
        let mut working = BTreeSet::new();
        for _ in 0..20_000 {
            self.step(true);
            working = self
                .consumers
                .iter()
                .map(|c| c.doing.clone())
                .collect::<Vec<_>>()
                .iter()
                .filter_map(|doing| match doing {
                    Doing::Working(generation) => Some(*generation),
                    _ => None,
                })
                .collect();
            let count =
                self.consumers.iter().filter(|c| matches!(c.doing, Doing::Working(_))).count();
            if count == self.group.limits.max_size && working.len() == 1 {
                break;
            }
        }
        assert_eq!(working.len(), 1, "{:?}", self.group);
        let generation = *working.first().expect("one");
        let owned = (0..PARTITIONS).filter(|p| self.owners.contains_key(&(generation, *p))).count();
        assert_eq!(owned, usize::from(PARTITIONS));
    }
}

#[test]
fn a_million_steps_leave_no_partition_with_two_owners_and_no_request_without_an_answer() {
    let (mut worked, mut unnoticed) = (0, 0);
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        for _ in 0..1_000 {
            world.step(false);
        }
        world.settle();
        worked += world.worked;
        unnoticed += world.restarts_unnoticed;
        for consumer in &mut world.consumers {
            if !consumer.id.is_empty() {
                let _ = world.group.leave(world.now_ms, &consumer.id, None);
            }
        }
        world.now_ms += 100_000;
        loop {
            world.writing.extend(world.group.take_writes());
            match world.group.due_ms() {
                Some(due) => {
                    world.now_ms = world.now_ms.max(due);
                    world.group.tick(world.now_ms);
                }
                None if world.writing.is_empty() => break,
                None => {}
            }
            world.write(true);
        }
        world.hear();
        assert!(world.open.is_empty(), "seed {seed}: {:?} wait for ever", world.open);
        assert!(world.group.is_empty() && world.group.storing.is_empty());
        assert!(world.durable.is_some_and(|record| record.members.is_empty()));
    }
    assert!(worked > 15_000, "they worked: {worked}");
    assert!(unnoticed > 1_000, "restarts went unnoticed: {unnoticed}");
}
