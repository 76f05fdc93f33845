//! Requests that look after topics, asked byte by byte: what is done, and what is refused and how.

mod support;

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, StrBytes};
use support::{Broker, Raw, Setup};

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_string())
}

fn name(of: &str) -> TopicName {
    TopicName(text(of))
}

fn broker() -> Broker {
    Broker::start(Setup::new("single"))
}

fn topic(of: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(of))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

/// Names and codes of the answers, sorted.
fn create(client: &mut Raw, topics: Vec<CreatableTopic>, validate: bool) -> Vec<(String, i16)> {
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_validate_only(validate)
        .with_timeout_ms(60_000);
    let response: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    let mut out: Vec<_> =
        response.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect();
    out.sort();
    out
}

fn code_of(client: &mut Raw, topic: CreatableTopic) -> i16 {
    let codes = create(client, vec![topic], false);
    assert_eq!(codes.len(), 1);
    codes[0].1
}

fn topics_of(client: &mut Raw) -> Vec<(String, usize)> {
    let request = MetadataRequest::default().with_topics(None);
    let response: MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
    let topics = response.topics.iter();
    topics.map(|t| (t.name.as_ref().expect("a name").to_string(), t.partitions.len())).collect()
}

#[test]
fn topics_that_cannot_be_are_refused_by_kafkas_codes_and_the_others_are_made() {
    let broker = broker();
    let mut client = broker.client();
    assert_eq!(code_of(&mut client, topic("a.b", 1)), 0);
    let assigned = |partitions: &[(i32, &[i32])]| {
        let assignment = |(partition, brokers): &(i32, &[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*partition)
                .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
        };
        topic("x", -1).with_assignments(partitions.iter().map(assignment).collect())
    };
    let config = |key: &str, value: Option<&str>| {
        let config =
            CreatableTopicConfig::default().with_name(text(key)).with_value(value.map(text));
        topic("x", 1).with_configs(vec![config])
    };
    let cases = [
        ("there already", topic("a.b", 1), 36),
        ("collides", topic("a_b", 1), 17),
        ("two dots", topic("..", 1), 17),
        ("a dot", topic(".", 1), 17),
        ("no name", topic("", 1), 17),
        ("a path", topic("../x", 1), 17),
        ("too long", topic(&"x".repeat(250), 1), 17),
        ("Kafka's own", topic("__cluster_metadata", 1), 42),
        ("no partitions", topic("x", 0), 37),
        ("fewer than none", topic("x", -2), 37),
        ("too many", topic("x", 100_000), 44),
        ("no replicas", topic("x", 1).with_replication_factor(0), 38),
        ("more replicas than brokers", topic("x", 1).with_replication_factor(3), 38),
        ("unknown setting", config("nonsense", Some("1")), 40),
        ("setting of another type", config("retention.ms", Some("long")), 40),
        ("setting out of range", config("segment.bytes", Some("1")), 40),
        ("setting without value", config("retention.ms", None), 40),
        ("count beside an assignment", assigned(&[(0, &[1])]).with_num_partitions(1), 42),
        ("a broker that is not there", assigned(&[(0, &[9])]), 39),
        ("a gap", assigned(&[(0, &[1]), (2, &[1])]), 39),
        ("twice", assigned(&[(0, &[1]), (0, &[1])]), 39),
        ("no replica", assigned(&[(0, &[])]), 39),
    ];
    for (what, topic, code) in cases {
        assert_eq!(code_of(&mut client, topic), code, "{what}");
    }
    assert_eq!(topics_of(&mut client), [("a.b".to_string(), 1)], "nothing of it is there");
    let mixed = vec![topic("good", 2), topic("..", 1), topic("twice", 1), topic("twice", 2)];
    let expected = [("..", 17), ("good", 0), ("twice", 42)].map(|(n, c)| (n.to_string(), c));
    assert_eq!(create(&mut client, mixed.clone(), true), expected, "validated");
    assert_eq!(topics_of(&mut client).len(), 1);
    assert_eq!(create(&mut client, mixed, false), expected);
    assert_eq!(code_of(&mut client, assigned(&[(1, &[1]), (0, &[1])])), 0);
    let there = topics_of(&mut client);
    assert_eq!(there.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2, 2], "{there:?}");
}

#[test]
fn a_request_for_too_many_partitions_makes_none_and_harms_nobody() {
    let broker = broker();
    let mut client = broker.client();
    let flood: Vec<_> = (0..1_000).map(|n| topic(&format!("t{n}"), 100)).collect();
    let codes = create(&mut client, flood, false);
    assert_eq!(codes.len(), 1_000);
    assert!(codes.iter().all(|(_, code)| *code == 44), "POLICY_VIOLATION for all");
    assert_eq!(code_of(&mut client, topic("t", 1)), 0);
    let more = |of: &str, count| {
        create_partitions_request::CreatePartitionsTopic::default()
            .with_name(name(of))
            .with_count(count)
            .with_assignments(None)
    };
    let mut add = |topics| {
        let request =
            CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(60_000);
        let response: CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &request);
        response.results.iter().map(|result| result.error_code).collect::<Vec<_>>()
    };
    assert_eq!(add(vec![more("t", i32::MAX)]), [44]);
    assert_eq!(add(vec![more("t", 100_000)]), [44]);
    assert_eq!(add(vec![more("t", 1)]), [37], "it has as many");
    assert_eq!(add(vec![more("t", 0)]), [37], "fewer");
    assert_eq!(add(vec![more("none", 2)]), [3]);
    assert_eq!(add(vec![more("t", 2), more("t", 3)]), [42], "named twice");
    assert_eq!(topics_of(&mut client), [("t".to_string(), 1)]);
}

#[test]
fn topics_are_deleted_by_name_or_id_and_internal_ones_are_not() {
    let broker = broker();
    let mut client = broker.client();
    create(&mut client, vec![topic("a", 1), topic("b", 1), topic("c", 1)], false);
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &find);
    let request = MetadataRequest::default().with_topics(None);
    let metadata: MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
    let id = |of: &str| {
        let found = metadata.topics.iter().find(|topic| topic.name == Some(name(of)));
        found.expect("is there").topic_id
    };
    let by_name = |of: &str| DeleteTopicState::default().with_name(Some(name(of)));
    let by_id = |of: &str| DeleteTopicState::default().with_name(None).with_topic_id(id(of));
    let unknown = uuid::Uuid::from_u128(77);
    let asked = vec![
        by_name("a"),
        by_id("b"),
        by_name("none"),
        DeleteTopicState::default().with_name(None).with_topic_id(unknown),
        by_name("c").with_topic_id(id("c")),
        DeleteTopicState::default().with_name(None),
        by_name("__consumer_offsets"),
        by_id("__consumer_offsets"),
    ];
    let request = DeleteTopicsRequest::default().with_topics(asked).with_timeout_ms(60_000);
    let response: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request);
    let mut codes: Vec<i16> = response.responses.iter().map(|r| r.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 0, 3, 17, 17, 42, 42, 100]);
    let left: Vec<_> = topics_of(&mut client).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["__consumer_offsets", "c"]);
}

#[test]
fn internal_topics_keep_their_partitions() {
    let broker = broker();
    let mut client = broker.client();
    create(&mut client, vec![topic("__consumer_offsets", 1), topic("t", 1)], false);
    let more = |of: &str| {
        create_partitions_request::CreatePartitionsTopic::default()
            .with_name(name(of))
            .with_count(2)
            .with_assignments(None)
    };
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![more("__consumer_offsets"), more("t")])
        .with_timeout_ms(60_000);
    let response: CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &request);
    let code = |of: &str| {
        let found = response.results.iter().find(|result| result.name == name(of));
        found.expect("is answered").error_code
    };
    assert_eq!((code("__consumer_offsets"), code("t")), (17, 0));
    let there = topics_of(&mut client);
    assert_eq!(there, [("__consumer_offsets".to_string(), 1), ("t".to_string(), 2)]);
}

#[test]
fn records_of_internal_and_compacted_topics_are_not_deleted() {
    let broker = broker();
    let mut client = broker.client();
    let compacted = CreatableTopicConfig::default()
        .with_name(text("cleanup.policy"))
        .with_value(Some(text("compact")));
    let compacted = topic("compacted", 1).with_configs(vec![compacted]);
    create(&mut client, vec![topic("t", 1), compacted], false);
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &find);
    use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let mut delete = |of: &str, partition, offset| {
        let partition =
            DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let topic =
            DeleteRecordsTopic::default().with_name(name(of)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let request = request.with_timeout_ms(10_000);
        let response: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &request);
        response.topics[0].partitions[0].error_code
    };
    assert_eq!(delete("t", 0, -1), 0);
    assert_eq!(delete("t", 0, -2), 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(delete("t", 0, 1), 1);
    assert_eq!(delete("t", 1, 0), 3);
    assert_eq!(delete("none", 0, 0), 3);
    assert_eq!(delete("compacted", 0, 0), 44);
    assert_eq!(delete("__consumer_offsets", 0, 0), 17);
}

const TIMED_OUT: i16 = 7;

#[test]
fn a_request_without_time_is_told_so_and_nothing_of_it_is_done() {
    let broker = broker();
    let mut client = broker.client();
    assert_eq!(code_of(&mut client, topic("there", 1)), 0);
    for timeout_ms in [0, -1, i32::MIN] {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic("new", 1), topic("a/b", 1)])
            .with_timeout_ms(timeout_ms);
        let response: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
        assert!(response.topics.iter().all(|topic| topic.error_code == TIMED_OUT));
        assert_eq!(response.topics.len(), 2);

        let more = create_partitions_request::CreatePartitionsTopic::default()
            .with_name(name("there"))
            .with_count(2)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(timeout_ms);
        let response: CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &request);
        assert_eq!(response.results[0].error_code, TIMED_OUT);

        let there = DeleteTopicState::default().with_name(Some(name("there")));
        let request =
            DeleteTopicsRequest::default().with_topics(vec![there]).with_timeout_ms(timeout_ms);
        let response: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request);
        assert_eq!(response.responses[0].error_code, TIMED_OUT);
    }
    // Whatever was still under way would be done before this.
    assert_eq!(code_of(&mut client, topic("last", 1)), 0);
    let there = topics_of(&mut client);
    assert_eq!(there, [("last".to_string(), 1), ("there".to_string(), 1)]);
}

#[test]
fn what_timed_out_was_not_done_and_what_was_done_did_not_time_out() {
    let broker = broker();
    let mut clients: Vec<Raw> = (0..6).map(|_| broker.client()).collect();
    let mut created = Vec::new();
    for round in 0..5 {
        for (at, client) in clients.iter_mut().enumerate() {
            let topics = (0..10).map(|n| topic(&format!("t-{round}-{at}-{n}"), 4)).collect();
            let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(2);
            client.send(ApiKey::CreateTopics, 7, &request);
        }
        for client in &mut clients {
            let (_, mut body) = client.receive().expect("an answer");
            body = body.slice(1..);
            let response = CreateTopicsResponse::decode(&mut body, 7).expect("decodes");
            for topic in response.topics {
                match topic.error_code {
                    0 => created.push(topic.name.to_string()),
                    code => assert_eq!(code, TIMED_OUT),
                }
            }
        }
    }
    assert_eq!(code_of(&mut clients[0], topic("last", 1)), 0);
    created.push("last".to_string());
    created.sort();
    let there: Vec<_> = topics_of(&mut clients[0]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(there, created);
}
