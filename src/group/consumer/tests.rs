//! What members are told, case by case; `classic`: those of the classic protocol.

mod classic;

use std::collections::BTreeSet;
use std::rc::Rc;

use super::samples::{beat, image, Topics};
use super::*;
use crate::config::Assignor;
use crate::metadata::MetadataImage;
use crate::wire::ErrorCode;

struct Room {
    group: Group,
    image: MetadataImage,
    now_ms: i64,
}

fn room(partitions: i32) -> Room {
    let limits = ConsumerLimits { max_size: 3, ..ConsumerLimits::default() };
    Room {
        group: Group::new(Rc::new(limits)),
        image: image(1, &Topics::from([("t", (1, partitions))])),
        now_ms: 1_000,
    }
}

fn joining(id: &str) -> Beat {
    Beat {
        rebalance_timeout_ms: Some(10_000),
        topics: Some(BTreeSet::from(["t".to_string()])),
        owned: Some(Assignment::new()),
        ..beat(id, JOINS)
    }
}

fn of_t(partitions: &[i32]) -> Assignment {
    match partitions {
        [] => Assignment::new(),
        _ => Assignment::from([(Uuid::from_u128(1), partitions.iter().copied().collect())]),
    }
}

impl Room {
    fn hear(&mut self, beat: Beat) -> Result<Heard, ErrorCode> {
        let limits = Rc::clone(&self.group.limits);
        check("g", &beat, true, &limits).map_err(|refused| refused.code)?;
        let said = beat.regex.as_ref();
        let unresolved = self.group.unresolved(self.now_ms, said, &self.image);
        let unresolved = unresolved.map_err(|refused| refused.code)?;
        let resolved = (!unresolved.is_empty()).then(|| resolve(unresolved, &self.image));
        let heard = self.group.heartbeat(self.now_ms, beat, &self.image, resolved);
        heard.map_err(|refused| refused.code)
    }

    /// Epoch and what is new to work on.
    fn says(&mut self, beat: Beat) -> (i32, Option<Assignment>) {
        let heard = self.hear(beat).expect("is heard");
        (heard.epoch, heard.assignment)
    }

    fn here(&mut self, id: &str, epoch: i32) -> (i32, Option<Assignment>) {
        self.says(beat(id, epoch))
    }

    fn owning(&mut self, id: &str, epoch: i32, partitions: &[i32]) -> (i32, Option<Assignment>) {
        self.says(Beat { owned: Some(of_t(partitions)), ..beat(id, epoch) })
    }
}

#[test]
fn what_one_has_goes_to_another_when_it_has_been_given_up() {
    let mut room = room(4);
    assert_eq!(room.says(joining("a")), (1, Some(of_t(&[0, 1, 2, 3]))));
    assert_eq!(room.here("a", 1), (1, None));
    assert_eq!(room.says(joining("b")), (2, Some(of_t(&[]))), "nothing is free yet");
    assert_eq!(room.group.state(), "Reconciling");
    assert_eq!(room.here("b", 2), (2, None));
    assert_eq!(room.owning("a", 1, &[0, 1, 2, 3]), (1, Some(of_t(&[0, 1]))));
    assert_eq!(room.here("b", 2), (2, None));
    assert_eq!(room.here("a", 1), (1, None), "it has not said that it gave up");
    assert_eq!(room.owning("a", 1, &[0, 1]), (2, None));
    assert_eq!(room.here("b", 2), (2, Some(of_t(&[2, 3]))));
    assert_eq!(room.group.state(), "Stable");
    assert_eq!(room.here("b", 2), (2, None));
}

#[test]
fn who_leaves_or_is_silent_leaves_all_to_the_others() {
    for leaves in [true, false] {
        let mut room = room(2);
        room.says(joining("a"));
        room.says(joining("b"));
        room.owning("a", 1, &[0]);
        assert_eq!(room.here("b", 2), (2, Some(of_t(&[1]))));
        if leaves {
            assert_eq!(room.here("b", LEAVES), (LEAVES, None));
        } else {
            room.now_ms += 30_000;
            room.here("a", 2);
            room.now_ms += 15_000;
            room.group.tick(room.now_ms);
        }
        assert_eq!(room.group.state(), "Assigning");
        assert_eq!(room.here("a", 2), (3, Some(of_t(&[0, 1]))));
        assert_eq!(room.hear(beat("b", 2)), Err(ErrorCode::UnknownMemberId));
        assert_eq!(room.here("a", LEAVES), (LEAVES, None));
        assert_eq!((room.group.state(), room.group.due_ms()), ("Empty", None));
    }
}

#[test]
fn who_does_not_give_up_in_time_is_out() {
    let mut room = room(2);
    room.says(joining("a"));
    room.says(joining("b"));
    assert_eq!(room.owning("a", 1, &[0, 1]), (1, Some(of_t(&[0]))));
    assert_eq!(room.group.due_ms(), Some(room.now_ms + 10_000));
    room.now_ms += 10_000;
    room.here("a", 1);
    room.group.tick(room.now_ms);
    assert_eq!(room.hear(beat("a", 1)), Err(ErrorCode::UnknownMemberId));
    assert_eq!(room.here("b", 2), (3, Some(of_t(&[0, 1]))));
}

#[test]
fn epochs_fence() {
    let mut room = room(2);
    room.says(joining("a"));
    room.says(joining("b"));
    room.owning("a", 1, &[0]);
    assert_eq!(room.here("b", 2).0, 2);
    let fenced = Err(ErrorCode::FencedMemberEpoch);
    assert_eq!(room.hear(beat("a", 3)), fenced);
    // Our last answer was lost: it may go on if it has nothing that is not its own.
    assert_eq!(room.hear(beat("a", 1)), fenced);
    assert_eq!(room.hear(Beat { owned: Some(of_t(&[1])), ..beat("a", 1) }), fenced);
    assert_eq!(room.owning("a", 1, &[0]).0, 2);
    assert_eq!(room.says(joining("a")), (2, Some(of_t(&[0]))), "it is told what it has");
    assert_eq!(room.hear(beat("c", 1)), Err(ErrorCode::UnknownMemberId));
    assert_eq!(room.hear(beat("c", LEAVES)), Err(ErrorCode::UnknownMemberId));
    room.says(joining("c"));
    assert_eq!(room.hear(joining("d")), Err(ErrorCode::GroupMaxSizeReached));
}

#[test]
fn a_static_member_that_is_back_has_what_it_had() {
    let mut room = room(2);
    let of = |instance: &str, beat: Beat| Beat { instance_id: Some(instance.to_string()), ..beat };
    room.says(of("one", joining("a")));
    room.says(joining("b"));
    room.owning("a", 1, &[0]);
    assert_eq!(room.hear(of("one", joining("x"))), Err(ErrorCode::UnreleasedInstanceId));
    assert_eq!(room.hear(of("one", beat("x", 2))), Err(ErrorCode::FencedInstanceId));
    assert_eq!(room.hear(of("two", beat("a", 2))), Err(ErrorCode::UnknownMemberId));
    assert_eq!(room.says(of("one", beat("a", LEAVES_FOR_NOW))), (LEAVES_FOR_NOW, None));
    assert_eq!(room.here("b", 2), (2, Some(of_t(&[1]))), "what it had stays its own");
    assert_eq!(room.says(of("one", joining("x"))), (2, Some(of_t(&[0]))));
    assert_eq!(room.hear(of("one", beat("a", 2))), Err(ErrorCode::FencedInstanceId));
    assert_eq!(room.hear(of("one", beat("a", LEAVES))), Err(ErrorCode::FencedInstanceId));
    assert_eq!(room.group.members.len(), 2);
    // One that does not come back is out in the end.
    room.says(of("one", beat("x", LEAVES_FOR_NOW)));
    room.now_ms += 44_000;
    room.here("b", 2);
    room.now_ms += 1_000;
    room.group.tick(room.now_ms);
    assert_eq!(room.here("b", 2), (3, Some(of_t(&[0, 1]))));
}

#[test]
fn topics_that_grow_come_and_go_are_followed() {
    let mut room = room(1);
    let mut both = joining("a");
    both.topics = Some(["t", "u"].map(str::to_string).into());
    assert_eq!(room.says(both), (1, Some(of_t(&[0]))));
    room.image = image(2, &Topics::from([("t", (1, 2)), ("other", (3, 1))]));
    assert_eq!(room.here("a", 1), (2, Some(of_t(&[0, 1]))));
    room.image = image(3, &Topics::from([("t", (1, 2))]));
    assert_eq!(room.here("a", 2), (2, None), "nobody reads what has changed");
    room.image = image(4, &Topics::from([("t", (1, 2)), ("u", (2, 1))]));
    let mut more = of_t(&[0, 1]);
    more.insert(Uuid::from_u128(2), BTreeSet::from([0]));
    assert_eq!(room.here("a", 2), (3, Some(more)));
    // A topic of the same name is another one.
    room.image = image(5, &Topics::from([("t", (9, 1))]));
    room.owning("a", 3, &[0, 1]);
    let (epoch, assignment) = room.owning("a", 3, &[]);
    let expected = Assignment::from([(Uuid::from_u128(9), BTreeSet::from([0]))]);
    assert_eq!((epoch, assignment), (4, Some(expected)));
}

#[test]
fn patterns_stand_for_topics_now_and_later() {
    let mut room = room(1);
    let by =
        |pattern: &str| Beat { topics: None, regex: Some(pattern.to_string()), ..joining("a") };
    assert_eq!(room.says(by("t.?")), (1, Some(of_t(&[0]))));
    room.image = image(2, &Topics::from([("t", (1, 1)), ("t2", (2, 1)), ("not2", (3, 1))]));
    room.now_ms += 1_000;
    let (epoch, assignment) = room.here("a", 1);
    assert_eq!(assignment.expect("more").len(), 2, "whole names are matched");
    let none = Beat { regex: Some(String::new()), ..beat("a", epoch) };
    assert_eq!(room.says(none).1, Some(of_t(&[])));
    assert!(room.group.patterns.is_empty());
    let large = "(a{1000}){1000}";
    let long = "x".repeat(2_000);
    for wrong in ["(", "a)|(b", "\\", "(?=look)", large, &long] {
        assert_eq!(room.hear(by(wrong)), Err(ErrorCode::InvalidRegularExpression), "{wrong}");
    }
}

#[test]
fn heartbeats_that_make_no_sense_are_refused() {
    let some = |text: &str| Some(text.to_string());
    let cases = [
        Beat { member_id: String::new(), ..joining("a") },
        Beat { instance_id: some(" "), ..joining("a") },
        Beat { rack_id: some(""), ..joining("a") },
        Beat { rebalance_timeout_ms: None, ..joining("a") },
        Beat { owned: None, ..joining("a") },
        Beat { owned: Some(of_t(&[1])), ..joining("a") },
        Beat { topics: None, ..joining("a") },
        Beat { member_id: "m".repeat(5_000), ..joining("a") },
        Beat { topics: Some((0..20_000).map(|n| n.to_string()).collect()), ..joining("a") },
        beat("a", -3),
        beat("a", LEAVES_FOR_NOW),
    ];
    let mut room = room(1);
    for wrong in cases {
        assert_eq!(room.hear(wrong.clone()), Err(ErrorCode::InvalidRequest), "{wrong:?}");
    }
    let wrong = Beat { assignor: some("sticky"), ..joining("a") };
    assert_eq!(room.hear(wrong), Err(ErrorCode::UnsupportedAssignor));
    assert!(room.group.take_records().is_empty());
    let limits = ConsumerLimits::default();
    assert!(check("", &joining("a"), true, &limits).is_err());
    let unnamed = Beat { member_id: String::new(), ..joining("") };
    assert!(check("g", &unnamed, false, &limits).is_ok(), "version 0 is given an id");
    assert_eq!(
        room.group.heartbeat(0, unnamed, &room.image, None).expect("joins").member_id,
        "fresh"
    );
}

#[test]
fn most_votes_choose_the_assignor() {
    let mut room = room(2);
    let asking = |id, assignor: &str| Beat { assignor: Some(assignor.to_string()), ..joining(id) };
    assert_eq!(room.group.assignor(), Assignor::Uniform);
    room.says(joining("a"));
    assert_eq!(room.group.assignor(), Assignor::Uniform);
    room.says(asking("b", "range"));
    assert_eq!(room.group.assignor(), Assignor::Range);
    room.says(asking("c", "uniform"));
    assert_eq!(room.group.assignor(), Assignor::Uniform, "the first of as many votes");
}

#[test]
fn records_are_kafkas() {
    let record = |key: Key, value: Option<Value>| encode("g", &Record { key, value });
    let (key, value) = record(Key::Group, Some(Value::Epoch(7)));
    assert_eq!(
        (key.as_slice(), value.as_deref()),
        (&[0u8, 3, 0, 1, b'g'][..], Some(&[0u8, 0, 0, 0, 0, 7, 0][..]),)
    );
    let (key, value) = record(Key::Target("m".to_string()), Some(Value::Assignment(of_t(&[2]))));
    assert_eq!(key, [0, 7, 0, 1, b'g', 0, 1, b'm']);
    let mut expected = vec![0, 0, 2];
    expected.extend([0; 15]);
    expected.extend([1, 2, 0, 0, 0, 2, 0, 0]);
    assert_eq!(value, Some(expected));
    let metadata = Metadata {
        instance_id: Some("i".to_string()),
        topics: BTreeSet::from(["t".to_string()]),
        regex: Some("t.*".to_string()),
        rebalance_timeout_ms: 5,
        classic: Some(Classic {
            session_timeout_ms: 9,
            protocols: vec![("range".to_string(), Bytes::from_static(b"x"))],
        }),
        ..Metadata::default()
    };
    let (key, value) = record(Key::Member("m".to_string()), Some(Value::Member(metadata.clone())));
    let (group, key) = decode_key(&key).expect("reads").expect("is ours");
    assert_eq!((group.as_str(), &key), ("g", &Key::Member("m".to_string())));
    let read = decode_value(&key, &value.expect("a value")).expect("reads");
    assert_eq!(read, Value::Member(metadata));
    assert_eq!(decode_key(&[0, 2, 0, 0]).expect("reads"), None);
    assert!(decode_key(&[0, 8, 0, 9]).is_err());
    assert!(decode_value(&Key::Topics, &[0, 0, 200, 200, 1]).is_err());
    assert!(decode_value(&Key::Group, &[0, 1, 0, 0, 0, 0]).is_err());
}
