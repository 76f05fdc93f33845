//! Offsets that nobody needs any more: forgotten after their time, or on demand, beside a group at work.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use support::{Broker, Setup};

const TIMEOUT: Duration = Duration::from_secs(20);
const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn consumer(broker: &Broker, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer")
}

/// A broker with the topics `read` and `left`, and a few records in the former.
fn start(more: &str) -> Broker {
    let extra = format!(
        "\"group.initial.rebalance.delay.ms\" = 0\n\"offsets.topic.num.partitions\" = 1\n{more}"
    );
    let broker = Broker::start(Setup { extra, ..Setup::new("single") });
    for topic in ["read", "left"] {
        broker.run(&["topic", "create", topic], b"");
    }
    broker.run(&["produce", "read"], b"0\n1\n2\n");
    broker
}

/// A member of `g` that reads one of the topics and has committed offsets of both.
fn member(broker: &Broker) -> BaseConsumer {
    let member = consumer(broker, "g");
    member.subscribe(&["read"]).expect("subscribes");
    support::eventually("it reads", || {
        matches!(member.poll(Duration::from_millis(20)), Some(Ok(_)))
    });
    commit(&member, &["read", "left"]);
    member
}

fn commit(consumer: &BaseConsumer, topics: &[&str]) {
    let mut offsets = TopicPartitionList::new();
    for topic in topics {
        offsets.add_partition_offset(topic, 0, Offset::Offset(1)).expect("fits");
    }
    consumer.commit(&offsets, CommitMode::Sync).expect("commits");
}

fn committed(broker: &Broker, group: &str, topic: &str) -> Offset {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let found = consumer(broker, group).committed_offsets(asked, TIMEOUT).expect("answers");
    found.elements()[0].offset()
}

/// How many keys of the offsets topic have a value that no tombstone follows.
fn keys_with_values(broker: &Broker) -> usize {
    let reader = consumer(broker, "reader");
    let mut all = TopicPartitionList::new();
    all.add_partition_offset("__consumer_offsets", 0, Offset::Beginning).expect("fits");
    reader.assign(&all).expect("assigns");
    let (_, end) = reader.fetch_watermarks("__consumer_offsets", 0, TIMEOUT).expect("answers");
    let mut last = BTreeMap::new();
    loop {
        let record = reader.poll(TIMEOUT).expect("a record").expect("no error");
        last.insert(record.key().expect("a key").to_vec(), record.payload().is_some());
        if record.offset() + 1 == end {
            return last.into_values().filter(|has_value| *has_value).count();
        }
    }
}

#[test]
fn offsets_have_their_time_unless_members_read_their_topic() {
    let at_once = "\"offsets.retention.minutes\" = 0
\"offsets.retention.check.interval.ms\" = 100";
    let broker = start(at_once);
    let member = member(&broker);
    commit(&consumer(&broker, "simple"), &["left"]);
    let is_gone = |group, topic| committed(&broker, group, topic) == Offset::Invalid;
    support::eventually("nobody reads it", || is_gone("g", "left") && is_gone("simple", "left"));
    assert_eq!(committed(&broker, "g", "read"), Offset::Offset(1));
    drop(member);
    support::eventually("nobody is in it", || {
        is_gone("g", "read") && broker.run(&["group", "list", "--json"], b"") == b"[]\n"
    });
    assert_eq!(keys_with_values(&broker), 0);
}

#[test]
fn offsets_are_kept_for_their_time() {
    let broker = start("\"offsets.retention.check.interval.ms\" = 50");
    let member = member(&broker);
    drop(member);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(committed(&broker, "g", "left"), Offset::Offset(1));
    assert_eq!(keys_with_values(&broker), 3, "two offsets, and that the group is empty");
}

#[test]
fn offsets_of_topics_that_nobody_reads_are_deleted_beside_members() {
    let broker = start("");
    let _member = member(&broker);
    let topic = |name| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(text(name)));
        topic.with_partitions(vec![partition])
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_topics(vec![topic("read"), topic("left")]);
    let answer: OffsetDeleteResponse = broker.client().ask(ApiKey::OffsetDelete, 0, &request);
    let codes: Vec<i16> = answer.topics.iter().map(|t| t.partitions[0].error_code).collect();
    assert_eq!((answer.error_code, codes), (0, vec![GROUP_SUBSCRIBED_TO_TOPIC, 0]));
    assert_eq!(committed(&broker, "g", "read"), Offset::Offset(1));
    assert_eq!(committed(&broker, "g", "left"), Offset::Invalid);
}
