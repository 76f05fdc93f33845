//! Thousands of members at once, and members that want more than there is.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;

const LIMITS: GroupLimits = GroupLimits {
    initial_rebalance_delay_ms: 0,
    min_session_timeout_ms: 0,
    max_session_timeout_ms: 60_000,
    max_size: 10_000,
};

fn join(n: u64, metadata: usize) -> Join {
    Join {
        token: n,
        member_id: String::new(),
        fresh_id: format!("m-{n}"),
        instance_id: n.is_multiple_of(2).then(|| format!("i-{n}")),
        client_id: "c".to_string(),
        client_host: "/h".to_string(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_string(),
        protocols: vec![
            ("range".to_string(), Bytes::from(vec![0; metadata])),
            ("sticky".to_string(), Bytes::new()),
        ],
        must_come_again: false,
        may_skip_assignment: false,
    }
}

fn sync(group: &Group, token: Token, id: &str, assignments: Vec<(String, Bytes)>) -> Sync {
    Sync {
        token,
        member_id: id.to_string(),
        instance_id: None,
        generation: group.generation,
        protocol_type: None,
        protocol_name: None,
        assignments,
    }
}

fn codes(group: &mut Group) -> Vec<Option<ErrorCode>> {
    let code = |answer| match answer {
        Answer::Joined(_, joined) => joined.err().map(|refused: NotJoined| refused.code),
        Answer::Synced(_, synced) => synced.err(),
    };
    group.take_answers().into_iter().map(code).collect()
}

/// The first one, again.
fn leader(token: Token, metadata: usize) -> Join {
    Join { token, member_id: "m-0".to_string(), ..join(0, metadata) }
}

/// A group of so many that is stable, and how long that took.
fn of_many(count: u64) -> (Group, Duration) {
    let started = Instant::now();
    let mut group = Group::new(LIMITS);
    for n in 0..count {
        group.join(0, join(n, 200));
    }
    // The others wait for the first to come again.
    assert_eq!(codes(&mut group), [None]);
    group.join(1, leader(count, 200));
    assert_eq!(codes(&mut group), vec![None; count as usize]);
    let ids = group.members.ids(|_| true);
    let shares = ids.iter().map(|id| (id.clone(), Bytes::from_static(b"share"))).collect();
    group.sync(2, sync(&group, 0, "m-0", shares));
    for id in ids.iter().filter(|id| **id != "m-0") {
        group.sync(2, sync(&group, 0, id, Vec::new()));
    }
    let writes = group.take_writes();
    assert_eq!((writes.len(), codes(&mut group).len()), (1, 0));
    group.written(3, writes[0].number, Ok(()));
    assert_eq!(codes(&mut group), vec![None; count as usize]);
    assert_eq!(group.state, State::Stable);
    (group, started.elapsed())
}

/// With a look at all others in each join ten times as many would take a hundred times as long.
#[test]
fn five_thousand_members_are_in_at_once_without_looking_at_each_other() {
    let (_, few) = of_many(500);
    let (mut group, many) = of_many(5_000);
    assert!(many < few * 40, "500 take {few:?}, 5,000 {many:?}");
    let started = Instant::now();
    for n in 0..5_000 {
        let heard = group.heartbeat(4, &format!("m-{n}"), None, group.generation);
        assert_eq!(heard, Ok(()));
    }
    assert!(started.elapsed() < many, "heartbeats take {:?}", started.elapsed());
}

#[test]
fn what_members_bring_is_bounded_and_what_is_refused_leaves_nothing() {
    let mut group = Group::new(LIMITS);
    group.join(0, join(0, MEMBER_BYTES + 1));
    assert_eq!(codes(&mut group), [Some(ErrorCode::MessageTooLarge)]);
    let name = |n: usize| (format!("p{n}"), Bytes::new());
    let protocols = (0..=MOST_PROTOCOLS).map(name).collect();
    group.join(0, Join { protocols, ..join(0, 0) });
    assert_eq!(codes(&mut group), [Some(ErrorCode::MessageTooLarge)]);
    assert!(group.is_nothing());

    let mut refused = 0;
    for n in 0..20 {
        group.join(0, join(n, MEMBER_BYTES - 20));
        for code in codes(&mut group).into_iter().flatten() {
            assert_eq!(code, ErrorCode::GroupMaxSizeReached);
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
    assert!(group.bytes() <= GROUP_BYTES + MEMBER_BYTES, "{}", group.bytes());
    // Who is in comes again with what it has.
    group.join(1, leader(99, MEMBER_BYTES - 20));
    assert_eq!(codes(&mut group), [None; 15]);
    // The leader has no room for what it assigns: all are told, and come again.
    let share = ("m-1".to_string(), Bytes::from(vec![0; 2 * MEMBER_BYTES]));
    group.sync(2, sync(&group, 0, "m-1", Vec::new()));
    group.sync(2, sync(&group, 0, "m-0", vec![share]));
    assert_eq!(codes(&mut group), [Some(ErrorCode::UnknownServerError); 2]);
    assert!(group.take_writes().is_empty());
    assert!(matches!(group.state, State::Preparing { .. }));
}

#[test]
fn who_joins_and_dies_in_a_loop_is_forgotten() {
    let mut group = Group::new(LIMITS);
    for n in 0..50_000 {
        let join = Join { must_come_again: true, session_timeout_ms: 100, ..join(2 * n + 1, 0) };
        group.join(0, join);
    }
    assert_eq!(codes(&mut group).len(), 50_000);
    assert!(group.bytes() < 10_000_000, "{}", group.bytes());
    group.tick(100);
    assert!(group.is_nothing());
    // Those that need no second call are in until their sessions end.
    for n in 0..12_000 {
        group.join(200, Join { session_timeout_ms: 100, ..join(n, 0) });
    }
    // The first was in a generation of its own; while others join those count that have joined.
    assert_eq!(group.members.len(), LIMITS.max_size + 1);
    let full = codes(&mut group).into_iter().flatten().filter(|code| {
        assert_eq!(*code, ErrorCode::GroupMaxSizeReached);
        true
    });
    assert_eq!(full.count(), 1_999);
}
