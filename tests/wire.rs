//! What the broker answers, request by request: every API in every version, batches that must be
//! refused, idempotent producers, offsets, long polls and sessions.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use corelane::wire::apis::APIS;
use corelane_shards::log::batch::build::{self, batch, Producer};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup, MODES};

fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_string()))
}

fn create(client: &mut Raw, topic: &str, partitions: i32) -> i16 {
    let wanted = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
    let response: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 5, &request);
    response.topics[0].error_code
}

fn produce_request(topic: &str, partition: i32, records: &[u8], acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(Bytes::copy_from_slice(records)));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

/// Error code and base offset.
fn produce(client: &mut Raw, topic: &str, records: &[u8]) -> (i16, i64) {
    let request = produce_request(topic, 0, records, -1);
    let response: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

fn fetch_request(topic: &str, offset: i64, min_bytes: i32, wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(min_bytes)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn fetch(client: &mut Raw, topic: &str, offset: i64) -> PartitionData {
    let request = fetch_request(topic, offset, 0, 0);
    let response: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
    response.responses[0].partitions[0].clone()
}

fn offset_at(client: &mut Raw, topic: &str, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let response: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 7, &request);
    let found = &response.topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.offset, found.timestamp)
}

/// A broker with the topic `t` of one partition whose leader is the address of `client`.
fn broker_with_topic(mode: &'static str) -> (Broker, Raw) {
    let broker = Broker::start(Setup::new(mode));
    let mut client = broker.client();
    assert_eq!(create(&mut client, "t", 1), 0);
    (broker, client)
}

#[test]
fn every_api_answers_in_every_version_it_is_advertised_for() {
    let (_broker, mut client) = broker_with_topic("single");
    assert_eq!(produce(&mut client, "t", &batch(&[b"x"], 1_000, None)), (0, 0));
    let mut asked = 0;
    for api in APIS {
        for version in api.versions.clone() {
            asked += 1;
            macro_rules! ask {
                ($request:expr, $response:ty) => {{
                    let _: $response = client.ask(api.key, version, &$request);
                }};
            }
            match api.key {
                ApiKey::Metadata => {
                    let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
                    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
                    ask!(request, MetadataResponse);
                }
                ApiKey::ListOffsets => {
                    let partition =
                        ListOffsetsPartition::default().with_timestamp(-1).with_partition_index(0);
                    let topic = ListOffsetsTopic::default()
                        .with_name(name("t"))
                        .with_partitions(vec![partition]);
                    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
                    ask!(request, ListOffsetsResponse);
                }
                ApiKey::ApiVersions => {
                    let text = StrBytes::from_static_str("test");
                    let request = match version {
                        3.. => ApiVersionsRequest::default()
                            .with_client_software_name(text.clone())
                            .with_client_software_version(text),
                        _ => ApiVersionsRequest::default(),
                    };
                    ask!(request, ApiVersionsResponse);
                }
                ApiKey::CreateTopics => {
                    let topics = [format!("new-{version}"), "t".to_string(), "a/b".to_string()];
                    let topics = topics.map(|topic| {
                        CreatableTopic::default()
                            .with_name(name(&topic))
                            .with_num_partitions(1)
                            .with_replication_factor(1)
                    });
                    let request = CreateTopicsRequest::default().with_topics(topics.to_vec());
                    ask!(request.with_timeout_ms(10_000), CreateTopicsResponse);
                }
                ApiKey::DescribeConfigs => {
                    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
                    let resource = |kind, of: &'static str| {
                        DescribeConfigsResource::default()
                            .with_resource_type(kind)
                            .with_resource_name(StrBytes::from_static_str(of))
                            .with_configuration_keys(None)
                    };
                    let request = DescribeConfigsRequest::default()
                        .with_resources(vec![
                            resource(2, "t"),
                            resource(2, "none"),
                            resource(4, "1"),
                        ])
                        .with_include_synonyms(true);
                    ask!(request, DescribeConfigsResponse);
                }
                ApiKey::FindCoordinator => {
                    let key = StrBytes::from_static_str("g");
                    let request = match version {
                        4.. => FindCoordinatorRequest::default().with_coordinator_keys(vec![key]),
                        _ => FindCoordinatorRequest::default().with_key(key),
                    };
                    ask!(request, FindCoordinatorResponse);
                }
                ApiKey::Produce => {
                    let mut request = ProduceRequest::default().with_acks(-1);
                    if version < 13 {
                        request = produce_request("t", 0, &batch(&[b"x"], 1_000, None), -1);
                    }
                    ask!(request, ProduceResponse);
                }
                ApiKey::Fetch => match version {
                    13.. => ask!(FetchRequest::default(), FetchResponse),
                    7..=11 => ask!(fetch_request("t", 0, 0, 0), FetchResponse),
                    12 => ask!(fetch_request("t", 0, 0, 0), FetchResponse),
                    _ => ask!(fetch_request("t", 0, 0, 0), FetchResponse),
                },
                ApiKey::DeleteTopics => ask!(DeleteTopicsRequest::default(), DeleteTopicsResponse),
                ApiKey::DeleteRecords => {
                    ask!(DeleteRecordsRequest::default(), DeleteRecordsResponse);
                }
                ApiKey::InitProducerId => {
                    ask!(
                        InitProducerIdRequest::default().with_transactional_id(None),
                        InitProducerIdResponse
                    );
                }
                ApiKey::OffsetForLeaderEpoch => {
                    use kafka_protocol::messages::offset_for_leader_epoch_request as request;
                    let partition = request::OffsetForLeaderPartition::default();
                    let topic = request::OffsetForLeaderTopic::default()
                        .with_topic(name("t"))
                        .with_partitions(vec![partition]);
                    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
                    ask!(request, OffsetForLeaderEpochResponse);
                }
                ApiKey::AddPartitionsToTxn => {
                    ask!(AddPartitionsToTxnRequest::default(), AddPartitionsToTxnResponse);
                }
                ApiKey::AddOffsetsToTxn => {
                    ask!(AddOffsetsToTxnRequest::default(), AddOffsetsToTxnResponse);
                }
                ApiKey::EndTxn => ask!(EndTxnRequest::default(), EndTxnResponse),
                ApiKey::DescribeTransactions => {
                    ask!(DescribeTransactionsRequest::default(), DescribeTransactionsResponse);
                }
                ApiKey::ListTransactions => {
                    ask!(ListTransactionsRequest::default(), ListTransactionsResponse);
                }
                ApiKey::ListGroups => ask!(ListGroupsRequest::default(), ListGroupsResponse),
                ApiKey::DescribeGroups => {
                    ask!(DescribeGroupsRequest::default(), DescribeGroupsResponse);
                }
                ApiKey::DeleteGroups => ask!(DeleteGroupsRequest::default(), DeleteGroupsResponse),
                ApiKey::OffsetDelete => ask!(OffsetDeleteRequest::default(), OffsetDeleteResponse),
                ApiKey::AlterConfigs => ask!(AlterConfigsRequest::default(), AlterConfigsResponse),
                ApiKey::IncrementalAlterConfigs => {
                    ask!(IncrementalAlterConfigsRequest::default(), IncrementalAlterConfigsResponse)
                }
                ApiKey::ListConfigResources => {
                    ask!(ListConfigResourcesRequest::default(), ListConfigResourcesResponse)
                }
                ApiKey::WriteTxnMarkers => {
                    ask!(WriteTxnMarkersRequest::default(), WriteTxnMarkersResponse)
                }
                ApiKey::TxnOffsetCommit => {
                    ask!(TxnOffsetCommitRequest::default(), TxnOffsetCommitResponse)
                }
                ApiKey::DescribeProducers => {
                    ask!(DescribeProducersRequest::default(), DescribeProducersResponse)
                }
                ApiKey::JoinGroup => ask!(JoinGroupRequest::default(), JoinGroupResponse),
                ApiKey::SyncGroup => ask!(SyncGroupRequest::default(), SyncGroupResponse),
                ApiKey::Heartbeat => ask!(HeartbeatRequest::default(), HeartbeatResponse),
                ApiKey::LeaveGroup => ask!(LeaveGroupRequest::default(), LeaveGroupResponse),
                ApiKey::OffsetCommit => {
                    ask!(OffsetCommitRequest::default(), OffsetCommitResponse);
                }
                ApiKey::OffsetFetch => {
                    let request = OffsetFetchRequest::default();
                    let request =
                        if version < 2 { request.with_topics(Some(Vec::new())) } else { request };
                    ask!(request, OffsetFetchResponse);
                }
                ApiKey::AlterReplicaLogDirs => {
                    ask!(AlterReplicaLogDirsRequest::default(), AlterReplicaLogDirsResponse);
                }
                ApiKey::DescribeLogDirs => {
                    let request = DescribeLogDirsRequest::default().with_topics(None);
                    let response: DescribeLogDirsResponse = client.ask(api.key, version, &request);
                    let dir = &response.results[0];
                    let held = dir.topics.iter().find(|topic| topic.name == name("t"));
                    assert!(held.expect("is there").partitions[0].partition_size > 60);
                    assert!(version < 4 || dir.total_bytes >= dir.usable_bytes);
                    assert!(version < 4 || dir.usable_bytes > 0);
                }
                ApiKey::CreatePartitions => {
                    ask!(CreatePartitionsRequest::default(), CreatePartitionsResponse);
                }
                ApiKey::ConsumerGroupHeartbeat => {
                    ask!(ConsumerGroupHeartbeatRequest::default(), ConsumerGroupHeartbeatResponse)
                }
                ApiKey::ShareGroupHeartbeat => {
                    ask!(ShareGroupHeartbeatRequest::default(), ShareGroupHeartbeatResponse)
                }
                ApiKey::ShareGroupDescribe => {
                    ask!(ShareGroupDescribeRequest::default(), ShareGroupDescribeResponse)
                }
                ApiKey::DescribeShareGroupOffsets => ask!(
                    DescribeShareGroupOffsetsRequest::default(),
                    DescribeShareGroupOffsetsResponse
                ),
                ApiKey::AlterShareGroupOffsets => {
                    ask!(AlterShareGroupOffsetsRequest::default(), AlterShareGroupOffsetsResponse)
                }
                ApiKey::DeleteShareGroupOffsets => {
                    ask!(DeleteShareGroupOffsetsRequest::default(), DeleteShareGroupOffsetsResponse)
                }
                ApiKey::ShareFetch => ask!(ShareFetchRequest::default(), ShareFetchResponse),
                ApiKey::ShareAcknowledge => {
                    ask!(ShareAcknowledgeRequest::default(), ShareAcknowledgeResponse)
                }
                ApiKey::ConsumerGroupDescribe => {
                    ask!(ConsumerGroupDescribeRequest::default(), ConsumerGroupDescribeResponse);
                }
                ApiKey::DescribeCluster => {
                    ask!(DescribeClusterRequest::default(), DescribeClusterResponse);
                }
                ApiKey::ElectLeaders => ask!(ElectLeadersRequest::default(), ElectLeadersResponse),
                ApiKey::AlterPartitionReassignments => ask!(
                    AlterPartitionReassignmentsRequest::default(),
                    AlterPartitionReassignmentsResponse
                ),
                ApiKey::ListPartitionReassignments => ask!(
                    ListPartitionReassignmentsRequest::default(),
                    ListPartitionReassignmentsResponse
                ),
                ApiKey::DescribeTopicPartitions => {
                    ask!(DescribeTopicPartitionsRequest::default(), DescribeTopicPartitionsResponse)
                }
                ApiKey::UnregisterBroker => {
                    ask!(UnregisterBrokerRequest::default(), UnregisterBrokerResponse)
                }
                ApiKey::GetTelemetrySubscriptions => ask!(
                    GetTelemetrySubscriptionsRequest::default(),
                    GetTelemetrySubscriptionsResponse
                ),
                ApiKey::PushTelemetry => {
                    ask!(PushTelemetryRequest::default(), PushTelemetryResponse)
                }
                ApiKey::DescribeClientQuotas => {
                    ask!(DescribeClientQuotasRequest::default(), DescribeClientQuotasResponse)
                }
                ApiKey::AlterClientQuotas => {
                    ask!(AlterClientQuotasRequest::default(), AlterClientQuotasResponse)
                }
                ApiKey::DescribeUserScramCredentials => ask!(
                    DescribeUserScramCredentialsRequest::default(),
                    DescribeUserScramCredentialsResponse
                ),
                ApiKey::UpdateFeatures => {
                    ask!(UpdateFeaturesRequest::default(), UpdateFeaturesResponse)
                }
                other => panic!("{other:?} is served and not asked here"),
            }
        }
    }
    assert!(asked > 70, "{asked}");
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_with_those_there_are() {
    let (_broker, mut client) = broker_with_topic("single");
    let sent = client.send(ApiKey::ApiVersions, 4, &ApiVersionsRequest::default());
    let _ = sent;
    client.receive().expect("answers");
    // Version 99 cannot be encoded by a library: header only.
    use std::io::Write;
    let frame = [0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff];
    client.stream.write_all(&frame).expect("sends");
    let (id, mut body) = client.receive().expect("answers");
    use kafka_protocol::protocol::Decodable;
    let response = ApiVersionsResponse::decode(&mut body, 0).expect("in the oldest layout");
    assert_eq!((id, response.error_code), (7, 35));
    // Which versions there are of it, so that the client can ask again (KIP-511).
    let told: Vec<_> = response.api_keys.iter().map(|a| (a.api_key, a.max_version)).collect();
    assert_eq!(told, [(ApiKey::ApiVersions as i16, 4)]);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let all: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &request);
    let produce = all.api_keys.iter().find(|api| api.api_key == 0).expect("Produce");
    assert_eq!((produce.min_version, produce.max_version), (0, 13), "KAFKA-18659");
}

#[test]
fn each_kind_of_bad_batch_has_kafkas_code_and_the_connection_stays() {
    let (_broker, mut client) = broker_with_topic("single");
    let good = batch(&[b"one", b"two"], 1_000, None);
    let changed = |at: usize, value: u8, sealed: bool| {
        let mut bytes = good.clone();
        bytes[at] = value;
        if sealed {
            build::seal(&mut bytes);
        }
        bytes
    };
    let future = 32_503_680_000_000;
    let large = batch(&[&vec![0; 1_100_000]], 1_000, None);
    let cases: Vec<(&str, Vec<u8>, i16)> = vec![
        ("bad checksum", changed(70, 0xff, false), 2),
        ("longer than it is", changed(11, 0xff, true), 87),
        ("magic 1", changed(16, 1, true), 87),
        ("wrong count", changed(60, 9, true), 87),
        ("control records", changed(22, 0x20, true), 87),
        ("base offset", changed(7, 3, true), 87),
        ("two batches", [good.clone(), good.clone()].concat(), 87),
        ("no batch", Vec::new(), 87),
        ("a few bytes", vec![1, 2, 3], 87),
        ("too large", large, 10),
        ("from the future", batch(&[b"x"], future, None), 32),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(produce(&mut client, "t", &bytes), (code, -1), "{what}");
    }
    assert_eq!(produce(&mut client, "none-such", &good).0, 3);
    let request = produce_request("t", 7, &good, -1);
    let response: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 3, "unknown partition");
    let request = produce_request("t", 0, &good, 5);
    let response: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 21, "acks=5");
    assert_eq!(produce(&mut client, "t", &good), (0, 0), "nothing of it was appended");
}

#[test]
fn an_idempotent_producer_is_remembered_over_stop_and_crash() {
    let (broker, mut client) = broker_with_topic("single");
    let send = |client: &mut Raw, epoch, sequence| {
        let producer = Producer { id: 4_000, epoch, sequence };
        produce(client, "t", &batch(&[b"a", b"b"], 1_000, Some(producer)))
    };
    for n in 0..6 {
        assert_eq!(send(&mut client, 0, n * 2), (0, i64::from(n) * 2));
    }
    assert_eq!(send(&mut client, 0, 10), (0, 10), "a retry gets its first answer");
    assert_eq!(send(&mut client, 0, 4), (0, 4), "so does one of the last five");
    assert_eq!(send(&mut client, 0, 20), (45, -1), "a gap");
    let broker = broker.crash_and_restart();
    let mut client = broker.client();
    assert_eq!(send(&mut client, 0, 10), (0, 10));
    assert_eq!(send(&mut client, 0, 14), (45, -1));
    let broker = broker.restart_with(3);
    let mut client = broker.client();
    assert_eq!(send(&mut client, 0, 10), (0, 10));
    assert_eq!(send(&mut client, 0, 12), (0, 12));
    assert_eq!(send(&mut client, 1, 0), (0, 14), "a new epoch begins with 0");
    assert_eq!(send(&mut client, 0, 14), (47, -1), "the old one is fenced");
}

#[test]
fn offsets_are_found_by_end_time_and_largest_timestamp() {
    let (_broker, mut client) = broker_with_topic("single");
    assert_eq!(offset_at(&mut client, "t", -1), (0, -1));
    assert_eq!(offset_at(&mut client, "t", -3), (-1, -1), "an empty log has no largest");
    for time in [1_000, 3_000, 2_000] {
        produce(&mut client, "t", &batch(&[b"x", b"y"], time, None));
    }
    assert_eq!(offset_at(&mut client, "t", -2), (0, -1));
    assert_eq!(offset_at(&mut client, "t", -1), (6, -1));
    assert_eq!(offset_at(&mut client, "t", -3), (2, 3_000));
    assert_eq!(offset_at(&mut client, "t", 1_500), (2, 3_000));
    assert_eq!(offset_at(&mut client, "t", 3_001), (-1, -1));
}

#[test]
fn a_long_poll_is_answered_by_data_or_by_time() {
    for mode in MODES {
        let (broker, mut client) = broker_with_topic(mode);
        let mut reader = broker.client();
        let begun = Instant::now();
        let request = fetch_request("t", 0, 1, 300);
        let response: FetchResponse = reader.ask(ApiKey::Fetch, 12, &request);
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert!(response.responses[0].partitions[0].records.as_ref().is_none_or(Bytes::is_empty));
        let sent = reader.send(ApiKey::Fetch, 12, &fetch_request("t", 0, 1, 15_000));
        let begun = Instant::now();
        produce(&mut client, "t", &batch(&[b"news"], 1_000, None));
        let (id, body) = reader.receive().expect("answers");
        assert_eq!(id, sent);
        assert!(body.windows(4).any(|w| w == b"news"));
        assert!(begun.elapsed() < Duration::from_secs(10), "not only when the time was up");
    }
}

#[test]
fn a_fetch_outside_of_the_log_is_told_so_and_a_large_first_batch_is_sent() {
    let (_broker, mut client) = broker_with_topic("single");
    let large = batch(&[&[9; 500_000]], 1_000, None);
    produce(&mut client, "t", &large);
    assert_eq!(fetch(&mut client, "t", 5).error_code, 1);
    assert_eq!(fetch(&mut client, "none-such", 0).error_code, 3);
    let mut request = fetch_request("t", 0, 0, 0);
    request.max_bytes = 10;
    request.topics[0].partitions[0].partition_max_bytes = 10;
    let response: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.records.as_ref().map(Bytes::len), Some(large.len()));
    assert_eq!(partition.high_watermark, 1);
    request.topics[0].partitions[0].current_leader_epoch = 9;
    let response: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
    assert_eq!(response.responses[0].partitions[0].error_code, 75, "an epoch of the future");
}

#[test]
fn a_session_says_only_what_is_new() {
    let (_broker, mut client) = broker_with_topic("single");
    let mut request = fetch_request("t", 0, 0, 0);
    request.session_epoch = 0;
    let first: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
    assert!(first.session_id != 0 && first.responses.len() == 1);
    let mut next = fetch_request("t", 0, 0, 0).with_topics(vec![]);
    next.session_id = first.session_id;
    next.session_epoch = 1;
    let quiet: FetchResponse = client.ask(ApiKey::Fetch, 12, &next);
    assert!(quiet.responses.is_empty());
    produce(&mut client, "t", &batch(&[b"x"], 1_000, None));
    next.session_epoch = 2;
    let news: FetchResponse = client.ask(ApiKey::Fetch, 12, &next);
    assert_eq!(news.responses[0].partitions[0].high_watermark, 1);
    let wrong: FetchResponse = client.ask(ApiKey::Fetch, 12, &next);
    assert_eq!(wrong.error_code, 71);
    next.session_id += 1;
    let unknown: FetchResponse = client.ask(ApiKey::Fetch, 12, &next);
    assert_eq!(unknown.error_code, 70);
}

#[test]
fn pipelined_requests_are_answered_in_order_over_all_partitions() {
    for mode in MODES {
        let broker = Broker::start(Setup { shards: 3, ..Setup::new(mode) });
        let mut client = broker.client();
        assert_eq!(create(&mut client, "many", 6), 0);
        let mut sent = Vec::new();
        for n in 0..300 {
            let records = batch(&[format!("value {n}").as_bytes()], 1_000, None);
            let request = produce_request("many", n % 6, &records, -1);
            sent.push(client.send(ApiKey::Produce, 9, &request));
            if n % 50 == 0 {
                sent.push(client.send(ApiKey::Metadata, 9, &MetadataRequest::default()));
            }
        }
        let received: Vec<i32> =
            sent.iter().map(|_| client.receive().expect("answers").0).collect();
        assert_eq!(received, sent);
        let mut request = fetch_request("many", 0, 0, 0);
        for partition in 1..6 {
            let mut more = request.topics[0].partitions[0].clone();
            more.partition = partition;
            request.topics[0].partitions.push(more);
        }
        let response: FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
        for partition in &response.responses[0].partitions {
            let records = partition.records.clone().expect("records");
            let text = String::from_utf8_lossy(&records);
            let order: Vec<i32> = text
                .split("value ")
                .skip(1)
                .map(|t| t.chars().take_while(char::is_ascii_digit).collect::<String>())
                .map(|digits| digits.parse().expect("a number"))
                .collect();
            let expected: Vec<i32> = (0..50).map(|i| i * 6 + partition.partition_index).collect();
            assert_eq!(order, expected, "{mode}: the order sent is the order kept");
        }
    }
}

#[test]
fn topics_are_created_on_asking_only_where_that_is_wanted() {
    for (enabled, expected) in [(true, 0), (false, 3)] {
        let extra = format!("auto.create.topics.enable = {enabled}");
        let broker = Broker::start(Setup { extra, ..Setup::new("single") });
        let mut client = broker.client();
        let ask = |client: &mut Raw, topic: &str, allow: bool| {
            let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
            let request = MetadataRequest::default()
                .with_topics(Some(vec![topic]))
                .with_allow_auto_topic_creation(allow);
            let response: MetadataResponse = client.ask(ApiKey::Metadata, 9, &request);
            response.topics[0].error_code
        };
        assert_eq!(ask(&mut client, "x", false), 3, "the client may forbid it");
        assert_eq!(ask(&mut client, "x", true), expected);
        assert_eq!(ask(&mut client, "no/name", true), 17);
    }
}

#[test]
fn a_deleted_topic_is_gone_at_once_and_its_name_is_free() {
    let (broker, mut client) = broker_with_topic("single");
    produce(&mut client, "t", &batch(&[b"old"], 1_000, None));
    assert_eq!(create(&mut client, "t", 1), 36, "it exists");
    let request =
        DeleteTopicsRequest::default().with_topic_names(vec![name("t")]).with_timeout_ms(10_000);
    let response: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 4, &request);
    assert_eq!(response.responses[0].error_code, 0);
    assert_eq!(fetch(&mut client, "t", 0).error_code, 3);
    assert_eq!(create(&mut client, "t", 1), 0);
    assert_eq!(fetch(&mut client, "t", 0).high_watermark, 0, "and it is empty");
    let broker = broker.crash_and_restart();
    let mut client = broker.client();
    assert_eq!(fetch(&mut client, "t", 0).high_watermark, 0);
    assert_eq!(fetch(&mut client, "t", 0).error_code, 0);
}

#[test]
fn data_travels_by_topic_id() {
    for mode in MODES {
        let (_broker, mut client) = broker_with_topic(mode);
        let asked = MetadataRequestTopic::default().with_name(Some(name("t")));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let metadata: MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
        let known = metadata.topics[0].topic_id;
        let sent = batch(&[b"by id"], 1_000, None);
        for (id, code) in [(known, 0), (uuid::Uuid::from_u128(1), 100)] {
            let mut request = produce_request("", 0, &sent, -1);
            request.topic_data[0].topic_id = id;
            let response: ProduceResponse = client.ask(ApiKey::Produce, 13, &request);
            assert_eq!(response.responses[0].topic_id, id);
            assert_eq!(response.responses[0].partition_responses[0].error_code, code);
            for version in 13..=18 {
                let mut request = fetch_request("", 0, 0, 0);
                request.topics[0].topic_id = id;
                let response: FetchResponse = client.ask(ApiKey::Fetch, version, &request);
                assert_eq!(response.responses[0].topic_id, id, "v{version}");
                let partition = &response.responses[0].partitions[0];
                assert_eq!(partition.error_code, code, "v{version}");
                let records = partition.records.clone().unwrap_or_default();
                // Offset and leader epoch are the broker's; the checksum covers the rest.
                assert_eq!(records.get(16..), (code == 0).then_some(&sent[16..]), "v{version}");
            }
        }
    }
}
