//! Members that join, speak, leave, die, pause and come back at random, answers that are lost, a clock
//! that jumps, a coordinator that starts again from its records, topics that come, grow and go, against
//! what must hold whatever they do.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::samples::{beat, image, Topics};
use super::*;
use crate::config::Assignor;
use crate::metadata::MetadataImage;
use crate::wire::ErrorCode;

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

struct Client {
    id: String,
    instance: Option<String>,
    /// `None`: it is not in, or has forgotten.
    epoch: Option<i32>,
    topics: BTreeSet<String>,
    regex: String,
    /// What it works on. It begins with what it is told at once, and takes its time to give up.
    owned: Assignment,
    wanted: Assignment,
    /// It has to say everything again.
    unsaid: bool,
    paused: bool,
}

struct World {
    draw: Draw,
    now_ms: i64,
    group: Group,
    limits: Rc<ConsumerLimits>,
    /// The log.
    log: Saved,
    written: u64,
    image: MetadataImage,
    topics: Topics,
    clients: Vec<Client>,
    heard: u64,
}

const NAMES: [&str; 4] = ["a1", "a2", "b1", "b2"];

impl World {
    fn new(seed: u64) -> World {
        let mut draw = Draw(seed);
        let assignors = match draw.one_in(3) {
            true => vec![Assignor::Range, Assignor::Uniform],
            false => vec![Assignor::Uniform],
        };
        let limits = Rc::new(ConsumerLimits { max_size: 5, assignors, ..Default::default() });
        let client = |number: usize| Client {
            id: format!("m{number}-0"),
            instance: (number < 2).then(|| format!("static-{number}")),
            epoch: None,
            topics: BTreeSet::from(["a1".to_string()]),
            regex: String::new(),
            owned: Assignment::new(),
            wanted: Assignment::new(),
            unsaid: false,
            paused: false,
        };
        let topics = Topics::from([("a1", (1, 3)), ("b1", (2, 2))]);
        World {
            draw,
            now_ms: 1_000_000,
            group: Group::new(Rc::clone(&limits)),
            limits,
            log: Saved::default(),
            written: 0,
            image: image(1, &topics),
            topics,
            clients: (0..6).map(client).collect(),
            heard: 0,
        }
    }

    fn step(&mut self, calm: bool) {
        let at = self.draw.below(self.clients.len() as u64) as usize;
        match self.draw.below(40) {
            0..=27 if !self.clients[at].paused || calm => self.speak(at, calm),
            28..=33 => self.give_up(at),
            34 => self.now_ms += self.draw.below(4_000) as i64,
            35 if !calm && self.draw.one_in(4) => self.now_ms += self.draw.below(60_000) as i64,
            36 if !calm && self.draw.one_in(4) => self.change_mind(at),
            37 if !calm && self.draw.one_in(4) => self.go(at),
            38 if !calm && self.draw.one_in(8) => self.change_topics(),
            39 if !calm && self.draw.one_in(8) => self.restart(),
            _ => {}
        }
        if self.group.due_ms().is_some_and(|due| due <= self.now_ms) {
            self.group.tick(self.now_ms);
            self.append();
        }
        self.clients[at].paused &= !self.draw.one_in(10);
    }

    fn speak(&mut self, at: usize, calm: bool) {
        let client = &mut self.clients[at];
        let joins = client.epoch.is_none();
        let whole = joins || client.unsaid || self.draw.one_in(20);
        let says_owned = whole || client.owned != client.wanted || self.draw.one_in(3);
        let mut beat = beat(&client.id, client.epoch.unwrap_or(JOINS));
        beat.instance_id.clone_from(&client.instance);
        beat.owned = says_owned.then(|| client.owned.clone());
        if whole {
            beat.rebalance_timeout_ms = Some(10_000);
            beat.topics = Some(client.topics.clone());
            beat.regex = Some(client.regex.clone());
        }
        let said = beat.regex.clone();
        let unresolved = self.group.unresolved(self.now_ms, said.as_ref(), &self.image);
        let unresolved = unresolved.expect("not too many");
        let resolved = (!unresolved.is_empty()).then(|| resolve(unresolved, &self.image));
        let heard = self.group.heartbeat(self.now_ms, beat, &self.image, resolved);
        self.append();
        let client = &mut self.clients[at];
        if !calm && self.draw.one_in(20) {
            client.unsaid = true;
            return;
        }
        match heard {
            Ok(heard) => {
                self.heard += 1;
                client.epoch = Some(heard.epoch);
                client.unsaid = false;
                if let Some(assignment) = heard.assignment {
                    for (topic, partitions) in &assignment {
                        client.owned.entry(*topic).or_default().extend(partitions);
                    }
                    client.wanted = assignment;
                }
            }
            Err(refused) => {
                let expected = [
                    ErrorCode::FencedMemberEpoch,
                    ErrorCode::UnknownMemberId,
                    ErrorCode::UnreleasedInstanceId,
                    ErrorCode::FencedInstanceId,
                    ErrorCode::GroupMaxSizeReached,
                ];
                assert!(expected.contains(&refused.code), "{refused:?}");
                client.abandon();
            }
        }
        self.judge();
    }

    /// A client has given up what it was told to.
    fn give_up(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.owned.clone_from(&client.wanted);
        client.owned.retain(|_, partitions| !partitions.is_empty());
    }

    fn change_mind(&mut self, at: usize) {
        let topics = NAMES.iter().filter(|_| self.draw.one_in(2)).map(|name| name.to_string());
        self.clients[at].topics = topics.collect();
        self.clients[at].regex = ["", "", "a.*", "b.|a1"][self.draw.below(4) as usize].to_string();
        self.clients[at].unsaid = true;
    }

    /// It dies, leaves, leaves for now, or is not heard for a while.
    fn go(&mut self, at: usize) {
        let how = self.draw.below(4);
        let client = &mut self.clients[at];
        if how == 0 {
            client.paused = true;
            return;
        }
        let epoch = match (how, &client.instance) {
            (1, _) => LEAVES,
            (2, Some(_)) => LEAVES_FOR_NOW,
            _ => 0,
        };
        if epoch != 0 {
            let mut leave = beat(&client.id, epoch);
            leave.instance_id.clone_from(&client.instance);
            let _ = self.group.heartbeat(self.now_ms, leave, &self.image, None);
        }
        client.abandon();
        if epoch != LEAVES {
            client.id = format!("m{at}-{}", self.written);
        }
        self.append();
    }

    fn change_topics(&mut self) {
        let name = NAMES[self.draw.below(NAMES.len() as u64) as usize];
        let next_id = u128::from(self.image.epoch) + 10;
        match self.topics.get_mut(name) {
            Some(_) if self.draw.one_in(3) => drop(self.topics.remove(name)),
            Some((_, partitions)) => *partitions = (*partitions + 1).min(6),
            None => drop(self.topics.insert(name, (next_id, 2))),
        }
        self.image = image(self.image.epoch + 1, &self.topics);
    }

    fn append(&mut self) {
        for record in self.group.take_records() {
            self.written += 1;
            let (key, value) = encode("g", &record);
            let (_, key) = decode_key(&key).expect("reads").expect("is ours");
            let value = value.map(|value| decode_value(&key, &value).expect("reads"));
            assert_eq!((&key, &value), (&record.key, &record.value));
            self.log.put(record);
        }
    }

    /// The coordinator starts again: all that counts is in its records.
    fn restart(&mut self) {
        let limits = Rc::clone(&self.limits);
        let again = Group::restore(limits, self.now_ms, self.log.clone());
        let durable = |g: &Group| {
            let sets = (g.members.clone(), g.instances.clone(), g.targets.clone());
            (
                g.epoch,
                g.target_epoch,
                sets,
                g.topics.clone(),
                g.patterns.clone(),
                g.owners.clone(),
                g.bytes,
            )
        };
        assert_eq!(durable(&again), durable(&self.group));
        self.group = again;
    }

    /// Members have only what is theirs, and nobody else's.
    fn judge(&self) {
        let mut owners: BTreeMap<(Uuid, i32), &str> = BTreeMap::new();
        for client in &self.clients {
            if client.epoch.is_none() || !self.group.members.contains_key(&client.id) {
                continue;
            }
            for (topic, partitions) in &client.owned {
                for partition in partitions {
                    let other = owners.insert((*topic, *partition), &client.id);
                    assert_eq!(other, None, "two have {topic} {partition}");
                }
            }
        }
    }

    /// Nobody dies any more: all that fit have what they are to have, which is all there is.
    fn settle(&mut self, seed: u64) {
        let settled = |world: &World| {
            let inside = world.clients.iter().filter(|client| client.epoch.is_some());
            let has = |client: &Client| {
                world.group.targets.get(&client.id) == Some(&client.owned)
                    && client.owned == client.wanted
                    && !client.unsaid
            };
            let image = Some(world.image.epoch);
            let knows_topics = world.group.seen_image == image
                && (world.group.patterns.is_empty() || world.group.matched_image == image);
            world.group.state() == "Stable"
                && knows_topics
                && inside.clone().count() == world.limits.max_size
                && inside.clone().all(has)
                && world.group.members.len() == world.limits.max_size
        };
        let mut steps = 0;
        while !settled(self) {
            self.step(true);
            steps += 1;
            assert!(steps < 20_000, "seed {seed}: {:#?}", self.group);
        }
        let mut owned = BTreeSet::new();
        for client in self.clients.iter().filter(|client| client.epoch.is_some()) {
            let mine = reconcile::places(&client.owned);
            owned.extend(mine);
        }
        let mut read = BTreeSet::new();
        for client in self.clients.iter().filter(|client| client.epoch.is_some()) {
            let regex = regex::Regex::new(&format!("^(?:{})$", client.regex)).expect("a pattern");
            for (name, (id, partitions)) in &self.topics {
                if client.topics.contains(*name) || regex.is_match(name) {
                    read.extend((0..*partitions).map(|p| (Uuid::from_u128(*id), p)));
                }
            }
        }
        assert_eq!(owned, read, "seed {seed}: all that is read has an owner");
    }
}

impl Client {
    fn abandon(&mut self) {
        self.epoch = None;
        self.owned.clear();
        self.wanted.clear();
        self.unsaid = false;
    }
}

#[test]
fn a_million_steps_leave_no_partition_with_two_owners_and_all_with_one() {
    let mut heard = 0;
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        for _ in 0..1_000 {
            world.step(false);
        }
        // Patterns are matched again after a while.
        world.now_ms += 2_000;
        world.settle(seed);
        heard += world.heard;
        world.restart();
        let ids: Vec<String> = world.group.members.keys().cloned().collect();
        ids.iter().for_each(|id| world.group.remove(id));
        world.append();
        assert_eq!(world.group.due_ms(), None);
        assert!(world.group.is_empty() && world.group.owners.is_empty());
        assert_eq!(world.group.bytes(), 0);
        for record in world.group.end() {
            world.log.put(record);
        }
        assert!(world.log.is_empty(), "seed {seed}: {:?} is left", world.log);
    }
    assert!(heard > 300_000, "they were heard: {heard}");
}
