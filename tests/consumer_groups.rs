//! Groups of the consumer protocol (KIP-848): what members and tools are told.

mod support;

use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup, MODES};

const UNKNOWN_MEMBER_ID: i16 = 25;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;
const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
const FENCED_MEMBER_EPOCH: i16 = 110;
const UNSUPPORTED_ASSIGNOR: i16 = 112;
const STALE_MEMBER_EPOCH: i16 = 113;
const INVALID_REGULAR_EXPRESSION: i16 = 128;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;

const QUICK: &str = "\"group.consumer.min.session.timeout.ms\" = 500
\"group.consumer.session.timeout.ms\" = 2000
\"group.consumer.min.heartbeat.interval.ms\" = 50
\"group.consumer.heartbeat.interval.ms\" = 200
\"group.initial.rebalance.delay.ms\" = 0
\"offsets.topic.num.partitions\" = 3";

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn group() -> GroupId {
    GroupId(text("g"))
}

fn names(names: &[&str]) -> Vec<TopicName> {
    names.iter().map(|name| TopicName(text(name))).collect()
}

fn joining(member: &str) -> ConsumerGroupHeartbeatRequest {
    beating(member, 0)
        .with_rebalance_timeout_ms(5_000)
        .with_subscribed_topic_names(Some(names(&["t"])))
        .with_topic_partitions(Some(Vec::new()))
}

fn beating(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

fn ask(
    client: &mut Raw,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    client.ask(ApiKey::ConsumerGroupHeartbeat, 1, request)
}

/// Epoch, and partitions of the one topic where they are news.
fn hear(client: &mut Raw, request: &ConsumerGroupHeartbeatRequest) -> (i32, Option<Vec<i32>>) {
    let answer = ask(client, request);
    assert_eq!(answer.error_code, 0, "{answer:?}");
    let partitions = answer.assignment.map(|assignment| {
        let topics = assignment.topic_partitions.into_iter();
        topics.flat_map(|topic| topic.partitions).collect()
    });
    (answer.member_epoch, partitions)
}

fn code(client: &mut Raw, request: &ConsumerGroupHeartbeatRequest) -> i16 {
    ask(client, request).error_code
}

/// A broker with a topic `t` of four partitions that serves the group `g`.
fn start(mode: &'static str) -> Broker {
    let broker = Broker::start(Setup { extra: QUICK.to_string(), ..Setup::new(mode) });
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    coordinator(&broker);
    broker
}

/// A connection to the group's coordinator, once it serves the group.
fn coordinator(broker: &Broker) -> Raw {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let answer: FindCoordinatorResponse = broker.client().ask(ApiKey::FindCoordinator, 4, &request);
    let found = &answer.coordinators[0];
    let mut client = Raw::connect(&format!("{}:{}", &*found.host, found.port));
    support::eventually("the group is served", || {
        code(&mut client, &beating("nobody", 1)) == UNKNOWN_MEMBER_ID
    });
    client
}

fn describe(client: &mut Raw, version: i16) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let answer: ConsumerGroupDescribeResponse =
        client.ask(ApiKey::ConsumerGroupDescribe, version, &request);
    answer.groups[0].clone()
}

/// Name, state and type of all groups that fit a filter.
fn list(client: &mut Raw, states: &[&str], types: &[&str]) -> Vec<(String, String, String)> {
    let filter = |texts: &[&str]| texts.iter().map(|t| text(t)).collect();
    let request = ListGroupsRequest::default()
        .with_states_filter(filter(states))
        .with_types_filter(filter(types));
    let answer: ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, &request);
    let groups = answer.groups.into_iter();
    groups
        .map(|g| (g.group_id.to_string(), g.group_state.to_string(), g.group_type.to_string()))
        .collect()
}

fn commit(client: &mut Raw, version: i16, member: &str, epoch: i32) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(epoch)
        .with_topics(vec![topic]);
    let answer: OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, version, &request);
    answer.topics[0].partitions[0].error_code
}

/// The group's error, or the offset of the first partition.
fn committed(client: &mut Raw, member: Option<&str>, epoch: i32) -> Result<i64, i16> {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![0]);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_member_id(member.map(text))
        .with_member_epoch(epoch)
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 9, &request);
    match answer.groups[0].error_code {
        0 => Ok(answer.groups[0].topics[0].partitions[0].committed_offset),
        code => Err(code),
    }
}

#[test]
fn members_share_partitions_and_are_shown() {
    for mode in MODES {
        let broker = start(mode);
        let mut client = coordinator(&broker);
        assert_eq!(describe(&mut client, 1).error_code, GROUP_ID_NOT_FOUND);
        assert_eq!(hear(&mut client, &joining("a")), (1, Some(vec![0, 1, 2, 3])));
        assert_eq!(hear(&mut client, &beating("a", 1)), (1, None));
        assert_eq!(hear(&mut client, &joining("b")), (2, Some(vec![])));
        assert_eq!(list(&mut client, &["reconciling"], &["consumer"]).len(), 1);
        assert_eq!(list(&mut client, &[], &["classic"]), []);

        let described = describe(&mut client, 0);
        let topic = described.members[0].assignment.topic_partitions[0].topic_id;
        let owning = |partitions: &[i32]| {
            let topic = TopicPartitions::default()
                .with_topic_id(topic)
                .with_partitions(partitions.to_vec());
            beating("a", 1).with_topic_partitions(Some(vec![topic]))
        };
        assert_eq!(hear(&mut client, &owning(&[0, 1, 2, 3])), (1, Some(vec![0, 1])));
        assert_eq!(hear(&mut client, &owning(&[0, 1])), (2, None));
        assert_eq!(hear(&mut client, &beating("b", 2)), (2, Some(vec![2, 3])));

        let shown = describe(&mut client, 1);
        assert_eq!((&*shown.group_state, &*shown.assignor_name), ("Stable", "uniform"));
        assert_eq!((shown.group_epoch, shown.assignment_epoch), (2, 2));
        let member = &shown.members[1];
        assert_eq!((&*member.member_id, member.member_epoch, member.member_type), ("b", 2, 1));
        assert_eq!((&*member.client_id, &*member.client_host), ("test", "/127.0.0.1"));
        assert_eq!(member.subscribed_topic_names, names(&["t"]));
        let assigned = &member.assignment.topic_partitions[0];
        assert_eq!((&*assigned.topic_name.0, &assigned.partitions), ("t", &vec![2, 3]));
        assert_eq!(member.assignment, member.target_assignment);
        let row = ("g".to_string(), "Stable".to_string(), "consumer".to_string());
        assert_eq!(list(&mut client, &["Stable"], &["Consumer"]), [row]);
        let classic: DescribeGroupsResponse = client.ask(
            ApiKey::DescribeGroups,
            6,
            &DescribeGroupsRequest::default().with_groups(vec![group()]),
        );
        assert_eq!(classic.groups[0].error_code, GROUP_ID_NOT_FOUND);

        // The topic grows, and a member dies.
        let more = CreatePartitionsTopic::default()
            .with_name(TopicName(text("t")))
            .with_count(6)
            .with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(10_000);
        let grown: CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &request);
        assert_eq!(grown.results[0].error_code, 0);
        let (mut epoch, mut has) = (2, Vec::new());
        support::eventually("all is the other's", || {
            let (now, news) = hear(&mut client, &beating("b", epoch));
            (epoch, has) = (now, news.unwrap_or(std::mem::take(&mut has)));
            has == [0, 1, 2, 3, 4, 5]
        });
    }
}

#[test]
fn members_go_on_where_they_were_after_a_crash_and_after_a_stop() {
    for crash in [true, false] {
        let broker = start("single");
        let mut client = coordinator(&broker);
        hear(&mut client, &joining("a"));
        hear(&mut client, &joining("b"));
        assert_eq!(commit(&mut client, 9, "a", 1), 0);
        let before = describe(&mut client, 1);
        let broker = match crash {
            true => broker.crash_and_restart(),
            false => broker.restart_with(1),
        };
        let mut client = coordinator(&broker);
        assert_eq!(describe(&mut client, 1), before);
        assert_eq!(hear(&mut client, &beating("a", 1)), (1, Some(vec![0, 1])));
        assert_eq!(hear(&mut client, &beating("b", 2)), (2, None));
        assert_eq!(committed(&mut client, Some("a"), 1), Ok(7));
        support::eventually("those that are silent are out", || {
            describe(&mut client, 1).members.is_empty()
        });
    }
}

#[test]
fn epochs_are_checked_where_offsets_are_committed_and_asked_for() {
    let broker = start("single");
    let mut client = coordinator(&broker);
    assert_eq!(commit(&mut client, 9, "a", 1), GROUP_ID_NOT_FOUND);
    hear(&mut client, &joining("a"));
    assert_eq!(commit(&mut client, 9, "a", 1), 0);
    assert_eq!(commit(&mut client, 8, "a", 1), UNSUPPORTED_VERSION);
    assert_eq!(commit(&mut client, 9, "a", 2), STALE_MEMBER_EPOCH);
    assert_eq!(commit(&mut client, 9, "b", 1), UNKNOWN_MEMBER_ID);
    assert_eq!(commit(&mut client, 9, "", -1), UNKNOWN_MEMBER_ID);
    assert_eq!(committed(&mut client, Some("a"), 1), Ok(7));
    assert_eq!(committed(&mut client, None, -1), Ok(7));
    assert_eq!(committed(&mut client, Some("a"), 0), Err(STALE_MEMBER_EPOCH));
    assert_eq!(committed(&mut client, Some("b"), 1), Err(UNKNOWN_MEMBER_ID));

    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    let partition = OffsetDeleteRequestPartition::default();
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let offsets = OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![topic]);
    let deleted: DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, &delete);
    assert_eq!(deleted.results[0].error_code, NON_EMPTY_GROUP);
    let deleted: OffsetDeleteResponse = client.ask(ApiKey::OffsetDelete, 0, &offsets);
    assert_eq!(deleted.topics[0].partitions[0].error_code, GROUP_SUBSCRIBED_TO_TOPIC);
    hear(&mut client, &beating("a", -1));
    assert_eq!(commit(&mut client, 9, "", -1), 0, "nobody is in it");
    let deleted: DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, &delete);
    assert_eq!(deleted.results[0].error_code, 0);
    assert_eq!(list(&mut client, &[], &[]), []);
    let broker = broker.crash_and_restart();
    assert_eq!(list(&mut coordinator(&broker), &[], &[]), [], "nothing of it is left");
}

#[test]
fn what_does_not_fit_is_refused() {
    let broker = start("single");
    let mut client = coordinator(&broker);
    assert_eq!(code(&mut client, &joining("")), INVALID_REQUEST);
    assert_eq!(code(&mut client, &joining("a").with_topic_partitions(None)), INVALID_REQUEST);
    let assignor = joining("a").with_server_assignor(Some(text("sticky")));
    assert_eq!(code(&mut client, &assignor), UNSUPPORTED_ASSIGNOR);
    for pattern in ["(", "(x{1000}){1000}"] {
        let regex = joining("a").with_subscribed_topic_regex(Some(text(pattern)));
        assert_eq!(code(&mut client, &regex), INVALID_REGULAR_EXPRESSION);
    }
    assert_eq!(list(&mut client, &[], &[]), [], "nothing is left of what was refused");
    // Version 0 gives ids.
    let answer: ConsumerGroupHeartbeatResponse =
        client.ask(ApiKey::ConsumerGroupHeartbeat, 0, &joining(""));
    let id = answer.member_id.expect("an id").to_string();
    assert_eq!((answer.member_epoch, answer.heartbeat_interval_ms), (1, 200));
    assert_eq!(code(&mut client, &beating(&id, 5)), FENCED_MEMBER_EPOCH);
}

#[test]
fn a_pattern_stands_for_topics_that_come_later_too() {
    let broker = start("single");
    let mut client = coordinator(&broker);
    let by_pattern = joining("a")
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(Some(text("t|new.*")));
    assert_eq!(hear(&mut client, &by_pattern), (1, Some(vec![0, 1, 2, 3])));
    broker.run(&["topic", "create", "newcomer"], b"");
    let mut epoch = 1;
    support::eventually("it has the new topic, too", || {
        let (now, assignment) = hear(&mut client, &beating("a", epoch));
        epoch = now;
        assignment.is_some_and(|partitions| partitions.len() == 5)
    });
}

#[test]
fn features_tell_clients_of_the_protocol() {
    let broker = start("single");
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1"));
    let answer: ApiVersionsResponse = broker.client().ask(ApiKey::ApiVersions, 4, &request);
    let is_it = |name: &StrBytes| &**name == "group.version";
    let supported = answer.supported_features.iter().find(|f| is_it(&f.name)).expect("listed");
    assert_eq!((supported.min_version, supported.max_version), (0, 1));
    let finalized = answer.finalized_features.iter().find(|f| is_it(&f.name)).expect("listed");
    assert_eq!(finalized.max_version_level, 1);
}
