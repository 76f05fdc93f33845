//! Clients that report metrics of themselves (KIP-714): who is told to, what they are told, and what of
//! their pushes is taken.

mod support;

use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::configs::{alter, Change, CLIENT_METRICS, DELETE, INVALID_CONFIG, SET};
use support::{eventually, Broker, Raw, Setup};
use uuid::Uuid;

const THROTTLED: i16 = 89;

fn subscribe(broker: &Broker, name: &str, settings: &[(&str, &str)]) -> i16 {
    let changes: Vec<Change<'_>> =
        settings.iter().map(|(name, value)| (*name, SET, Some(*value))).collect();
    alter(broker, CLIENT_METRICS, name, &changes)
}

/// Connects as `software` does; whether reports of metrics are offered.
fn connect(broker: &Broker, software: &str) -> (Raw, bool) {
    let mut client = broker.client();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_string(software.to_string()))
        .with_client_software_version(StrBytes::from_static_str("1.2"));
    let response: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &request);
    let has = |key| response.api_keys.iter().any(|api| api.api_key == key as i16);
    let (get, push) = (has(ApiKey::GetTelemetrySubscriptions), has(ApiKey::PushTelemetry));
    assert_eq!(get, push);
    (client, get)
}

fn ask(client: &mut Raw, id: Uuid) -> GetTelemetrySubscriptionsResponse {
    let request = GetTelemetrySubscriptionsRequest::default().with_client_instance_id(id);
    client.ask(ApiKey::GetTelemetrySubscriptions, 0, &request)
}

/// Metrics that a client is told to report, and how often.
fn told(client: &mut Raw) -> (Vec<String>, i32) {
    let told = ask(client, Uuid::nil());
    assert_eq!(told.error_code, 0);
    (told.requested_metrics.iter().map(ToString::to_string).collect(), told.push_interval_ms)
}

#[test]
fn reports_are_offered_while_there_is_a_subscription_and_asked_of_whom_it_means() {
    let broker = Broker::start(Setup::new("single"));
    assert!(!connect(&broker, "any").1, "nobody wants any");
    let wrong = subscribe(&broker, "wrong", &[("match", "client_software_name=(")]);
    assert_eq!(wrong, INVALID_CONFIG);
    assert!(!connect(&broker, "any").1);

    let meant = "client_software_name=lib.*,client_id=test,client_source_address=127\\.0\\.0\\.1";
    let settings = [("metrics", "b,a"), ("interval.ms", "60000"), ("match", meant)];
    assert_eq!(subscribe(&broker, "ours", &settings), 0);
    let (mut ours, offered) = connect(&broker, "library");
    let (mut other, _) = connect(&broker, "other");
    assert!(offered);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(&mut ours), (names(&["a", "b"]), 60_000));
    assert_eq!(told(&mut other), (names(&[]), 300_000));
    assert_eq!(subscribe(&broker, "all", &[("metrics", "*"), ("interval.ms", "30000")]), 0);
    assert_eq!(told(&mut ours), (names(&["*"]), 30_000));
    assert_eq!(told(&mut other), (names(&["*"]), 30_000));

    drop((ours, other));
    let broker = broker.crash_and_restart();
    let (mut ours, offered) = connect(&broker, "library");
    assert!(offered);
    assert_eq!(told(&mut ours), (names(&["*"]), 30_000));
    let gone = [("metrics", DELETE, None), ("interval.ms", DELETE, None)];
    assert_eq!(alter(&broker, CLIENT_METRICS, "all", &gone), 0);
    assert_eq!(told(&mut ours), (names(&["a", "b"]), 60_000));
    let gone = [("metrics", DELETE, None), ("interval.ms", DELETE, None), ("match", DELETE, None)];
    assert_eq!(alter(&broker, CLIENT_METRICS, "ours", &gone), 0);
    assert!(!connect(&broker, "library").1);
}

#[test]
fn what_clients_push_is_checked() {
    let broker = Broker::start(Setup::new("single"));
    assert_eq!(subscribe(&broker, "all", &[("metrics", "*"), ("interval.ms", "300000")]), 0);
    let (mut client, _) = connect(&broker, "library");
    let told = ask(&mut client, Uuid::nil());
    assert_eq!(told.error_code, 0);
    assert!(!told.client_instance_id.is_nil() && told.delta_temporality);
    assert_eq!((told.push_interval_ms, told.telemetry_max_bytes), (300_000, 1 << 20));
    assert_eq!(told.accepted_compression_types, [4, 3, 1, 2]);
    let id = told.client_instance_id;
    assert_eq!(ask(&mut client, id).error_code, THROTTLED, "too early");
    let push = |client: &mut Raw, id, subscription, codec, terminating| {
        let request = PushTelemetryRequest::default()
            .with_client_instance_id(id)
            .with_subscription_id(subscription)
            .with_compression_type(codec)
            .with_terminating(terminating)
            .with_metrics(vec![1, 2, 3].into());
        let response: PushTelemetryResponse = client.ask(ApiKey::PushTelemetry, 0, &request);
        response.error_code
    };
    assert_eq!(push(&mut client, Uuid::nil(), 0, 0, false), 42);
    assert_eq!(push(&mut client, id, told.subscription_id, 4, false), 0);
    assert_eq!(push(&mut client, id, told.subscription_id, 4, false), THROTTLED);
    assert_eq!(push(&mut client, id, told.subscription_id, 4, true), 0, "the last may come");
    assert_eq!(push(&mut client, id, told.subscription_id, 4, true), 42, "that was the last");
    let other = Uuid::from_u128(99);
    assert_eq!(push(&mut client, other, 1, 4, false), 117, "another subscription");
    assert_eq!(ask(&mut client, other).error_code, 0, "it may ask at once");
    let third = ask(&mut client, Uuid::nil());
    let codec = push(&mut client, third.client_instance_id, third.subscription_id, 9, false);
    assert_eq!(codec, 76, "no codec");
    drop(client);

    // One that comes back may ask at once, on whichever shard, once its old connection is known to be gone.
    let (mut client, _) = connect(&broker, "library");
    let told = ask(&mut client, Uuid::nil());
    let id = told.client_instance_id;
    drop(client);
    let (mut client, _) = connect(&broker, "library");
    let mut before = ask(&mut client, id);
    eventually("the old connection is gone", || {
        if before.error_code == THROTTLED {
            before = ask(&mut client, id);
        }
        before.error_code != THROTTLED
    });
    assert_eq!((before.error_code, before.subscription_id), (0, told.subscription_id));
    // Another subscription has another number, and is told at once.
    assert_eq!(subscribe(&broker, "all", &[("interval.ms", "100")]), 0);
    let after = ask(&mut client, id);
    assert_eq!((after.error_code, after.push_interval_ms), (0, 100));
    assert_ne!(after.subscription_id, before.subscription_id);
    assert_eq!(push(&mut client, id, before.subscription_id, 0, false), 117);
}
