//! Requests that look after the cluster, asked byte by byte: what one node does of them, and what it
//! refuses and how.

mod support;

use kafka_protocol::messages::alter_client_quotas_request as quotas;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
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

fn create(client: &mut Raw, topics: &[(&str, i32)]) {
    let topic = |(of, partitions): &(&str, i32)| {
        CreatableTopic::default()
            .with_name(name(of))
            .with_num_partitions(*partitions)
            .with_replication_factor(-1)
    };
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(60_000);
    let response: CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    assert!(response.topics.iter().all(|topic| topic.error_code == 0));
}

#[test]
fn partitions_are_described_page_by_page() {
    let broker = broker();
    let mut client = broker.client();
    create(&mut client, &[("a", 3), ("b", 1), ("c", 2)]);
    use describe_topic_partitions_request::{Cursor, TopicRequest};
    let mut ask = |names: &[&str], limit, cursor: Option<(&str, i32)>| {
        let topics = names.iter().map(|of| TopicRequest::default().with_name(name(of)));
        let cursor = cursor.map(|(topic, partition)| {
            Cursor::default().with_topic_name(name(topic)).with_partition_index(partition)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor);
        let response: DescribeTopicPartitionsResponse =
            client.ask(ApiKey::DescribeTopicPartitions, 0, &request);
        let topics: Vec<_> = response
            .topics
            .iter()
            .map(|topic| {
                let partitions = topic.partitions.iter().map(|p| p.partition_index).collect();
                let name = topic.name.as_ref().expect("a name").to_string();
                (name, topic.error_code, partitions)
            })
            .collect::<Vec<(String, i16, Vec<i32>)>>();
        let next = response.next_cursor.map(|c| (c.topic_name.to_string(), c.partition_index));
        (topics, next)
    };
    let at = |topic: &str, partition| Some((topic.to_string(), partition));
    let shown =
        |topic: &str, code, partitions: &[i32]| (topic.to_string(), code, partitions.to_vec());
    let everything = vec![shown("a", 0, &[0, 1, 2]), shown("b", 0, &[0]), shown("c", 0, &[0, 1])];
    assert_eq!(ask(&[], 100, None), (everything, None));
    assert_eq!(ask(&[], 2, None), (vec![shown("a", 0, &[0, 1])], at("a", 2)));
    let second = vec![shown("a", 0, &[2]), shown("b", 0, &[0])];
    assert_eq!(ask(&[], 2, Some(("a", 2))), (second, at("c", 0)));
    assert_eq!(ask(&[], 2, Some(("c", 0))), (vec![shown("c", 0, &[0, 1])], None));
    let missing = vec![shown("b", 0, &[0]), shown("none", 3, &[]), shown("not/one", 17, &[])];
    assert_eq!(ask(&["none", "not/one", "b"], 100, None), (missing, None));
    assert_eq!(ask(&["b", "c"], 0, None), (vec![shown("b", 0, &[0])], at("c", 0)), "one at least");
    let refused = vec![shown("b", 42, &[])];
    assert_eq!(ask(&["b"], 1, Some(("a", 0))), (refused.clone(), None), "the cursor is elsewhere");
    assert_eq!(ask(&["b"], 1, Some(("b", -1))), (refused, None));
    let past = vec![shown("a", 0, &[])];
    assert_eq!(ask(&["a"], 5, Some(("a", 9))), (past, None));
}

#[test]
fn elections_and_reassignments_are_answered_as_far_as_one_node_goes() {
    let broker = broker();
    let mut client = broker.client();
    create(&mut client, &[("t", 1)]);
    use elect_leaders_request::TopicPartitions;
    let mut elect = |version, kind: i8, partitions: Option<Vec<i32>>| {
        let topic = |partitions| {
            vec![TopicPartitions::default().with_topic(name("t")).with_partitions(partitions)]
        };
        let mut request =
            ElectLeadersRequest::default().with_topic_partitions(partitions.map(topic));
        if version > 0 {
            request = request.with_election_type(kind);
        }
        let response: ElectLeadersResponse = client.ask(ApiKey::ElectLeaders, version, &request);
        let results = response.replica_election_results;
        let codes: Vec<i16> =
            results.iter().flat_map(|r| &r.partition_result).map(|p| p.error_code).collect();
        (response.error_code, codes)
    };
    for version in 0..=2 {
        assert_eq!(elect(version, 0, Some(vec![0, 1])), (0, vec![84, 3]));
        assert_eq!(elect(version, 0, None), (0, vec![]));
    }
    assert_eq!(elect(2, 1, Some(vec![0])), (0, vec![84]), "an unclean one is not needed either");
    assert_eq!(elect(2, 7, Some(vec![0])), (42, vec![42]));
    use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
    let mut reassign = |partition, replicas: Option<Vec<i32>>| {
        let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
        let partition = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(replicas);
        let topic =
            ReassignableTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let response: AlterPartitionReassignmentsResponse =
            client.ask(ApiKey::AlterPartitionReassignments, 1, &request);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(reassign(0, Some(vec![1])), 0);
    assert_eq!(reassign(0, Some(vec![2])), 39);
    assert_eq!(reassign(0, Some(vec![1, 2])), 39);
    assert_eq!(reassign(0, Some(vec![])), 39);
    assert_eq!(reassign(0, None), 85);
    assert_eq!(reassign(1, Some(vec![1])), 3);
    let request = ListPartitionReassignmentsRequest::default().with_topics(None);
    let response: ListPartitionReassignmentsResponse =
        client.ask(ApiKey::ListPartitionReassignments, 0, &request);
    assert!(response.topics.is_empty() && response.error_code == 0);
    let mut unregister = |id| {
        let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
        let response: UnregisterBrokerResponse = client.ask(ApiKey::UnregisterBroker, 0, &request);
        response.error_code
    };
    assert_eq!((unregister(1), unregister(2)), (42, 102));
}

type Change<'a> = (&'a [(&'a str, Option<&'a str>)], &'a [(&'a str, Option<f64>)]);

fn alter_quotas(client: &mut Raw, changes: &[Change<'_>], validate: bool) -> Vec<i16> {
    let entry = |(entity, ops): &Change<'_>| {
        let entity = entity.iter().map(|(kind, name)| {
            quotas::EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.map(text))
        });
        let ops = ops.iter().map(|(key, value)| {
            quotas::OpData::default()
                .with_key(text(key))
                .with_value(value.unwrap_or(0.0))
                .with_remove(value.is_none())
        });
        quotas::EntryData::default().with_entity(entity.collect()).with_ops(ops.collect())
    };
    let request = AlterClientQuotasRequest::default()
        .with_entries(changes.iter().map(entry).collect())
        .with_validate_only(validate);
    let response: AlterClientQuotasResponse = client.ask(ApiKey::AlterClientQuotas, 1, &request);
    response.entries.iter().map(|entry| entry.error_code).collect()
}

/// How many entities with quotas match, or the error.
fn quotas_of(
    client: &mut Raw,
    filter: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> Result<usize, i16> {
    use describe_client_quotas_request::ComponentData;
    let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(*match_type)
            .with_match(name.map(text))
    };
    let request = DescribeClientQuotasRequest::default()
        .with_components(filter.iter().map(component).collect())
        .with_strict(strict);
    let response: DescribeClientQuotasResponse =
        client.ask(ApiKey::DescribeClientQuotas, 1, &request);
    match response.error_code {
        0 => Ok(response.entries.expect("entries").len()),
        code => Err(code),
    }
}

#[test]
fn quotas_are_checked_kept_over_a_crash_and_found() {
    let broker = broker();
    let mut client = broker.client();
    let rate = ("producer_byte_rate", Some(1_000.0));
    let user = [("user", Some("u"))];
    let both = [("user", Some("u")), ("client-id", None)];
    let address = [("ip", Some("10.0.0.1"))];
    let connections = ("connection_creation_rate", Some(5.0));
    let good: &[Change<'_>] = &[(&user, &[rate]), (&both, &[rate]), (&address, &[connections])];
    assert_eq!(alter_quotas(&mut client, good, true), [0, 0, 0]);
    assert_eq!(quotas_of(&mut client, &[], false), Ok(0), "only validated");
    assert_eq!(alter_quotas(&mut client, good, false), [0, 0, 0]);
    let bad: &[Change<'_>] = &[
        (&[], &[rate]),
        (&[("user", Some(""))], &[rate]),
        (&[("nobody", Some("u"))], &[rate]),
        (&[("user", None), ("ip", None)], &[rate]),
        (&[("ip", Some("somewhere"))], &[connections]),
        (&[("ip", Some("10.0.0.2"))], &[rate]),
        (&[("user", Some("v"))], &[("nonsense", Some(1.0))]),
        (&[("user", Some("w"))], &[("producer_byte_rate", Some(1.5))]),
        (&[("user", Some("x"))], &[rate, rate]),
    ];
    assert_eq!(alter_quotas(&mut client, bad, false), [42; 9]);
    assert_eq!(alter_quotas(&mut client, &[(&user, &[rate]), (&user, &[])], false), [42]);
    drop(client);
    let broker = broker.crash_and_restart();
    let mut client = broker.client();
    assert_eq!(quotas_of(&mut client, &[], false), Ok(3), "kept, and nothing of what was refused");
    assert_eq!(quotas_of(&mut client, &[], true), Ok(0));
    assert_eq!(quotas_of(&mut client, &[("user", 0, Some("u"))], false), Ok(2));
    assert_eq!(quotas_of(&mut client, &[("user", 0, Some("u"))], true), Ok(1));
    assert_eq!(quotas_of(&mut client, &[("user", 2, None), ("client-id", 1, None)], true), Ok(1));
    assert_eq!(quotas_of(&mut client, &[("ip", 2, None)], true), Ok(1));
    assert_eq!(quotas_of(&mut client, &[("user", 1, None)], false), Ok(0));
    let ip_and_user = [("ip", 2, None), ("user", 2, None)];
    assert_eq!(quotas_of(&mut client, &ip_and_user, false), Err(42));
    assert_eq!(quotas_of(&mut client, &[("topic", 2, None)], false), Err(35));
    assert_eq!(quotas_of(&mut client, &[("user", 0, None)], false), Err(42));
    assert_eq!(quotas_of(&mut client, &[("user", 9, None)], false), Err(42));
    assert_eq!(alter_quotas(&mut client, &[(&user, &[("producer_byte_rate", None)])], false), [0]);
    assert_eq!(quotas_of(&mut client, &[], false), Ok(2));
}

/// The finalized features and their epoch.
fn features(client: &mut Raw) -> (Vec<(String, i16)>, i64) {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1"));
    let response: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &request);
    let finalized = response.finalized_features.iter();
    let levels = finalized.map(|f| (f.name.to_string(), f.max_version_level)).collect();
    (levels, response.finalized_features_epoch)
}

#[test]
fn features_go_down_and_up_over_a_crash() {
    let broker = broker();
    let mut client = broker.client();
    let update = |client: &mut Raw, version, feature: &str, level, kind, validate| {
        use update_features_request::FeatureUpdateKey;
        let mut key =
            FeatureUpdateKey::default().with_feature(text(feature)).with_max_version_level(level);
        let mut request = UpdateFeaturesRequest::default().with_timeout_ms(10_000);
        match version {
            0 => key.allow_downgrade = kind > 1,
            _ => (key.upgrade_type, request.validate_only) = (kind, validate),
        }
        request.feature_updates = vec![key];
        let response: UpdateFeaturesResponse =
            client.ask(ApiKey::UpdateFeatures, version, &request);
        assert_eq!(response.results.len(), usize::from(version < 2 && response.error_code == 0));
        response.error_code
    };
    let (levels, before) = features(&mut client);
    let of = |levels: &[(String, i16)], feature: &str| {
        levels.iter().find(|(name, _)| name == feature).map(|(_, level)| *level)
    };
    assert_eq!(of(&levels, "transaction.version"), Some(2));
    let cases = [
        (2, "nonsense", 1, 1, 95),
        (2, "share.version", 9, 1, 95),
        (2, "share.version", -1, 2, 95),
        (2, "transaction.version", 1, 1, 95),
        (1, "transaction.version", 1, 9, 95),
        (1, "transaction.version", 2, 1, 0),
        (0, "transaction.version", 1, 1, 95),
    ];
    for (version, feature, level, kind, code) in cases {
        assert_eq!(update(&mut client, version, feature, level, kind, false), code, "{feature}");
    }
    assert_eq!(update(&mut client, 2, "transaction.version", 1, 2, true), 0, "only validated");
    assert_eq!(of(&features(&mut client).0, "transaction.version"), Some(2));
    assert_eq!(update(&mut client, 0, "transaction.version", 1, 2, false), 0);
    assert_eq!(update(&mut client, 2, "share.version", 0, 3, false), 0);
    let (levels, after) = features(&mut client);
    assert_eq!(of(&levels, "transaction.version"), Some(1));
    assert_eq!(of(&levels, "share.version"), None);
    assert!(after > before, "{after} {before}");
    let beat = ShareGroupHeartbeatRequest::default().with_group_id(GroupId(text("g")));
    let response: ShareGroupHeartbeatResponse = client.ask(ApiKey::ShareGroupHeartbeat, 1, &beat);
    assert_eq!(response.error_code, 35, "it is off");
    drop(client);
    let broker = broker.crash_and_restart();
    let mut client = broker.client();
    let (levels, again) = features(&mut client);
    assert_eq!((of(&levels, "transaction.version"), of(&levels, "share.version")), (Some(1), None));
    assert!(again >= after, "the epoch does not go back: {again} {after}");
    assert_eq!(update(&mut client, 2, "share.version", 1, 1, false), 0);
    assert_eq!(of(&features(&mut client).0, "share.version"), Some(1));
}

#[test]
fn nobody_has_a_password() {
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
    let broker = broker();
    let mut client = broker.client();
    let mut ask = |users: Option<&[&str]>| {
        let user = |name: &&str| UserName::default().with_name(text(name));
        let request = DescribeUserScramCredentialsRequest::default()
            .with_users(users.map(|users| users.iter().map(user).collect()));
        let response: DescribeUserScramCredentialsResponse =
            client.ask(ApiKey::DescribeUserScramCredentials, 0, &request);
        assert_eq!(response.error_code, 0);
        let results = response.results.into_iter();
        results.map(|one| (one.user.to_string(), one.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(ask(None), []);
    assert_eq!(ask(Some(&[])), []);
    let (missing, twice) = (91, 92);
    let named = ask(Some(&["b", "a", "b", "b"]));
    assert_eq!(named, [("a".to_string(), missing), ("b".to_string(), twice)]);
}

#[test]
fn the_cluster_is_described_with_what_may_be_done() {
    let broker = broker();
    let mut client = broker.client();
    let mut ask = |kind| {
        let request = DescribeClusterRequest::default()
            .with_endpoint_type(kind)
            .with_include_cluster_authorized_operations(true);
        let response: DescribeClusterResponse = client.ask(ApiKey::DescribeCluster, 1, &request);
        (response.error_code, response.brokers.len(), response.cluster_authorized_operations)
    };
    assert_eq!(ask(1), (0, 1, 8_096));
    assert_eq!(ask(2).0, 114, "MISMATCHED_ENDPOINT_TYPE");
    assert_eq!(ask(3).0, 115, "UNSUPPORTED_ENDPOINT_TYPE");
}

#[test]
fn transactions_are_listed_by_a_pattern_of_their_whole_ids() {
    let broker = broker();
    let mut client = broker.client();
    let request = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![text("app-1")]);
    let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &request);
    assert_eq!(found.coordinators[0].error_code, 0);
    for id in ["app-1", "app-2", "other"] {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(60_000);
        support::eventually("the coordinator is there", || {
            let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, 4, &request);
            answer.error_code == 0
        });
    }
    let mut by = |pattern: Option<&str>| {
        let request = ListTransactionsRequest::default()
            .with_duration_filter(-1)
            .with_transactional_id_pattern(pattern.map(text));
        let answer: ListTransactionsResponse = client.ask(ApiKey::ListTransactions, 2, &request);
        let ids = answer.transaction_states.iter().map(|t| t.transactional_id.to_string());
        let mut all: Vec<String> = ids.collect();
        all.sort();
        (answer.error_code, all.join(" "))
    };
    assert_eq!(by(Some("app-.*")), (0, "app-1 app-2".to_string()));
    assert_eq!(by(Some("app")), (0, String::new()));
    assert_eq!(by(Some("")), by(None));
    assert_eq!(by(None), (0, "app-1 app-2 other".to_string()));
    let invalid_regular_expression = 128;
    assert_eq!(by(Some("(")), (invalid_regular_expression, String::new()));
}
