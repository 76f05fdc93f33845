//! The coordinator of transactions, request by request.

mod support;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup, MODES};

const INVALID_REQUEST: i16 = 42;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const PRODUCER_FENCED: i16 = 90;

fn id(text: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(text.to_string()))
}

/// A broker whose transactions' topic is made.
fn broker(mode: &'static str, extra: &str) -> (Broker, Raw) {
    let extra = format!("\"transaction.state.log.num.partitions\" = 3\n{extra}");
    let broker = Broker::start(Setup { extra, ..Setup::new(mode) });
    let mut client = broker.client();
    let request = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![StrBytes::from_static_str("app")]);
    let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &request);
    assert_eq!(found.coordinators[0].error_code, 0);
    (broker, client)
}

/// Error code, producer id and epoch.
fn init(
    client: &mut Raw,
    name: &str,
    version: i16,
    current: (i64, i16),
    timeout_ms: i32,
) -> (i16, i64, i16) {
    let mut request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id(name)))
        .with_transaction_timeout_ms(timeout_ms);
    if version >= 3 {
        request = request.with_producer_id(ProducerId(current.0)).with_producer_epoch(current.1);
    }
    let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, version, &request);
    (answer.error_code, answer.producer_id.0, answer.producer_epoch)
}

#[test]
fn a_new_producer_takes_over_and_is_remembered_over_a_crash() {
    for mode in MODES {
        let (broker, mut client) = broker(mode, "");
        let (code, producer, epoch) = init(&mut client, "app", 4, (-1, -1), 60_000);
        assert_eq!((code, epoch), (0, 0));
        assert_eq!(init(&mut client, "app", 0, (-1, -1), 60_000), (0, producer, 1));
        let broker = broker.crash_and_restart();
        let mut client = broker.client();
        support::eventually("the coordinator has read its log", || {
            init(&mut client, "app", 4, (producer, 1), 60_000) == (0, producer, 2)
        });
        // It goes on as the one that it is, and a retry of that is told the same.
        assert_eq!(init(&mut client, "app", 4, (producer, 1), 60_000), (0, producer, 2));
        let fenced = (PRODUCER_FENCED, -1, -1);
        assert_eq!(init(&mut client, "app", 4, (producer, 0), 60_000), fenced);
        let fenced = (INVALID_PRODUCER_EPOCH, -1, -1);
        assert_eq!(init(&mut client, "app", 3, (producer + 1, 2), 60_000), fenced);
    }
}

#[test]
fn a_producer_that_cannot_be_is_refused() {
    let (_broker, mut client) = broker("single", "\"transaction.max.timeout.ms\" = 5000");
    let cases = [
        ("app", (-1, -1), 5_001, INVALID_TRANSACTION_TIMEOUT),
        ("app", (-1, -1), 0, INVALID_TRANSACTION_TIMEOUT),
        ("app", (-1, 0), 5_000, INVALID_REQUEST),
        ("app", (7, -1), 5_000, INVALID_REQUEST),
        ("", (-1, -1), 5_000, INVALID_REQUEST),
        (&"x".repeat(32_768), (-1, -1), 5_000, INVALID_REQUEST),
    ];
    for (name, current, timeout_ms, code) in cases {
        let told = init(&mut client, name, 4, current, timeout_ms);
        assert_eq!(told, (code, -1, -1), "{current:?} {timeout_ms}");
    }
}
