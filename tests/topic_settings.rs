//! Settings of topics are changed while the broker runs: in force at once, kept over a crash, and
//! refused whole where one of them is wrong.

mod support;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Setup, MODES};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// A setting, what is to become of it, and a value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

/// The error code for one resource.
fn alter(broker: &Broker, kind: i8, name: &str, changes: &[Change<'_>]) -> i16 {
    let config = |(name, op, value): &Change<'_>| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*op)
            .with_value(value.map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(changes.iter().map(config).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer: IncrementalAlterConfigsResponse =
        broker.client().ask(ApiKey::IncrementalAlterConfigs, 1, &request);
    answer.responses[0].error_code
}

/// What a topic has of its own.
fn own(broker: &Broker, topic: &str) -> Vec<String> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer: DescribeConfigsResponse = broker.client().ask(ApiKey::DescribeConfigs, 4, &request);
    let configs = answer.results[0].configs.iter().filter(|config| config.config_source == 1);
    let shown = |value: &Option<StrBytes>| value.as_ref().map_or("", |v| v).to_string();
    let mut own: Vec<String> =
        configs.map(|config| format!("{}={}", &*config.name, shown(&config.value))).collect();
    own.sort();
    own
}

#[test]
fn settings_are_in_force_at_once_and_after_a_crash() {
    for mode in MODES {
        let broker = Broker::start(Setup { shards: 2, ..Setup::new(mode) });
        broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
        let large = [b'x'; 3_000];
        broker.run(&["produce", "t"], &large);
        let small = [("max.message.bytes", SET, Some("500")), ("retention.ms", SET, Some("9"))];
        assert_eq!(alter(&broker, TOPIC, "t", &small), 0);
        let refused = broker.fail(&["produce", "t"], &large);
        assert!(refused.contains("too large") || refused.contains("Too large"), "{refused}");
        assert_eq!(alter(&broker, TOPIC, "t", &[("cleanup.policy", APPEND, Some("compact"))]), 0);
        assert_eq!(alter(&broker, TOPIC, "t", &[("cleanup.policy", SUBTRACT, Some("delete"))]), 0);
        assert_eq!(alter(&broker, TOPIC, "t", &[("retention.ms", DELETE, None)]), 0);
        let broker = broker.crash_and_restart_in_place();
        assert_eq!(own(&broker, "t"), ["cleanup.policy=compact", "max.message.bytes=500"]);
    }
}

#[test]
fn what_is_wrong_changes_nothing() {
    let broker = Broker::start(Setup::new(MODES[0]));
    broker.run(&["topic", "create", "t"], b"");
    let cases: &[(i8, &str, &[Change<'_>], i16)] = &[
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, Some("9")), ("no.such", SET, Some("1"))],
            INVALID_CONFIG,
        ),
        (TOPIC, "t", &[("retention.ms", SET, Some("soon"))], INVALID_CONFIG),
        (TOPIC, "t", &[("retention.ms", APPEND, Some("1"))], INVALID_CONFIG),
        (TOPIC, "t", &[("retention.ms", SET, None)], INVALID_REQUEST),
        (TOPIC, "t", &[("retention.ms", 9, Some("1"))], INVALID_REQUEST),
        (
            TOPIC,
            "t",
            &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
            INVALID_REQUEST,
        ),
        (TOPIC, "nobody", &[("retention.ms", SET, Some("1"))], UNKNOWN_TOPIC_OR_PARTITION),
        (BROKER, "1", &[("num.partitions", SET, Some("1"))], INVALID_REQUEST),
    ];
    for (kind, name, changes, expected) in cases {
        assert_eq!(alter(&broker, *kind, name, changes), *expected, "{changes:?}");
    }
    assert_eq!(own(&broker, "t"), [""; 0]);
}
