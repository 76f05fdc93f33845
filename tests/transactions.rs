//! The coordinator of transactions, request by request.

mod support;

use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use support::{eventually, Broker, Raw, Setup, MODES};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const OPERATION_NOT_ATTEMPTED: i16 = 55;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTIONAL_ID_NOT_FOUND: i16 = 105;
const TRANSACTION_ABORTABLE: i16 = 120;

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
    ];
    for (name, current, timeout_ms, code) in cases {
        let told = init(&mut client, name, 4, current, timeout_ms);
        assert_eq!(told, (code, -1, -1), "{current:?} {timeout_ms}");
    }
    let longest = "x".repeat(i16::MAX as usize);
    assert_eq!(init(&mut client, &longest, 4, (-1, -1), 5_000).0, 0);
}

type Identity = (i64, i16);

fn topics(topic: &str, partitions: &[i32]) -> Vec<AddPartitionsToTxnTopic> {
    let name = TopicName(StrBytes::from_string(topic.to_string()));
    vec![AddPartitionsToTxnTopic::default().with_name(name).with_partitions(partitions.to_vec())]
}

/// Error code of each partition.
fn add(
    client: &mut Raw,
    version: i16,
    name: &str,
    (producer, epoch): Identity,
    topics: Vec<AddPartitionsToTxnTopic>,
) -> Vec<i16> {
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(name))
        .with_v3_and_below_producer_id(ProducerId(producer))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(topics);
    let answer: AddPartitionsToTxnResponse =
        client.ask(ApiKey::AddPartitionsToTxn, version, &request);
    let topics = answer.results_by_topic_v3_and_below.into_iter();
    topics.flat_map(|t| t.results_by_partition).map(|p| p.partition_error_code).collect()
}

/// [`add`] or only the question, as brokers have it.
fn add_by_broker(
    client: &mut Raw,
    name: &str,
    (producer, epoch): Identity,
    verify_only: bool,
    topics: Vec<AddPartitionsToTxnTopic>,
) -> Vec<i16> {
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(id(name))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_verify_only(verify_only)
        .with_topics(topics);
    let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
    let answer: AddPartitionsToTxnResponse = client.ask(ApiKey::AddPartitionsToTxn, 5, &request);
    let topics = answer.results_by_transaction.into_iter().flat_map(|t| t.topic_results);
    topics.flat_map(|t| t.results_by_partition).map(|p| p.partition_error_code).collect()
}

/// Error code, and who the producer is from now on.
fn end(
    client: &mut Raw,
    version: i16,
    name: &str,
    (producer, epoch): Identity,
    commit: bool,
) -> (i16, Identity) {
    let request = EndTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_committed(commit);
    let answer: EndTxnResponse = client.ask(ApiKey::EndTxn, version, &request);
    (answer.error_code, (answer.producer_id.0, answer.producer_epoch))
}

fn describe(client: &mut Raw, name: &str) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id(name)]);
    let mut answer: DescribeTransactionsResponse =
        client.ask(ApiKey::DescribeTransactions, 0, &request);
    answer.transaction_states.remove(0)
}

fn comes_to(client: &mut Raw, name: &str, state: &str) {
    eventually(state, || *describe(client, name).transaction_state == *state);
}

fn listed(client: &mut Raw, states: &[&'static str], longer_than_ms: i64) -> Vec<String> {
    let states = states.iter().map(|state| StrBytes::from_static_str(state)).collect();
    let request = ListTransactionsRequest::default()
        .with_state_filters(states)
        .with_duration_filter(longer_than_ms);
    let answer: ListTransactionsResponse = client.ask(ApiKey::ListTransactions, 1, &request);
    let unknown = answer.unknown_state_filters.iter().map(|state| format!("?{state}"));
    let ids = answer.transaction_states.iter().map(|t| t.transactional_id.to_string());
    let mut all: Vec<String> = unknown.chain(ids).collect();
    all.sort();
    all
}

#[test]
fn an_older_client_adds_ends_and_is_fenced() {
    for mode in MODES {
        let (broker, mut client) = broker(mode, "");
        broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
        let (_, producer, epoch) = init(&mut client, "app", 4, (-1, -1), 60_000);
        let me = (producer, epoch);
        let cases: [(&str, Identity, Vec<AddPartitionsToTxnTopic>, &[i16]); 5] = [
            (
                "app",
                me,
                topics("t", &[0, 9]),
                &[OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION],
            ),
            ("other", me, topics("t", &[0]), &[INVALID_PRODUCER_ID_MAPPING]),
            ("app", (producer + 1, 0), topics("t", &[0]), &[INVALID_PRODUCER_ID_MAPPING]),
            ("app", (producer, 7), topics("t", &[0]), &[PRODUCER_FENCED]),
            ("", me, topics("t", &[0]), &[INVALID_REQUEST]),
        ];
        for (name, who, topics, codes) in cases {
            assert_eq!(add(&mut client, 3, name, who, topics), codes, "{name} {who:?}");
        }
        assert_eq!(end(&mut client, 3, "app", me, true).0, INVALID_TXN_STATE);
        assert_eq!(add(&mut client, 3, "app", me, topics("t", &[0, 3])), [0, 0]);
        assert_eq!(add(&mut client, 0, "app", me, topics("t", &[1])), [0]);
        let described = describe(&mut client, "app");
        assert_eq!(&*described.transaction_state, "Ongoing");
        assert_eq!(described.topics[0].partitions, [0, 1, 3]);
        assert_eq!((described.producer_id.0, described.producer_epoch), me);
        assert!(described.transaction_start_time_ms > 0);
        assert_eq!(end(&mut client, 3, "app", me, true), (0, (-1, -1)));
        comes_to(&mut client, "app", "CompleteCommit");
        assert_eq!(end(&mut client, 3, "app", me, true).0, 0, "a retry");
        assert_eq!(end(&mut client, 3, "app", me, false).0, INVALID_TXN_STATE);
        // A new one ends what the old one has begun.
        assert_eq!(add(&mut client, 3, "app", me, topics("t", &[2])), [0]);
        assert_eq!(init(&mut client, "app", 4, (-1, -1), 60_000).0, CONCURRENT_TRANSACTIONS);
        let mut second = (0, 0, 0);
        eventually("the old one's transaction is aborted", || {
            second = init(&mut client, "app", 4, (-1, -1), 60_000);
            second.0 == 0
        });
        assert!(second.1 == producer && second.2 > epoch);
        assert_eq!(add(&mut client, 3, "app", me, topics("t", &[2])), [PRODUCER_FENCED]);
        assert_eq!(add(&mut client, 1, "app", me, topics("t", &[2])), [INVALID_PRODUCER_EPOCH]);
        assert_eq!(end(&mut client, 1, "app", me, true).0, INVALID_PRODUCER_EPOCH);
    }
}

#[test]
fn a_newer_client_has_a_new_epoch_after_each_end() {
    let (broker, mut client) = broker("single", "");
    broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
    let (_, producer, _) = init(&mut client, "app", 5, (-1, -1), 60_000);
    let ask = |client: &mut Raw, epoch, verify, of: &[i32]| {
        add_by_broker(client, "app", (producer, epoch), verify, topics("t", of))
    };
    assert_eq!(ask(&mut client, 0, true, &[0]), [TRANSACTION_ABORTABLE]);
    for turn in 0..20 {
        let (epoch, commit) = (turn, turn % 2 == 0);
        // At once, though the markers of the last one may still be on their way.
        assert_eq!(ask(&mut client, epoch, false, &[0, 1]), [0, 0]);
        assert_eq!(ask(&mut client, epoch, true, &[1, 2]), [0, TRANSACTION_ABORTABLE]);
        let ended = (0, (producer, epoch + 1));
        assert_eq!(end(&mut client, 5, "app", (producer, epoch), commit), ended);
        comes_to(&mut client, "app", if commit { "CompleteCommit" } else { "CompleteAbort" });
        assert_eq!(end(&mut client, 5, "app", (producer, epoch), commit), ended, "a retry");
        let otherwise = end(&mut client, 5, "app", (producer, epoch), !commit);
        assert_eq!(otherwise.0, INVALID_TXN_STATE);
        assert_eq!(ask(&mut client, epoch, false, &[0]), [PRODUCER_FENCED]);
    }
    assert_eq!(end(&mut client, 5, "app", (producer, 20), true).0, INVALID_TXN_STATE);
    assert_eq!(end(&mut client, 5, "app", (producer, 20), false), (0, (producer, 21)), "empty");
}

#[test]
fn transactions_go_on_after_a_crash_and_are_aborted_in_time() {
    for mode in MODES {
        let quick = "\"transaction.abort.timed.out.transaction.cleanup.interval.ms\" = 100";
        let (broker, mut client) = broker(mode, quick);
        broker.run(&["topic", "create", "t", "--partitions", "4"], b"");
        let (_, slow, _) = init(&mut client, "slow", 4, (-1, -1), 60_000);
        let (_, late, _) = init(&mut client, "late", 4, (-1, -1), 500);
        for (name, producer) in [("slow", slow), ("late", late)] {
            let added = add(&mut client, 3, name, (producer, 0), topics("t", &[0, 1, 2, 3]));
            assert_eq!(added, [0; 4]);
        }
        let broker = broker.crash_and_restart();
        let mut client = broker.client();
        comes_to(&mut client, "slow", "Ongoing");
        comes_to(&mut client, "late", "CompleteAbort");
        let topics = topics("t", &[0]);
        assert_eq!(add(&mut client, 3, "late", (late, 0), topics), [PRODUCER_FENCED]);
        // Decided, and perhaps not done when it crashes.
        assert_eq!(end(&mut client, 3, "slow", (slow, 0), true).0, 0);
        let broker = broker.crash_and_restart();
        let mut client = broker.client();
        comes_to(&mut client, "slow", "CompleteCommit");
        assert_eq!(describe(&mut client, "slow").topics, []);
        let _ = broker;
    }
}

#[test]
fn ids_are_listed_by_state_and_duration_and_forgotten_when_they_are_not_used() {
    let quick = "\"transactional.id.expiration.ms\" = 1500
\"transaction.remove.expired.transaction.cleanup.interval.ms\" = 100";
    let (broker, mut client) = broker("single", quick);
    broker.run(&["topic", "create", "t"], b"");
    let (_, producer, _) = init(&mut client, "busy", 4, (-1, -1), 60_000);
    assert_eq!(init(&mut client, "idle", 4, (-1, -1), 60_000).0, 0);
    assert_eq!(add(&mut client, 3, "busy", (producer, 0), topics("t", &[0])), [0]);
    assert_eq!(listed(&mut client, &[], -1), ["busy", "idle"]);
    assert_eq!(listed(&mut client, &["Ongoing", "Odd"], -1), ["?Odd", "busy"]);
    assert_eq!(listed(&mut client, &["Empty", "Dead"], -1), ["idle"]);
    assert_eq!(listed(&mut client, &["Ongoing"], 3_600_000), [""; 0]);
    eventually("forgotten", || {
        describe(&mut client, "idle").error_code == TRANSACTIONAL_ID_NOT_FOUND
    });
    assert_eq!(listed(&mut client, &[], -1), ["busy"]);
    assert_eq!(describe(&mut client, "").error_code, INVALID_REQUEST);
}

fn producer(broker: &Broker, name: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("transactional.id", name)
        .set("transaction.timeout.ms", "20000")
        .create()
        .expect("a producer")
}

fn consumer(broker: &Broker, isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", "readers")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer")
}

/// All values of a topic with one partition.
fn read(broker: &Broker, topic: &str, isolation: &str) -> Vec<String> {
    let consumer = consumer(broker, isolation);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).expect("adds");
    consumer.assign(&from).expect("assigns");
    let mut values = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(20)).expect("the end comes") {
            Ok(record) => {
                let value = record.payload().unwrap_or_default();
                values.push(String::from_utf8_lossy(value).into_owned());
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => return values,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn librdkafkas_transactions_are_seen_whole_or_not_at_all() {
    let limit = Duration::from_secs(20);
    for mode in MODES {
        let (broker, _client) = broker(mode, "\"offsets.topic.num.partitions\" = 3");
        broker.run(&["topic", "create", "a"], b"");
        broker.run(&["topic", "create", "b"], b"");
        let producer = producer(&broker, "app");
        producer.init_transactions(limit).expect("starts");
        for turn in 0..6 {
            producer.begin_transaction().expect("begins");
            for topic in ["a", "b"] {
                let value = format!("{turn}");
                producer.send(BaseRecord::<(), _>::to(topic).payload(&value)).expect("sends");
            }
            let reader = consumer(&broker, "read_committed");
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset("a", 0, Offset::Offset(turn)).expect("adds");
            let group = reader.group_metadata().expect("is there");
            producer.send_offsets_to_transaction(&offsets, &group, limit).expect("is added");
            producer.flush(limit).expect("sends");
            match turn % 2 {
                0 => producer.commit_transaction(limit).expect("commits"),
                _ => producer.abort_transaction(limit).expect("aborts"),
            }
        }
        for topic in ["a", "b"] {
            eventually("the markers are there", || {
                read(&broker, topic, "read_committed") == ["0", "2", "4"]
            });
        }
        let reader = consumer(&broker, "read_committed");
        let mut asked = TopicPartitionList::new();
        asked.add_partition("a", 0);
        eventually("the offset is committed", || {
            let committed = reader.committed_offsets(asked.clone(), limit).expect("answers");
            committed.elements()[0].offset() == Offset::Offset(4)
        });
    }
}
