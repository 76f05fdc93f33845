//! Answers that `scripts/parity` found to be other than Apache Kafka's: each as Kafka gives it.

mod support;

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, StrBytes};
use support::{Broker, Raw, Setup};
use uuid::Uuid;

const INVALID_REQUEST: i16 = 42;
const UNSUPPORTED_VERSION: i16 = 35;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn ask_metadata(client: &mut Raw, version: i16, topic: MetadataRequestTopic) -> MetadataResponse {
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false)
        .with_include_topic_authorized_operations(true);
    client.ask(ApiKey::Metadata, version, &request)
}

#[test]
fn the_page_of_differences_is_what_its_table_says() {
    let python = |args: &[&str]| {
        let mut python = std::process::Command::new("python3");
        python.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output()
    };
    // Python 3.11 reads TOML by itself.
    if python(&["-c", "import tomllib"]).is_ok_and(|done| done.status.success()) {
        let checked = python(&["scripts/parity", "docs", "--check"]).expect("runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn what_is_wrong_with_api_versions_is_answered_without_the_table() {
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    let nameless = ApiVersionsRequest::default();
    let refused: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &nameless);
    assert_eq!((refused.error_code, refused.api_keys.len()), (INVALID_REQUEST, 0));
    assert!(refused.supported_features.is_empty() && refused.finalized_features.is_empty());

    let mut frame = BytesMut::new();
    frame.put_slice(&[0, 0, 0, 12, 0, 18, 0, 77, 0, 0, 0, 9, 0, 0, 0, 0]);
    client.stream.write_all(&frame).expect("sends");
    let (_, mut body) = client.receive().expect("an answer");
    let told = ApiVersionsResponse::decode(&mut body, 0).expect("version 0");
    let itself: Vec<i16> = told.api_keys.iter().map(|api| api.api_key).collect();
    assert_eq!((told.error_code, itself), (UNSUPPORTED_VERSION, vec![ApiKey::ApiVersions as i16]));
}

#[test]
fn allowed_operations_are_told_to_those_who_ask() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let ours = MetadataRequestTopic::default().with_name(Some(name("ours")));
    let metadata = ask_metadata(&mut client, 12, ours);
    assert_eq!(metadata.topics[0].topic_authorized_operations, 3576);
    let asked = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let cluster: DescribeClusterResponse = client.ask(ApiKey::DescribeCluster, 0, &asked);
    assert_eq!(cluster.cluster_authorized_operations, 8096);
    let asked = DescribeGroupsRequest::default()
        .with_groups(vec![group("nobody")])
        .with_include_authorized_operations(true);
    let groups: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 5, &asked);
    assert_eq!(groups.groups[0].authorized_operations, 3400);
    let groups: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 6, &asked);
    let told = groups.groups[0].error_message.as_ref().expect("a reason");
    assert_eq!((groups.groups[0].error_code, &**told), (69, "Group nobody not found."));
}

#[test]
fn a_topic_with_a_name_and_an_id_is_found_by_its_id() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let both = MetadataRequestTopic::default()
        .with_name(Some(name("ours")))
        .with_topic_id(Uuid::from_u128(7));
    let metadata = ask_metadata(&mut client, 12, both.clone());
    assert_eq!((metadata.topics[0].error_code, metadata.topics[0].name.clone()), (100, None));
    // Clients of these versions have ids in their requests that they may not use yet.
    let metadata = ask_metadata(&mut client, 10, both);
    assert_eq!(metadata.topics[0].error_code, INVALID_REQUEST);
    assert!(metadata.brokers.is_empty());
}

#[test]
fn endpoints_and_coordinators_of_another_kind_are_refused() {
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    for (kind, code) in [(2, 114), (3, 115), (-1, 115)] {
        let asked = DescribeClusterRequest::default().with_endpoint_type(kind);
        let cluster: DescribeClusterResponse = client.ask(ApiKey::DescribeCluster, 1, &asked);
        assert_eq!((cluster.error_code, cluster.endpoint_type), (code, 1));
        assert!(cluster.error_message.is_some());
    }
    let share = |key: &str| {
        FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![text(key)])
    };
    for (key, code) in [("mine", 42), ("mine:AAAAAAAAAAAAAAAAAAAAAQ:x", 42)] {
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 6, &share(key));
        assert_eq!(found.coordinators[0].error_code, code, "{key}");
    }
    let key = "mine:AAAAAAAAAAAAAAAAAAAAAQ:0";
    let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 6, &share(key));
    assert_eq!(found.coordinators[0].error_code, 0);
}

#[test]
fn offsets_of_partitions_named_twice_or_by_names_of_later_versions_are_refused() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let mut codes = |version: i16, timestamp: i64, times: usize| {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(name("ours"))
            .with_partitions(vec![partition; times]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let found: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, version, &request);
        found.topics[0].partitions.iter().map(|p| p.error_code).collect::<Vec<_>>()
    };
    assert_eq!(codes(7, -1, 2), [INVALID_REQUEST; 2]);
    for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9)] {
        assert_eq!(codes(since - 1, timestamp, 1), [UNSUPPORTED_VERSION]);
        assert_eq!(codes(since, timestamp, 1), [0]);
    }
}

#[test]
fn records_that_were_deleted_are_not_found_by_time() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    for line in ["first", "second", "third"] {
        broker.run(&["produce", "ours"], line.as_bytes());
    }
    let mut client = broker.client();
    let mut at_time = |time: i64| {
        let partition = ListOffsetsPartition::default().with_timestamp(time);
        let topic =
            ListOffsetsTopic::default().with_name(name("ours")).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let found: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 7, &request);
        (found.topics[0].partitions[0].offset, found.topics[0].partitions[0].timestamp)
    };
    let first = at_time(0);
    let (_, last_time) = at_time(-3);
    let third = (2, at_time(last_time).1);
    let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(2);
    let topic = delete_records_request::DeleteRecordsTopic::default()
        .with_name(name("ours"))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5000);
    let mut other = broker.client();
    let _: DeleteRecordsResponse = other.ask(ApiKey::DeleteRecords, 2, &request);
    assert_eq!(first.0, 0);
    assert_eq!(at_time(0), third, "its own time, not that of a deleted one");
}

#[test]
fn members_name_their_group_and_its_protocol() {
    const INVALID_GROUP_ID: i16 = 24;
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    let heard: HeartbeatResponse = client.ask(ApiKey::Heartbeat, 4, &HeartbeatRequest::default());
    assert_eq!(heard.error_code, INVALID_GROUP_ID);
    let left: LeaveGroupResponse = client.ask(ApiKey::LeaveGroup, 5, &LeaveGroupRequest::default());
    assert_eq!(left.error_code, INVALID_GROUP_ID);
    let synced: SyncGroupResponse = client.ask(ApiKey::SyncGroup, 4, &SyncGroupRequest::default());
    assert_eq!(synced.error_code, INVALID_GROUP_ID);
    let silent = SyncGroupRequest::default().with_group_id(group("mine")).with_generation_id(1);
    let synced: SyncGroupResponse = client.ask(ApiKey::SyncGroup, 5, &silent);
    assert_eq!(synced.error_code, 23);
}

#[test]
fn producers_of_topics_that_cannot_be_are_not_looked_for() {
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    for (topic, code) in [("no/topic", 17), ("nowhere", 3)] {
        let asked = describe_producers_request::TopicRequest::default()
            .with_name(name(topic))
            .with_partition_indexes(vec![0]);
        let request = DescribeProducersRequest::default().with_topics(vec![asked]);
        let found: DescribeProducersResponse = client.ask(ApiKey::DescribeProducers, 0, &request);
        let partition = &found.topics[0].partitions[0];
        assert_eq!(partition.error_code, code, "{topic}");
        assert!(partition.error_message.is_some());
    }
}

#[test]
fn transactions_of_clients_do_not_reach_the_brokers_own_topics() {
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    let mine = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("mine")]);
    let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &mine);
    let offsets = AddPartitionsToTxnTopic::default()
        .with_name(name("__consumer_offsets"))
        .with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(TransactionalId(text("tx")))
        .with_v3_and_below_topics(vec![offsets]);
    let added: AddPartitionsToTxnResponse = client.ask(ApiKey::AddPartitionsToTxn, 3, &request);
    let of_topic = &added.results_by_topic_v3_and_below[0];
    assert_eq!(of_topic.results_by_partition[0].partition_error_code, 29);
}

#[test]
fn batches_of_a_version_that_does_not_exist_are_corrupt_and_those_cut_off_are_none() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    for (magic, length, code) in [(1, 0, 87), (3, 0, 2), (2, 100, 87)] {
        let mut batch = vec![0; 80];
        batch[11] = length;
        batch[16] = magic;
        let partition =
            produce_request::PartitionProduceData::default().with_records(Some(Bytes::from(batch)));
        let topic = produce_request::TopicProduceData::default()
            .with_name(name("ours"))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let produced: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
        assert_eq!(produced.responses[0].partition_responses[0].error_code, code);
    }
}

const TIMED_OUT: i16 = 7;

#[test]
fn fetches_that_cannot_be_meant_are_refused_by_kafkas_codes() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    broker.run(&["produce", "ours"], b"one");
    let mut client = broker.client();
    let mut fetch = |isolation: i8, replica: i32, max_bytes: i32, whole: i32| {
        let partition =
            fetch_request::FetchPartition::default().with_partition_max_bytes(max_bytes);
        let topic = fetch_request::FetchTopic::default()
            .with_topic(name("ours"))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(replica))
            .with_isolation_level(isolation)
            .with_max_bytes(whole)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let fetched: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
        (fetched.error_code, fetched.responses[0].partitions[0].error_code)
    };
    assert_eq!(fetch(0, -1, 1000, 1000), (0, 0));
    assert_eq!(fetch(2, -1, 1000, 1000), (-1, -1), "there is no such isolation level");
    assert_eq!(fetch(0, 1, 1000, 1000), (0, 6), "nobody follows");
    assert_eq!(fetch(0, -1, -1, 1000), (0, -1), "less than nothing");
    assert_eq!(fetch(0, -1, 1000, -1), (0, -1), "less than nothing");
}

#[test]
fn negative_leader_epochs_are_older_than_any() {
    const FENCED: i16 = 74;
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let mut list = |epoch: i32, isolation: i8| {
        let partition =
            ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(epoch);
        let topic =
            ListOffsetsTopic::default().with_name(name("ours")).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_topics(vec![topic]).with_isolation_level(isolation);
        let found: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 7, &request);
        found.topics[0].partitions[0].error_code
    };
    assert_eq!((list(-1, 0), list(-2, 0), list(-1, 2)), (0, FENCED, -1));
    let mut end_of = |current: i32, asked: i32| {
        let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current)
            .with_leader_epoch(asked);
        let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
            .with_topic(name("ours"))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-2))
            .with_topics(vec![topic]);
        let found: OffsetForLeaderEpochResponse =
            client.ask(ApiKey::OffsetForLeaderEpoch, 4, &request);
        let found = &found.topics[0].partitions[0];
        (found.error_code, found.leader_epoch, found.end_offset)
    };
    assert_eq!(end_of(-1, -1), (0, -1, -1));
    assert_eq!(end_of(-1, -2), (0, -2, 0), "what is older than the log ends where the log begins");
    assert_eq!(end_of(-2, 0), (FENCED, -1, -1));
}

#[test]
fn requests_without_time_have_timed_out_and_do_nothing() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(name("late"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(0);
    let made: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 5, &request);
    assert_eq!(made.topics[0].error_code, TIMED_OUT);
    broker.run(&["topic", "create", "other"], b"");
    let listed = broker.run(&["topic", "list"], b"");
    assert!(!String::from_utf8_lossy(&listed).contains("late"));

    let topic = elect_leaders_request::TopicPartitions::default()
        .with_topic(name("ours"))
        .with_partitions(vec![0]);
    let request =
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic])).with_timeout_ms(0);
    let elected: ElectLeadersResponse = client.ask(ApiKey::ElectLeaders, 2, &request);
    let of_partition = elected.replica_election_results[0].partition_result[0].error_code;
    assert_eq!((elected.error_code, of_partition), (TIMED_OUT, TIMED_OUT));

    let elected: ElectLeadersResponse = client.ask(ApiKey::ElectLeaders, 0, &request);
    assert_eq!(elected.replica_election_results[0].partition_result[0].error_code, TIMED_OUT);

    let request = AlterPartitionReassignmentsRequest::default().with_timeout_ms(0);
    let moved: AlterPartitionReassignmentsResponse =
        client.ask(ApiKey::AlterPartitionReassignments, 0, &request);
    assert_eq!(moved.error_code, TIMED_OUT);
}

#[test]
fn the_offsets_of_a_group_without_a_name_can_be_deleted() {
    let broker = Broker::start(Setup::new("single"));
    broker.run(&["topic", "create", "ours"], b"");
    let mut client = broker.client();
    let mine = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("mine")]);
    let _: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &mine);
    let partition = offset_commit_request::OffsetCommitRequestPartition::default();
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(name("ours"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let committed: OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 8, &request);
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group("")]);
    for code in [0, 69] {
        let deleted: DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, &request);
        assert_eq!(deleted.results[0].error_code, code);
    }
}

#[test]
fn topics_that_are_named_wrongly_are_echoed_as_they_were_named() {
    let broker = Broker::start(Setup::new("single"));
    let mut client = broker.client();
    let id = Uuid::from_u128(7);
    let both = delete_topics_request::DeleteTopicState::default()
        .with_name(Some(name("ours")))
        .with_topic_id(id);
    let neither = delete_topics_request::DeleteTopicState::default().with_name(None);
    let request =
        DeleteTopicsRequest::default().with_topics(vec![both, neither]).with_timeout_ms(5000);
    let deleted: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request);
    let told: Vec<_> =
        deleted.responses.iter().map(|r| (r.name.clone(), r.topic_id, r.error_code)).collect();
    let expected =
        [(Some(name("ours")), id, INVALID_REQUEST), (None, Uuid::nil(), INVALID_REQUEST)];
    assert_eq!(told, expected);

    let topic = alter_replica_log_dirs_request::AlterReplicaLogDirTopic::default()
        .with_name(name(&"x".repeat(214)))
        .with_partitions(vec![0]);
    let dir = alter_replica_log_dirs_request::AlterReplicaLogDir::default()
        .with_path(text("/nowhere"))
        .with_topics(vec![topic]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
    let moved: AlterReplicaLogDirsResponse = client.ask(ApiKey::AlterReplicaLogDirs, 2, &request);
    assert_eq!(moved.results[0].partitions[0].error_code, 17, "its directory could have no name");
}
