//! Settings of brokers and groups are changed while the broker runs: in force at once on all shards, kept
//! over restarts and crashes, and refused whole where one of them is wrong; and Kafka's own file starts a
//! broker.

mod support;

use kafka_protocol::messages::*;
use support::configs::{
    alter, altered, describe, from_source, text, APPEND, BROKER, CLIENT_METRICS, DELETE, GROUP,
    INVALID_CONFIG, INVALID_REQUEST, SET, TOPIC,
};
use support::{failing_serve, Broker, Setup, MODES};

const OF_TOPIC: i8 = 1;
const OF_BROKER: i8 = 2;
const OF_ALL_BROKERS: i8 = 3;
const OF_FILE: i8 = 4;
const OF_GROUP: i8 = 8;

#[test]
fn a_brokers_settings_are_in_force_at_once_and_after_a_crash() {
    for mode in MODES {
        let mut setup = Setup { shards: 2, ..Setup::new(mode) };
        setup.extra = "\"log.retention.hours\" = 2\n".to_string();
        let broker = Broker::start(setup);
        // Partitions on both shards.
        broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
        broker.run(&["topic", "create", "own"], b"");
        assert_eq!(alter(&broker, TOPIC, "own", &[("max.message.bytes", SET, Some("9000"))]), 0);
        let large = [b'x'; 3_000];
        broker.run(&["produce", "t"], &large);
        assert_eq!(alter(&broker, BROKER, "", &[("message.max.bytes", SET, Some("500"))]), 0);
        for _ in 0..8 {
            let refused = broker.fail(&["produce", "t"], &large);
            assert!(refused.contains("too large") || refused.contains("Too large"), "{refused}");
        }
        broker.run(&["produce", "own"], &large);
        // The broker's own counts before what all brokers have.
        assert_eq!(alter(&broker, BROKER, "1", &[("message.max.bytes", SET, Some("5000"))]), 0);
        broker.run(&["produce", "t"], &large);
        let broker = broker.crash_and_restart_in_place();
        assert_eq!(from_source(&broker, BROKER, "1", OF_BROKER), ["message.max.bytes=5000"]);
        assert_eq!(from_source(&broker, BROKER, "", OF_ALL_BROKERS), ["message.max.bytes=500"]);
        assert_eq!(from_source(&broker, TOPIC, "t", OF_BROKER), ["max.message.bytes=5000"]);
        assert_eq!(from_source(&broker, TOPIC, "own", OF_TOPIC), ["max.message.bytes=9000"]);
        let file = from_source(&broker, BROKER, "1", OF_FILE);
        assert!(file.contains(&"log.retention.hours=2".to_string()), "{file:?}");
        broker.run(&["produce", "t"], &large);
        assert_eq!(alter(&broker, BROKER, "1", &[("message.max.bytes", DELETE, None)]), 0);
        broker.fail(&["produce", "t"], &large);
        let broker = broker.restart_with(1);
        broker.fail(&["produce", "t"], &large);
        assert_eq!(alter(&broker, BROKER, "", &[("message.max.bytes", DELETE, None)]), 0);
        broker.run(&["produce", "t"], &large);
        assert_eq!(from_source(&broker, TOPIC, "t", OF_BROKER), [""; 0]);
    }
}

#[test]
fn what_is_wrong_or_only_looked_at_changes_nothing() {
    let broker = Broker::start(Setup::new(MODES[0]));
    let valid = [("message.max.bytes", SET, Some("500"))];
    assert_eq!(altered(&broker, BROKER, "1", &valid, true).0, 0);
    for (kind, name, change, code, words) in [
        (BROKER, "1", ("num.partitions", SET, Some("2")), INVALID_REQUEST, "Set(num.partitions)"),
        (BROKER, "", ("listeners", SET, Some("a:1")), INVALID_REQUEST, "broker id must be"),
        (BROKER, "1", ("message.max.bytes", SET, Some("x")), INVALID_REQUEST, "type INT"),
        (BROKER, "1", ("mesage.max.bytes", SET, Some("5")), INVALID_REQUEST, "did you mean"),
        (BROKER, "1", ("message.max.bytes", APPEND, Some("5")), INVALID_CONFIG, "not LIST"),
        (BROKER, "7", ("message.max.bytes", SET, Some("5")), INVALID_REQUEST, "received 7"),
        (BROKER, "x", ("message.max.bytes", SET, Some("5")), INVALID_REQUEST, "an integer"),
        (8, "1", ("root", SET, Some("DEBUG")), INVALID_REQUEST, "RUST_LOG"),
        (99, "1", ("root", SET, Some("DEBUG")), INVALID_REQUEST, "resource type"),
        (GROUP, "", ("share.isolation.level", DELETE, None), INVALID_REQUEST, "Default group"),
        (GROUP, "g", ("nonsense", SET, Some("5")), INVALID_CONFIG, "Unknown group config"),
        (GROUP, "g", ("consumer.session.timeout.ms", SET, Some("5")), INVALID_CONFIG, "min"),
        (CLIENT_METRICS, "m", ("interval.ms", SET, Some("5")), INVALID_REQUEST, "Invalid value 5"),
    ] {
        let both = [("log.retention.ms", SET, Some("5")), change];
        let asked = if kind == BROKER { &both[..] } else { &both[1..] };
        let (found, said) = altered(&broker, kind, name, asked, false);
        assert_eq!(found, code, "{change:?}: {said}");
        assert!(said.contains(words), "{said}");
    }
    for source in [OF_BROKER, OF_ALL_BROKERS] {
        assert_eq!(from_source(&broker, BROKER, "1", source), [""; 0]);
    }
    assert_eq!(describe(&broker, BROKER, "7"), Err(INVALID_REQUEST));
    assert_eq!(describe(&broker, GROUP, ""), Err(INVALID_REQUEST));
    let all = describe(&broker, BROKER, "1").expect("is there");
    assert!(all.len() > 300, "{} are told", all.len());
    assert!(all.iter().all(|one| one.config_type != 0 && one.documentation.is_some()));
}

fn heartbeat(broker: &Broker, group: &str) -> ConsumerGroupHeartbeatResponse {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text("member"))
        .with_rebalance_timeout_ms(5_000)
        .with_subscribed_topic_names(Some(vec![TopicName(text("t"))]))
        .with_topic_partitions(Some(Vec::new()));
    let mut client = broker.client();
    loop {
        let heard: ConsumerGroupHeartbeatResponse =
            client.ask(ApiKey::ConsumerGroupHeartbeat, 1, &request);
        // The coordinator is still loading.
        if heard.error_code != 14 && heard.error_code != 16 {
            return heard;
        }
    }
}

#[test]
fn a_groups_settings_are_what_its_members_are_told() {
    let broker = Broker::start(Setup { shards: 1, ..Setup::new(MODES[0]) });
    broker.run(&["topic", "create", "t"], b"");
    let find =
        FindCoordinatorRequest::default().with_key_type(0).with_coordinator_keys(vec![text("g")]);
    let _: FindCoordinatorResponse = broker.client().ask(ApiKey::FindCoordinator, 6, &find);
    assert_eq!(heartbeat(&broker, "g").heartbeat_interval_ms, 5_000);
    let slow = [("consumer.heartbeat.interval.ms", SET, Some("9000"))];
    assert_eq!(alter(&broker, GROUP, "g", &slow), 0);
    assert_eq!(heartbeat(&broker, "g").heartbeat_interval_ms, 9_000);
    assert_eq!(heartbeat(&broker, "other").heartbeat_interval_ms, 5_000);
    assert_eq!(alter(&broker, CLIENT_METRICS, "m", &[("interval.ms", SET, Some("60000"))]), 0);
    let broker = broker.crash_and_restart_in_place();
    assert_eq!(heartbeat(&broker, "g").heartbeat_interval_ms, 9_000);
    let own = from_source(&broker, GROUP, "g", OF_GROUP);
    assert_eq!(own, ["consumer.heartbeat.interval.ms=9000"]);
    let listed = |kinds: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(kinds.to_vec());
        let answer: ListConfigResourcesResponse =
            broker.client().ask(ApiKey::ListConfigResources, 1, &request);
        let told = answer.config_resources.iter();
        let told: Vec<String> =
            told.map(|one| format!("{}:{}", one.resource_type, &*one.resource_name)).collect();
        (answer.error_code, told)
    };
    assert_eq!(listed(&[GROUP, CLIENT_METRICS]), (0, vec!["32:g".into(), "16:m".into()]));
    assert_eq!(listed(&[77]), (35, Vec::new()));
    assert!(listed(&[]).1.contains(&"4:1".to_string()));
    assert_eq!(alter(&broker, GROUP, "g", &[(slow[0].0, DELETE, None)]), 0);
    assert_eq!(heartbeat(&broker, "g").heartbeat_interval_ms, 5_000);
}

#[test]
fn the_old_request_puts_all_that_is_not_named_back() {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let broker = Broker::start(Setup::new(MODES[0]));
    assert_eq!(alter(&broker, BROKER, "1", &[("log.retention.ms", SET, Some("5000"))]), 0);
    let config = AlterableConfig::default()
        .with_name(text("message.max.bytes"))
        .with_value(Some(text("700")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(BROKER)
        .with_resource_name(text("1"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let answer: AlterConfigsResponse = broker.client().ask(ApiKey::AlterConfigs, 2, &request);
    assert_eq!(answer.responses[0].error_code, 0);
    assert_eq!(from_source(&broker, BROKER, "1", OF_BROKER), ["message.max.bytes=700"]);
}

const KAFKAS_FILE: &str = "# As Kafka ships it.
process.roles=broker,controller
node.id=4
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
log.dirs=/nowhere
num.partitions=3
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

#[test]
fn kafkas_own_file_starts_a_broker() {
    let setup = Setup { file: Some(KAFKAS_FILE), ..Setup::new(MODES[0]) };
    let broker = Broker::start(setup);
    broker.run(&["topic", "create", "t"], b"");
    let file = from_source(&broker, BROKER, "4", OF_FILE);
    for stated in ["num.partitions=3", "num.io.threads=8", "node.id=4"] {
        assert!(file.contains(&stated.to_string()), "{file:?}");
    }
    let metadata: MetadataResponse =
        broker.client().ask(ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
    assert_eq!(metadata.topics[0].partitions.len(), 3);
}

#[test]
fn a_file_that_would_mislead_is_refused_with_its_line_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("server.properties");
    for (text, expected) in [
        ("ssl.keystore.location=/k", "server.properties:1: ssl.keystore.location = /k: this is"),
        ("a=1", "server.properties:1: a: this is not known"),
        ("\nzookeeper.connect=h:1", "server.properties:2: zookeeper.connect: Kafka 4.0 has"),
        ("listeners=SSL://:9093", "the protocol 'SSL' of SSL is not served yet"),
        ("group.consumer.session.timeout.ms=1", "group.consumer.session.timeout.ms = 1 is not"),
        ("offsets.topic.replication.factor=3", "there is one node, so one replica"),
    ] {
        std::fs::write(&file, text).expect("writes");
        let (code, said) = failing_serve(&["--config", file.to_str().expect("a path")]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
