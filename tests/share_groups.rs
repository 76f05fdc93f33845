//! Share groups (KIP-932): no record is had by two members at once, none is lost or, once accepted,
//! delivered again, whoever dies.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_protocol::messages::share_fetch_response::PartitionData;
use kafka_protocol::messages::*;
use support::sharers::{broker, parts, produce, text, Member};
use support::{Broker, Raw, MODES};

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;

const INVALID_REQUEST: i16 = 42;
const UNKNOWN_MEMBER_ID: i16 = 25;
const UNKNOWN_TOPIC_ID: i16 = 100;
const GROUP_ID_NOT_FOUND: i16 = 69;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NON_EMPTY_GROUP: i16 = 68;
const INVALID_RECORD_STATE: i16 = 121;
const SHARE_SESSION_NOT_FOUND: i16 = 122;
const INVALID_SHARE_SESSION_EPOCH: i16 = 123;

const SHORT_LOCKS: &str = "\"group.share.min.record.lock.duration.ms\" = 1000
\"group.share.record.lock.duration.ms\" = 1500
\"group.share.delivery.count.limit\" = 3";

#[test]
fn members_share_a_partition_and_what_is_accepted_never_comes_again() {
    for mode in MODES {
        let (mut broker, topic) = broker(mode, "");
        let mut accepted = BTreeSet::new();
        let mut last = BTreeMap::new();
        for round in 0..6 {
            produce(&broker, 150);
            let mut members: Vec<Member> =
                (0..3).map(|at| Member::new(&broker, &format!("m{round}-{at}"), topic)).collect();
            let mut held: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); 3];
            for turn in 0..9 {
                let at = turn % 3;
                let got = members[at].fetch(30, 0, &[]);
                for (first, to, deliveries) in parts(&got) {
                    for offset in first..=to {
                        assert!(!accepted.contains(&offset), "{offset} comes again");
                        assert!(!held.iter().any(|held| held.contains(&offset)), "had by two");
                        held[at].insert(offset);
                        last.insert(offset, deliveries);
                    }
                }
                // A part of what it has, each time.
                let done: Vec<i64> =
                    held[at].iter().copied().filter(|offset| offset % 3 != round % 3).collect();
                let said: Vec<(i64, i64, i8)> = done.iter().map(|o| (*o, *o, ACCEPT)).collect();
                if !said.is_empty() {
                    assert_eq!(members[at].say(&said), 0);
                    accepted.extend(done.iter().copied());
                    held[at].retain(|offset| !done.contains(offset));
                }
            }
            drop(members);
            broker = broker.crash_and_restart();
        }
        let mut member = Member::new(&broker, "last", topic);
        let mut next = Vec::new();
        support::eventually("the group's state is read", || {
            let got = member.fetch(500, 0, &[]);
            next = parts(&got);
            got.error_code == 0
        });
        while !next.is_empty() {
            for (first, to, _) in &next {
                for offset in *first..=*to {
                    assert!(accepted.insert(offset), "{offset} comes again");
                }
            }
            let said: Vec<_> = next.iter().map(|(first, to, _)| (*first, *to, ACCEPT)).collect();
            next = parts(&member.fetch(500, 0, &said));
        }
        assert_eq!(accepted, (0..900).collect(), "every record is accepted once");
        assert!(last.values().all(|deliveries| *deliveries <= 5));
    }
}

#[test]
fn what_a_dead_member_had_comes_to_others() {
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        produce(&broker, 10);
        let mut other = Member::new(&broker, "other", topic);
        let mut dead = Member::new(&broker, "dead", topic);
        assert_eq!(dead.take(100), [(0, 9, 1)]);
        assert_eq!(other.take(100), []);
        drop(dead);
        // At once: its lock would have lasted.
        let began = Instant::now();
        let got = other.fetch(100, 10_000, &[]);
        assert_eq!(parts(&got), [(0, 9, 2)]);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        // One that goes in order has not looked at what it had.
        let mut gone = Member::new(&broker, "gone", topic);
        assert_eq!(other.say(&[(0, 4, RELEASE), (5, 9, ACCEPT)]), 0);
        assert_eq!(gone.take(100), [(0, 4, 3)]);
        assert_eq!(gone.ask(-1, 0, 0, &[(0, 1, ACCEPT)]).error_code, 0);
        assert_eq!(other.take(100), [(2, 4, 3)]);
    }
}

#[test]
fn a_record_is_free_again_when_its_time_is_over_and_given_up_after_so_many_times() {
    let (broker, topic) = broker("single", SHORT_LOCKS);
    produce(&broker, 4);
    let mut slow = Member::new(&broker, "slow", topic);
    let mut other = Member::new(&broker, "other", topic);
    assert_eq!(slow.take(100), [(0, 3, 1)]);
    let got = other.fetch(100, 10_000, &[]);
    assert_eq!(parts(&got), [(0, 3, 2)], "its time was over");
    assert_eq!(slow.say(&[(0, 0, ACCEPT)]), INVALID_RECORD_STATE);
    assert_eq!(other.say(&[(0, 0, REJECT), (1, 1, RELEASE), (2, 2, ACCEPT), (3, 3, RELEASE)]), 0);
    assert_eq!(other.take(100), [(1, 1, 3), (3, 3, 3)]);
    assert_eq!(other.say(&[(1, 1, RELEASE), (3, 3, ACCEPT)]), 0);
    assert_eq!(other.take(100), [], "it was delivered often enough");
    produce(&broker, 1);
    assert_eq!(other.take(100), [(4, 4, 1)]);
}

#[test]
fn who_waits_is_told_of_new_records_and_gets_them_alone() {
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        let mut members: Vec<Member> =
            (0..4).map(|at| Member::new(&broker, &format!("m{at}"), topic)).collect();
        members.iter_mut().for_each(|member| assert_eq!(member.take(1), []));
        let got: Vec<PartitionData> = std::thread::scope(|scope| {
            let waiting: Vec<_> = members
                .iter_mut()
                .map(|member| scope.spawn(move || member.fetch(1, 10_000, &[])))
                .collect();
            (0..4).for_each(|_| produce(&broker, 1));
            waiting.into_iter().map(|one| one.join().expect("gets something")).collect()
        });
        let offsets: BTreeSet<_> = got.iter().flat_map(parts).collect();
        assert_eq!(offsets, (0..4).map(|at| (at, at, 1)).collect());
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (broker, topic) = broker("single", "");
    produce(&broker, 5);
    let mut member = Member::new(&broker, "m", topic);
    assert_eq!(member.ask(3, 1, 0, &[]).error_code, SHARE_SESSION_NOT_FOUND);
    assert_eq!(member.ask(0, 1, 0, &[(0, 0, ACCEPT)]).error_code, INVALID_REQUEST);
    assert_eq!(member.take(100), [(0, 4, 1)]);
    assert_eq!(member.ask(7, 1, 0, &[]).error_code, INVALID_SHARE_SESSION_EPOCH);
    for (said, code) in [
        ((0, 0, 9), INVALID_REQUEST),
        ((3, 2, ACCEPT), INVALID_REQUEST),
        ((-3, 2, ACCEPT), INVALID_REQUEST),
        ((i64::MAX, i64::MAX, ACCEPT), INVALID_REQUEST),
        ((0, 5, ACCEPT), INVALID_REQUEST),
    ] {
        assert_eq!(member.say(&[said]), code, "{said:?}");
    }
    assert_eq!(member.say(&[(2, 3, ACCEPT), (3, 4, ACCEPT)]), INVALID_REQUEST);
    assert_eq!(member.say(&[(0, 2, ACCEPT)]), 0);
    assert_eq!(member.say(&[(2, 4, ACCEPT)]), INVALID_RECORD_STATE, "all of it or nothing");
    let got = member.fetch(1, 0, &[(3, 4, ACCEPT)]);
    assert_eq!((got.error_code, got.acknowledge_error_code), (0, 0));
    let mut nobody = Member { id: text(""), ..Member::new(&broker, "", topic) };
    assert_eq!(nobody.ask(0, 1, 0, &[]).error_code, INVALID_REQUEST);
    let mut lost = Member::new(&broker, "lost", uuid::Uuid::from_u128(5));
    assert_eq!(lost.fetch(1, 10_000, &[]).error_code, UNKNOWN_TOPIC_ID);
}

fn heartbeat(
    client: &mut Raw,
    id: &str,
    epoch: i32,
    topics: &[&str],
) -> ShareGroupHeartbeatResponse {
    let names = topics.iter().map(|name| TopicName(text(name)));
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("queue")))
        .with_member_id(text(id))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names((!topics.is_empty()).then(|| names.collect()));
    client.ask(ApiKey::ShareGroupHeartbeat, 1, &request)
}

/// The first member comes, and with it the topic that groups are kept in.
fn join(client: &mut Raw, id: &str) {
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("queue")]);
    support::eventually("a coordinator", || {
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 6, &find);
        found.coordinators[0].error_code == 0 && heartbeat(client, id, 0, &["t"]).error_code == 0
    });
}

#[test]
fn members_are_told_what_to_work_on_and_tools_who_they_are() {
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        let mut client = broker.client();
        join(&mut client, "a");
        let second = heartbeat(&mut client, "b", 0, &["t"]);
        let assigned = &second.assignment.expect("news").topic_partitions[0];
        assert_eq!((assigned.topic_id, &assigned.partitions[..]), (topic, &[0][..]));
        assert_eq!(heartbeat(&mut client, "c", 1, &[]).error_code, UNKNOWN_MEMBER_ID);
        // Who is in it outlives a crash.
        let broker = broker.crash_and_restart();
        let mut client = broker.client();
        support::eventually("loaded", || {
            heartbeat(&mut client, "b", second.member_epoch, &[]).error_code == 0
        });
        let ids = vec![GroupId(text("queue")), GroupId(text("nothing"))];
        let request = ShareGroupDescribeRequest::default().with_group_ids(ids);
        let described: ShareGroupDescribeResponse =
            client.ask(ApiKey::ShareGroupDescribe, 1, &request);
        let queue = &described.groups[0];
        assert_eq!((queue.error_code, queue.members.len()), (0, 2));
        assert_eq!((&*queue.group_state, &*queue.assignor_name), ("Stable", "simple"));
        assert_eq!(queue.members[1].assignment.topic_partitions[0].partitions, [0]);
        assert_eq!(described.groups[1].error_code, GROUP_ID_NOT_FOUND);
        let list = ListGroupsRequest::default().with_types_filter(vec![text("share")]);
        let listed: ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, &list);
        if mode == "single" {
            assert_eq!(&*listed.groups[0].group_type, "share");
            assert_eq!(listed.groups.len(), 1);
        }
        assert_eq!(heartbeat(&mut client, "b", -1, &[]).member_epoch, -1);
        assert_eq!(heartbeat(&mut client, "a", -1, &[]).error_code, 0);
    }
}

#[test]
fn a_group_that_was_deleted_begins_anew() {
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        produce(&broker, 10);
        let mut client = broker.client();
        join(&mut client, "a");
        let all = |broker: &Broker, name: &str| {
            let mut member = Member::new(broker, name, topic);
            let mut got: Vec<(i64, i64)> = Vec::new();
            support::eventually("the group's state is read", || {
                let fetched = member.fetch(500, 0, &[]);
                got = parts(&fetched).iter().map(|(first, last, _)| (*first, *last)).collect();
                fetched.error_code == 0
            });
            (member, got)
        };
        let (mut member, got) = all(&broker, "a");
        assert_eq!(got, [(0, 9)]);
        assert_eq!(member.say(&[(0, 9, ACCEPT)]), 0);
        assert_eq!(heartbeat(&mut client, "a", -1, &[]).error_code, 0);
        let listed = String::from_utf8(broker.run(&["group", "list"], b"")).expect("text");
        assert!(listed.contains("queue"), "{listed}");
        let request =
            DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("queue"))]);
        let answer: DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, &request);
        assert_eq!(answer.results[0].error_code, 0);
        drop(member);
        assert_eq!(all(&broker, "b").1, [(0, 9)], "from the start again, in {mode}");
        let broker = broker.crash_and_restart_in_place();
        assert_eq!(all(&broker, "c").1, [(0, 9)], "no accepted ones came back, in {mode}");
    }
}

#[test]
fn where_a_group_is_can_be_asked() {
    use kafka_protocol::messages::describe_share_group_offsets_request::{
        DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
    };
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        let ask = |broker: &Broker, group: &str, named: Option<&[&str]>| {
            let topic = |name: &&str| {
                DescribeShareGroupOffsetsRequestTopic::default()
                    .with_topic_name(TopicName(text(name)))
                    .with_partitions(vec![0, 9])
            };
            let group = DescribeShareGroupOffsetsRequestGroup::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(named.map(|named| named.iter().map(topic).collect()));
            let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]);
            let mut response: DescribeShareGroupOffsetsResponse =
                broker.client().ask(ApiKey::DescribeShareGroupOffsets, 0, &request);
            let group = response.groups.remove(0);
            assert_eq!(group.error_code, 0);
            let starts = group.topics.into_iter().map(|topic| {
                let of_topic = topic.partitions.iter();
                let starts = of_topic.map(|one| (one.partition_index, one.start_offset)).collect();
                (topic.topic_name.to_string(), topic.topic_id, starts)
            });
            starts.collect::<Vec<(String, uuid::Uuid, Vec<(i32, i64)>)>>()
        };
        assert_eq!(ask(&broker, "queue", None), [], "nobody has begun");
        produce(&broker, 20);
        let mut member = Member::new(&broker, "a", topic);
        assert_eq!(member.take(20), [(0, 19, 1)]);
        assert_eq!(member.say(&[(0, 6, ACCEPT)]), 0);
        let t = || "t".to_string();
        assert_eq!(ask(&broker, "queue", None), [(t(), topic, vec![(0, 7)])]);
        let named = ask(&broker, "queue", Some(&["t", "none"]));
        let none = ("none".to_string(), uuid::Uuid::nil(), vec![(0, -1), (9, -1)]);
        assert_eq!(named, [(t(), topic, vec![(0, 7), (9, -1)]), none]);
        assert_eq!(ask(&broker, "other", None), []);
        drop(member);
        let broker = broker.crash_and_restart();
        assert_eq!(ask(&broker, "queue", None), [(t(), topic, vec![(0, 7)])]);
    }
}

/// Codes of the whole, and of each partition of `t` and of a topic that is not there.
fn set_starts(client: &mut Raw, starts: &[(i32, i64)]) -> (i16, Vec<i16>) {
    use kafka_protocol::messages::alter_share_group_offsets_request::{
        AlterShareGroupOffsetsRequestPartition as Partition,
        AlterShareGroupOffsetsRequestTopic as Topic,
    };
    let partition = |(index, start): &(i32, i64)| {
        Partition::default().with_partition_index(*index).with_start_offset(*start)
    };
    let partitions: Vec<Partition> = starts.iter().map(partition).collect();
    let topics = ["t", "none"].map(|name| {
        Topic::default().with_topic_name(TopicName(text(name))).with_partitions(partitions.clone())
    });
    let request = AlterShareGroupOffsetsRequest::default()
        .with_group_id(GroupId(text("queue")))
        .with_topics(topics.to_vec());
    let answer: AlterShareGroupOffsetsResponse =
        client.ask(ApiKey::AlterShareGroupOffsets, 0, &request);
    let codes = answer.responses.iter().flat_map(|topic| &topic.partitions);
    (answer.error_code, codes.map(|partition| partition.error_code).collect())
}

/// Codes of the whole, and of `t` and a topic that is not there.
fn forget_starts(client: &mut Raw) -> (i16, Vec<i16>) {
    use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic as Topic;
    let topics = ["t", "none"].map(|name| Topic::default().with_topic_name(TopicName(text(name))));
    let request = DeleteShareGroupOffsetsRequest::default()
        .with_group_id(GroupId(text("queue")))
        .with_topics(topics.to_vec());
    let answer: DeleteShareGroupOffsetsResponse =
        client.ask(ApiKey::DeleteShareGroupOffsets, 0, &request);
    (answer.error_code, answer.responses.iter().map(|topic| topic.error_code).collect())
}

#[test]
fn a_group_without_members_can_be_sent_elsewhere_and_made_to_forget() {
    for mode in MODES {
        let (broker, topic) = broker(mode, "");
        produce(&broker, 10);
        let mut client = broker.client();
        // Who is not there is told of, beside the topic that is not there either.
        assert_eq!(
            set_starts(&mut client, &[(0, 3)]),
            (GROUP_ID_NOT_FOUND, vec![UNKNOWN_TOPIC_OR_PARTITION, GROUP_ID_NOT_FOUND])
        );
        assert_eq!(forget_starts(&mut client), (GROUP_ID_NOT_FOUND, vec![]));
        join(&mut client, "a");
        let mut member = Member::new(&broker, "a", topic);
        assert_eq!(member.take(100), [(0, 9, 1)]);
        assert_eq!(member.say(&[(0, 4, ACCEPT), (7, 7, ACCEPT)]), 0);
        assert_eq!(
            set_starts(&mut client, &[(0, 3)]),
            (NON_EMPTY_GROUP, vec![UNKNOWN_TOPIC_OR_PARTITION, NON_EMPTY_GROUP])
        );
        assert_eq!(forget_starts(&mut client), (NON_EMPTY_GROUP, vec![]));
        assert_eq!(heartbeat(&mut client, "a", -1, &[]).error_code, 0);
        let unknown = UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(
            set_starts(&mut client, &[(0, 3), (5, 3)]),
            (0, vec![unknown, unknown, 0, unknown])
        );
        // What it had begun with the member that is gone ended with that.
        assert_eq!(Member::new(&broker, "b", topic).take(100), [(3, 9, 1)]);
        assert_eq!(set_starts(&mut client, &[(0, 6)]).0, 0);
        drop(member);
        let broker = broker.crash_and_restart_in_place();
        let mut client = broker.client();
        support::eventually("the coordinator is there", || forget_starts(&mut client).0 == 0);
        let mut member = Member::new(&broker, "c", topic);
        assert_eq!(member.take(100), [(0, 9, 1)], "from the start again, in {mode}");
        assert_eq!(member.say(&[(0, 9, ACCEPT)]), 0);
        drop(member);
        assert_eq!(set_starts(&mut client, &[(0, -1)]).0, 0);
        assert_eq!(Member::new(&broker, "d", topic).take(100), [(0, 9, 1)]);
        assert_eq!(set_starts(&mut client, &[(0, 8)]).0, 0);
        let broker = broker.crash_and_restart();
        let mut member = Member::new(&broker, "e", topic);
        support::eventually("it begins where it was sent, after a crash", || {
            let fetched = member.fetch(500, 0, &[]);
            fetched.error_code == 0 && parts(&fetched) == [(8, 9, 1)]
        });
    }
}
