//! What consumer groups commit is there for whoever asks, also after a crash, and after a Kafka was
//! taken over.

mod support;

use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use support::{Broker, Setup, MODES};

const TIMEOUT: Duration = Duration::from_secs(20);
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const INVALID_TOPIC: i16 = 17;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// A librdkafka consumer that is no member of its group.
fn consumer(broker: &Broker, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer")
}

fn committed(broker: &Broker, group: &str, partitions: i32) -> Vec<Offset> {
    let mut asked = TopicPartitionList::new();
    for index in 0..partitions {
        asked.add_partition("t", index);
    }
    let found = consumer(broker, group).committed_offsets(asked, TIMEOUT).expect("answers");
    found.elements().iter().map(|element| element.offset()).collect()
}

#[test]
fn what_is_committed_is_there_after_a_crash() {
    for mode in MODES {
        let extra = "\"offsets.topic.num.partitions\" = 5".to_string();
        let broker = Broker::start(Setup { extra, shards: 2, ..Setup::new(mode) });
        broker.run(&["topic", "create", "t", "--partitions", "3"], b"");
        for round in 0..3 {
            for group in 0..8i64 {
                let mut offsets = TopicPartitionList::new();
                for index in 0..2 {
                    let offset = Offset::Offset(100 * round + 10 * group + i64::from(index));
                    offsets.add_partition_offset("t", index, offset).expect("fits");
                }
                let consumer = consumer(&broker, &format!("g{group}"));
                consumer.commit(&offsets, CommitMode::Sync).expect("commits");
            }
        }
        let broker = broker.crash_and_restart_in_place();
        // A list without an error is whole.
        if mode == "single" {
            let request = ListGroupsRequest::default();
            let listed: ListGroupsResponse = broker.client().ask(ApiKey::ListGroups, 4, &request);
            assert_eq!((listed.error_code, listed.groups.len()), (0, 8));
        }
        for group in 0..8i64 {
            let found = committed(&broker, &format!("g{group}"), 3);
            let offset = |index| Offset::Offset(200 + 10 * group + index);
            assert_eq!(found, [offset(0), offset(1), Offset::Invalid], "g{group} in {mode}");
        }
        assert_eq!(committed(&broker, "nobody", 1), [Offset::Invalid]);
    }
}

#[test]
fn a_topic_that_is_made_again_has_no_offsets() {
    let broker = Broker::start(Setup { shards: 2, ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    find_coordinator(&broker);
    assert_eq!(commit(&broker, "t", "", -1), 0);
    assert_eq!(committed(&broker, "g", 1), [Offset::Offset(5)]);
    broker.run(&["topic", "delete", "t", "--yes"], b"");
    broker.run(&["topic", "create", "t"], b"");
    assert_eq!(committed(&broker, "g", 1), [Offset::Invalid]);
    let broker = broker.crash_and_restart();
    assert_eq!(committed(&broker, "g", 1), [Offset::Invalid]);
}

/// One partition's commit: Kafka's code.
fn commit(broker: &Broker, topic: &str, metadata: &str, generation: i32) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(5)
        .with_committed_metadata(Some(text(metadata)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    let answer: OffsetCommitResponse = broker.client().ask(ApiKey::OffsetCommit, 8, &request);
    answer.topics[0].partitions[0].error_code
}

fn find_coordinator(broker: &Broker) {
    let started = Instant::now();
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let answer: FindCoordinatorResponse = broker.client().ask(ApiKey::FindCoordinator, 4, &request);
    let found = &answer.coordinators[0];
    assert_eq!((found.error_code, found.node_id), (0, BrokerId(1)), "{:?}", started.elapsed());
}

#[test]
fn what_cannot_be_committed_is_refused_and_internal_topics_are_not_written_to() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    find_coordinator(&broker);
    assert_eq!(commit(&broker, "t", "", 3), ILLEGAL_GENERATION);
    assert_eq!(commit(&broker, "t", "why not", -1), 0);
    assert_eq!(commit(&broker, "t", &"x".repeat(4097), -1), OFFSET_METADATA_TOO_LARGE);
    assert_eq!(commit(&broker, "none", "", -1), UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(commit(&broker, "t", "", 3), UNKNOWN_MEMBER_ID);

    let batch = corelane_shards::log::batch::build::batch(&[b"raw"], 1_000, None);
    let partition = PartitionProduceData::default().with_records(Some(batch.into()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(text("__consumer_offsets")))
        .with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let answer: ProduceResponse = broker.client().ask(ApiKey::Produce, 9, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, INVALID_TOPIC);

    let metadata: MetadataResponse =
        broker.client().ask(ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
    let internal: Vec<bool> = metadata.topics.iter().map(|topic| topic.is_internal).collect();
    assert_eq!(internal, [true, false]);
}

#[test]
fn many_groups_are_asked_for_in_one_request_or_one_in_older_ones() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "t"], b"");
    find_coordinator(&broker);
    assert_eq!(commit(&broker, "t", "why not", -1), 0);
    let mut client = broker.client();
    let topics = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![0, 1]);
    let group = |name: &str, topics| {
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text(name))).with_topics(topics)
    };
    let groups = vec![group("g", Some(vec![topics])), group("g", None), group("other", None)];
    let request = OffsetFetchRequest::default().with_groups(groups);
    let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 8, &request);
    let found: Vec<Vec<(i64, &str)>> = answer
        .groups
        .iter()
        .map(|group| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            let metadata = |m: &'_ Option<StrBytes>| m.as_ref().map_or(0, |m| m.len());
            partitions
                .map(|p| (p.committed_offset, if metadata(&p.metadata) > 0 { "why" } else { "" }))
                .collect()
        })
        .collect();
    assert_eq!(found, [vec![(5, "why"), (-1, "")], vec![(5, "why")], vec![]]);

    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_topics(Some(vec![topic]));
        let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, version, &request);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.committed_offset), (0, 5), "{version}");
    }
}

fn delete_group(broker: &Broker, group: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
    let answer: DeleteGroupsResponse = broker.client().ask(ApiKey::DeleteGroups, 2, &request);
    answer.results[0].error_code
}

#[test]
fn groups_and_offsets_are_deleted_on_demand_unless_somebody_is_in() {
    let extra = "\"group.initial.rebalance.delay.ms\" = 0".to_string();
    let broker = Broker::start(Setup { extra, ..Setup::new("single") });
    broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
    find_coordinator(&broker);
    assert_eq!(commit(&broker, "t", "", -1), 0);
    assert_eq!(delete_group(&broker, "nobody"), GROUP_ID_NOT_FOUND);
    assert_eq!(delete_group(&broker, "g"), 0);
    assert_eq!(delete_group(&broker, "g"), GROUP_ID_NOT_FOUND);
    assert_eq!(committed(&broker, "g", 1), [Offset::Invalid]);

    assert_eq!(commit(&broker, "t", "", -1), 0);
    let partition = |index| {
        offset_delete_request::OffsetDeleteRequestPartition::default().with_partition_index(index)
    };
    let topic = offset_delete_request::OffsetDeleteRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition(0), partition(7)]);
    let request =
        OffsetDeleteRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic]);
    let answer: OffsetDeleteResponse = broker.client().ask(ApiKey::OffsetDelete, 0, &request);
    let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [0, UNKNOWN_TOPIC_OR_PARTITION]);
    let broker = broker.crash_and_restart();
    assert_eq!(committed(&broker, "g", 1), [Offset::Invalid]);

    let member = consumer(&broker, "g");
    member.subscribe(&["t"]).expect("subscribes");
    support::eventually("it is in", || {
        let _ = member.poll(Duration::from_millis(20));
        delete_group(&broker, "g") == NON_EMPTY_GROUP
    });
    let groups = member.fetch_group_list(Some("g"), TIMEOUT).expect("answers");
    assert_eq!(groups.groups()[0].name(), "g");
}
