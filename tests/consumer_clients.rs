//! Consumers of the consumer protocol (KIP-848) that share a topic's partitions, some beside those of the
//! classic one: no record is missed, whoever comes, goes or dies.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use kafka_protocol::messages::{ApiKey, ListGroupsRequest, ListGroupsResponse};
use support::workers::{work, Seen};
use support::{Broker, Setup, MODES};

const QUICK: &str = "\"group.consumer.min.session.timeout.ms\" = 500
\"group.consumer.session.timeout.ms\" = 2000
\"group.consumer.min.heartbeat.interval.ms\" = 50
\"group.consumer.heartbeat.interval.ms\" = 200
\"group.initial.rebalance.delay.ms\" = 0
\"offsets.topic.num.partitions\" = 3";

const PARTITIONS: i32 = 8;
const RECORDS: usize = 4_000;

/// Of members of the classic protocol.
const CLASSIC: &[(&str, &str)] = &[
    ("group.protocol", "classic"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "200"),
];
/// Of members of the consumer protocol.
const CONSUMER: &[(&str, &str)] = &[("group.protocol", "consumer")];

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
                scope.spawn(move || work(CONSUMER, address, seen, stop, share))
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

/// The protocol of the one group, as its type is shown.
fn protocol(broker: &Broker) -> Option<String> {
    let answer: ListGroupsResponse =
        broker.client().ask(ApiKey::ListGroups, 5, &ListGroupsRequest::default());
    answer.groups.first().map(|group| group.group_type.to_string())
}

#[test]
fn a_group_changes_its_protocol_while_it_works_and_back() {
    let broker = Broker::start(Setup { extra: QUICK.to_string(), ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", &PARTITIONS.to_string()], b"");
    let produce = |count: usize| {
        let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
        broker.run(&["produce", "t"], lines.as_bytes());
    };
    let (seen, stop, stop_new) = (Seen::default(), AtomicBool::new(false), AtomicBool::new(false));
    let has_seen = |count: usize| {
        support::eventually("all is read", || seen.lock().expect("unharmed").len() == count);
    };
    std::thread::scope(|scope| {
        let (_stop, _stop_new) = (support::SetAtEnd(&stop), support::SetAtEnd(&stop_new));
        let (address, seen) = (&broker.address, &seen);
        for _ in 0..2 {
            scope.spawn(|| work(CLASSIC, address, seen, &stop, usize::MAX));
        }
        produce(500);
        has_seen(500);
        assert_eq!(protocol(&broker).as_deref(), Some("classic"));
        let new = scope.spawn(|| work(CONSUMER, address, seen, &stop_new, usize::MAX));
        support::eventually("it is another's", || protocol(&broker).as_deref() == Some("consumer"));
        produce(500);
        has_seen(1_000);
        stop_new.store(true, Ordering::SeqCst);
        new.join().expect("ends");
        support::eventually("it is as before", || protocol(&broker).as_deref() == Some("classic"));
        produce(500);
        has_seen(1_500);
        stop.store(true, Ordering::SeqCst);
    });
}
