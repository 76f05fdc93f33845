//! What members of a share group are told, and what a restart knows of it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::consumer::samples::{image, Topics};
use super::super::consumer::{Heard, Refused, JOINS, LEAVES};
use super::*;
use crate::metadata::MetadataImage;
use crate::partition::share_group::ShareBeat;
use crate::wire::ErrorCode;

struct World {
    group: ShareGroup,
    image: MetadataImage,
    log: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    now_ms: i64,
}

const LIMITS: fn() -> ShareLimits =
    || ShareLimits { session_timeout_ms: 1_000, max_size: 40, ..ShareLimits::default() };

impl World {
    fn new(topics: &Topics) -> World {
        let group = ShareGroup::new(LIMITS());
        World { group, image: image(1, topics), log: BTreeMap::new(), now_ms: 0 }
    }

    fn beat(&mut self, member: &str, epoch: i32, topics: &[&str]) -> Result<Heard, Refused> {
        let beat = ShareBeat {
            member_id: member.to_string(),
            epoch,
            rack_id: None,
            topics: (!topics.is_empty()).then(|| topics.iter().map(|t| t.to_string()).collect()),
            client_id: "client".to_string(),
            client_host: "/127.0.0.1".to_string(),
        };
        check("g", &beat)?;
        let heard = self.group.heartbeat(self.now_ms, &beat, &self.image);
        for record in self.group.take_records() {
            let (key, value) = encode("g", &record);
            self.log.insert(key, value);
        }
        heard
    }

    fn start_again(&mut self) {
        let mut saved = Saved::default();
        for (key, value) in &self.log {
            let (group, key) = decode_key(key).expect("a key").expect("ours");
            assert_eq!(group, "g");
            let value = value.as_ref().map(|value| decode_value(&key, value).expect("a value"));
            saved.apply(key, value);
        }
        assert_eq!(saved, self.group.saved, "the log says what there is");
        self.group = ShareGroup::restore(LIMITS(), self.now_ms, saved);
    }

    /// Members of each partition.
    fn shares(&self, topic: u128) -> BTreeMap<i32, BTreeSet<String>> {
        let mut shares: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
        for (id, target) in &self.group.saved.targets {
            for partition in target.get(&Uuid::from_u128(topic)).into_iter().flatten() {
                shares.entry(*partition).or_default().insert(id.clone());
            }
        }
        shares
    }
}

#[test]
fn partitions_are_shared_evenly_by_however_many_members() {
    let mut world = World::new(&Topics::from([("t", (7, 6))]));
    for count in 1..=20 {
        let id = format!("m{count:02}");
        world.beat(&id, JOINS, &["t"]).expect("joins");
        let shares = world.shares(7);
        let loads: Vec<usize> = (0..6).map(|at| shares.get(&at).map_or(0, BTreeSet::len)).collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        match count {
            0..6 => assert_eq!(loads, [1; 6], "each partition has one member of {count}"),
            _ => assert!(most.unwrap() - least.unwrap() <= 1, "{loads:?} for {count}"),
        }
        assert!(world.group.saved.targets.values().all(|target| !target.is_empty() || count > 20));
    }
    for count in 1..=19 {
        let before = world.shares(7);
        world.beat(&format!("m{count:02}"), LEAVES, &[]).expect("leaves");
        let epoch = world.group.saved.members["m20"].current.epoch;
        world.beat("m20", epoch, &[]).expect("is there");
        let after = world.shares(7);
        assert_eq!(after.len(), 6, "every partition has somebody: {before:?} {after:?}");
    }
}

#[test]
fn members_are_told_what_is_news_and_go_on_after_a_restart() {
    let mut world = World::new(&Topics::from([("t", (7, 1))]));
    let first = world.beat("a", JOINS, &["t", "later"]).expect("joins");
    let has = |topics: &[u128]| {
        let one = |topic: &u128| (Uuid::from_u128(*topic), BTreeSet::from([0]));
        Some(topics.iter().map(one).collect::<Assignment>())
    };
    assert_eq!((first.epoch, first.assignment), (1, has(&[7])));
    assert_eq!(world.beat("a", 1, &[]).expect("is there").assignment, None);
    let second = world.beat("b", JOINS, &["t"]).expect("joins");
    assert_eq!((second.epoch, second.assignment), (2, has(&[7])), "both may read it");
    world.start_again();
    let again = world.beat("a", 1, &[]).expect("is there");
    assert_eq!((again.epoch, again.assignment), (2, None), "it has what it had");
    world.image = image(2, &Topics::from([("t", (7, 1)), ("later", (8, 1))]));
    let more = world.beat("a", 2, &[]).expect("is there");
    assert_eq!((more.epoch, more.assignment), (3, has(&[7, 8])));
    // The answer was lost.
    let again = world.beat("a", 2, &[]).expect("is there");
    assert_eq!((again.epoch, again.assignment), (3, has(&[7, 8])));
    world.start_again();
}

#[test]
fn who_may_not_speak_is_told_why() {
    let mut world = World::new(&Topics::from([("t", (7, 1))]));
    let code = |refused: Result<Heard, Refused>| refused.expect_err("refused").code;
    assert_eq!(code(world.beat("", JOINS, &["t"])), ErrorCode::InvalidRequest);
    assert_eq!(code(world.beat("a", JOINS, &[])), ErrorCode::InvalidRequest);
    assert_eq!(code(world.beat("a", -2, &["t"])), ErrorCode::InvalidRequest);
    assert_eq!(code(world.beat("a", 1, &["t"])), ErrorCode::UnknownMemberId);
    world.beat("a", JOINS, &["t"]).expect("joins");
    assert_eq!(code(world.beat("a", 7, &[])), ErrorCode::FencedMemberEpoch);
    for at in 1..40 {
        world.beat(&format!("m{at}"), JOINS, &["t"]).expect("joins");
    }
    assert_eq!(code(world.beat("one more", JOINS, &["t"])), ErrorCode::GroupMaxSizeReached);
    world.now_ms = 1_000;
    assert_eq!(world.group.due_ms(), Some(1_000));
    world.group.tick(1_000);
    assert!(world.group.is_empty() && world.group.due_ms().is_none());
    assert_eq!(code(world.beat("a", 1, &[])), ErrorCode::UnknownMemberId);
}
