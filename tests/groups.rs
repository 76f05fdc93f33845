//! Consumers that share a topic's partitions: none is missed, whoever comes, goes or dies.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::*;
use support::members::*;
use support::workers::{work, Seen};
use support::{Broker, Raw, Setup, MODES};

const PARTITIONS: i32 = 8;
const RECORDS: usize = 4_000;

const SETTINGS: &[(&str, &str)] =
    &[("session.timeout.ms", "1500"), ("heartbeat.interval.ms", "200")];

#[test]
fn every_record_is_read_over_members_that_come_and_go_and_a_broker_that_crashes() {
    for mode in MODES {
        let setup = Setup { extra: QUICK.to_string(), shards: 2, ..Setup::new(mode) };
        let mut broker = Broker::start(setup);
        broker.run(&["topic", "create", "t", "--partitions", &PARTITIONS.to_string()], b"");
        let lines: String = (0..RECORDS).map(|n| format!("{n}\n")).collect();
        broker.run(&["produce", "t"], lines.as_bytes());
        let (seen, stop) = (Seen::default(), AtomicBool::new(false));
        let address = broker.address.clone();
        std::thread::scope(|scope| {
            let _stop = support::SetAtEnd(&stop);
            let member = |share| {
                let (address, seen, stop) = (&address, &seen, &stop);
                scope.spawn(move || work(SETTINGS, address, seen, stop, share))
            };
            // Three that leave early, and four that stay.
            let early: Vec<_> = [100, 200, 300].map(member).into();
            let _staying: Vec<_> = (0..4).map(|_| member(usize::MAX)).collect();
            support::eventually("some is read", || seen.lock().expect("unharmed").len() > 300);
            broker = std::mem::replace(&mut broker, Broker::start(Setup::new("single")))
                .crash_and_restart_in_place();
            support::eventually("all is read", || seen.lock().expect("unharmed").len() == RECORDS);
            stop.store(true, Ordering::SeqCst);
            drop(early);
        });
    }
}

#[test]
fn a_member_is_told_to_come_again_joins_gets_its_share_and_goes() {
    let broker = start("");
    let mut client = broker.client();
    let asked = join(&mut client, 5, "", None);
    assert_eq!(asked.error_code, MEMBER_ID_REQUIRED);
    let id = asked.member_id.to_string();
    let joined = join(&mut client, 5, &id, None);
    assert_eq!((joined.error_code, joined.generation_id, &*joined.leader), (0, 1, &*id));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.members[0].metadata, "what it wants");
    let synced = sync(&mut client, &id, 1, &[&id]);
    assert_eq!((synced.error_code, synced.assignment), (0, Bytes::from(format!("for {id}"))));
    assert_eq!(heartbeat(&mut client, &id, None, 1), 0);
    assert_eq!(heartbeat(&mut client, &id, None, 2), ILLEGAL_GENERATION);
    assert_eq!(heartbeat(&mut client, "other", None, 1), UNKNOWN_MEMBER_ID);

    // A second one comes: the first has to join again.
    let mut other = broker.client();
    let second = join(&mut other, 5, "", None).member_id.to_string();
    other.send(ApiKey::JoinGroup, 5, &join_request(&second, None, "range"));
    support::eventually("a rebalance begins", || {
        heartbeat(&mut client, &id, None, 1) == REBALANCE_IN_PROGRESS
    });
    assert_eq!(join(&mut client, 5, &id, None).generation_id, 2);
    let (_, answer) = other.receive().expect("an answer");
    assert!(answer.windows(second.len()).any(|bytes| bytes == second.as_bytes()));

    let member = |id: &str| MemberIdentity::default().with_member_id(text(id));
    let leave = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![member(&second), member("other")]);
    let left: LeaveGroupResponse = client.ask(ApiKey::LeaveGroup, 3, &leave);
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [0, UNKNOWN_MEMBER_ID]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let broker = start("");
    let mut client = broker.client();
    let ask = |client: &mut Raw, request: &JoinGroupRequest| {
        client.ask::<JoinGroupResponse>(ApiKey::JoinGroup, 3, request).error_code
    };
    let good = join_request("", None, "range");
    let bad = good.clone().with_session_timeout_ms(1);
    assert_eq!(ask(&mut client, &bad), INVALID_SESSION_TIMEOUT);
    let bad = good.clone().with_group_id(GroupId(text("")));
    assert_eq!(ask(&mut client, &bad), INVALID_GROUP_ID);
    let bad = good.clone().with_protocols(Vec::new());
    assert_eq!(ask(&mut client, &bad), INCONSISTENT_GROUP_PROTOCOL);
    let bad = join_request("never given", None, "range");
    assert_eq!(ask(&mut client, &bad), UNKNOWN_MEMBER_ID);
    let groups: ListGroupsResponse =
        client.ask(ApiKey::ListGroups, 4, &ListGroupsRequest::default());
    assert!(groups.groups.is_empty(), "nothing is left of what was refused");
    assert_eq!(ask(&mut client, &good), 0);
    let bad = join_request("", None, "another protocol");
    assert_eq!(ask(&mut client, &bad), INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn a_static_member_that_comes_back_fences_the_one_before() {
    let broker = start("");
    let mut client = broker.client();
    let first = join(&mut client, 5, "", Some("one"));
    assert_eq!(first.error_code, 0);
    let id = first.member_id.to_string();
    assert_eq!(heartbeat(&mut client, &id, Some("one"), first.generation_id), 0);
    let again = join(&mut client, 5, "", Some("one"));
    assert_eq!(again.error_code, 0);
    assert_ne!(again.member_id, first.member_id);
    let code = heartbeat(&mut client, &id, Some("one"), again.generation_id);
    assert_eq!(code, FENCED_INSTANCE_ID);
}

#[test]
fn a_broker_that_stops_does_not_wait_for_members_that_wait() {
    let mut broker = start("");
    let mut client = broker.client();
    let id = join(&mut client, 3, "", None).member_id.to_string();
    // Nobody leads this generation any more: the second waits for its assignment.
    let mut other = broker.client();
    other.send(ApiKey::JoinGroup, 3, &join_request("", None, "range"));
    support::eventually("a rebalance begins", || {
        heartbeat(&mut client, &id, None, 1) == REBALANCE_IN_PROGRESS
    });
    assert_eq!(broker.stop(), Some(0));
}

#[test]
fn members_go_on_in_their_generation_after_a_crash_and_after_a_stop() {
    for crash in [true, false] {
        let broker = start("");
        let mut client = broker.client();
        let id = join(&mut client, 3, "", None).member_id.to_string();
        assert_eq!(sync(&mut client, &id, 1, &[&id]).error_code, 0);
        let broker = if crash { broker.crash_and_restart() } else { broker.restart_with(1) };
        let mut client = broker.client();
        support::eventually("it is there", || heartbeat(&mut client, &id, None, 1) == 0);
        let synced = sync(&mut client, &id, 1, &[]);
        assert_eq!((synced.error_code, synced.assignment), (0, Bytes::from(format!("for {id}"))));
        // The last one goes: that is remembered, too.
        let gone = MemberIdentity::default().with_member_id(text(&id));
        let leave = LeaveGroupRequest::default().with_group_id(group()).with_members(vec![gone]);
        assert_eq!(client.ask::<LeaveGroupResponse>(ApiKey::LeaveGroup, 3, &leave).error_code, 0);
        let broker = broker.restart_with(1);
        let mut client = broker.client();
        support::eventually("nobody is there", || {
            heartbeat(&mut client, &id, None, 2) == UNKNOWN_MEMBER_ID
        });
        let groups: ListGroupsResponse =
            client.ask(ApiKey::ListGroups, 4, &ListGroupsRequest::default());
        assert_eq!(&*groups.groups[0].group_state, "Empty");
        assert_eq!(join(&mut client, 3, "", None).generation_id, 3);
    }
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fenced_ones_stay_out_after_a_crash() {
    let broker = start("");
    let mut client = broker.client();
    let old = join(&mut client, 5, "", Some("one")).member_id.to_string();
    assert_eq!(sync(&mut client, &old, 1, &[&old]).error_code, 0);
    let again = join(&mut client, 5, "", Some("one"));
    assert_eq!((again.error_code, again.generation_id), (0, 1));
    // It does not know of KIP-814: it must not think that it has to assign anything.
    assert_eq!((&*again.leader, again.members.len()), (&*old, 0));
    let new = again.member_id.to_string();
    let synced = sync(&mut client, &new, 1, &[]);
    assert_eq!(synced.assignment, Bytes::from(format!("for {old}")));
    let broker = broker.crash_and_restart();
    let mut client = broker.client();
    support::eventually("it is there", || heartbeat(&mut client, &new, Some("one"), 1) == 0);
    assert_eq!(heartbeat(&mut client, &old, Some("one"), 1), FENCED_INSTANCE_ID);
    let third = join(&mut client, 9, "", Some("one"));
    assert_eq!((third.generation_id, third.skip_assignment, third.members.len()), (1, true, 1));
}
