//! Settings of topics are changed while the broker runs: in force at once, kept over a crash, and
//! refused whole where one of them is wrong.

mod support;

use support::configs::{
    alter, from_source, Change, APPEND, BROKER, DELETE, INVALID_CONFIG, INVALID_REQUEST, SET,
    SUBTRACT, TOPIC,
};
use support::{Broker, Setup, MODES};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// What a topic has of its own.
fn own(broker: &Broker, topic: &str) -> Vec<String> {
    from_source(broker, TOPIC, topic, 1)
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
