//! What consumers see of transactions, partition by partition: nothing that is not decided, nothing of
//! those that were aborted, and nothing that is in none.

mod support;

use bytes::Bytes;
use corelane_shards::log::batch::build::{self, Producer};
use corelane_shards::log::batch::BatchHeader;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, StrBytes};
use support::{eventually, Broker, Raw, Setup, MODES};

const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const TRANSACTION_ABORTABLE: i16 = 120;
const UNCOMMITTED: i8 = 0;
const COMMITTED: i8 = 1;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn app() -> TransactionalId {
    TransactionalId(text("app"))
}

type Identity = (i64, i16);

/// A broker with a topic of two partitions, and the producer of the transactional id "app".
fn start(mode: &'static str) -> (Broker, Raw, Identity) {
    let extra =
        "\"transaction.state.log.num.partitions\" = 3\n\"offsets.topic.num.partitions\" = 3";
    let extra = extra.to_string();
    let broker = Broker::start(Setup { extra, shards: 2, ..Setup::new(mode) });
    broker.run(&["topic", "create", "t", "--partitions", "2"], b"");
    let mut client = broker.client();
    for (kind, key) in [(1, "app"), (0, "g")] {
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(vec![text(key)]);
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &request);
        assert_eq!(found.coordinators[0].error_code, 0);
    }
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(app()))
        .with_transaction_timeout_ms(60_000);
    let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, 4, &request);
    assert_eq!(answer.error_code, 0);
    (broker, client, (answer.producer_id.0, answer.producer_epoch))
}

/// The error code of one record in one partition.
fn produce(
    client: &mut Raw,
    version: i16,
    id: Option<TransactionalId>,
    (producer, epoch): Identity,
    sequence: i32,
) -> i16 {
    let producer = Producer { id: producer, epoch, sequence };
    let mut batch = build::batch(&[b"record"], 1_000, Some(producer));
    batch[22] |= 0x10;
    build::seal(&mut batch);
    let data = PartitionProduceData::default().with_records(Some(Bytes::from(batch)));
    let topic = TopicProduceData::default()
        .with_name(TopicName(text("t")))
        .with_partition_data(vec![data.with_index(1)]);
    let request = ProduceRequest::default()
        .with_transactional_id(id)
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let answer: ProduceResponse = client.ask(ApiKey::Produce, version, &request);
    answer.responses[0].partition_responses[0].error_code
}

/// Ends the transaction; who the producer is from now on.
fn end(client: &mut Raw, (producer, epoch): Identity, commit: bool) -> Identity {
    let request = EndTxnRequest::default()
        .with_transactional_id(app())
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_committed(commit);
    let answer: EndTxnResponse = client.ask(ApiKey::EndTxn, 5, &request);
    assert_eq!(answer.error_code, 0);
    (answer.producer_id.0, answer.producer_epoch)
}

fn fetch_request(isolation: i8, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(TopicName(text("t")));
    FetchRequest::default()
        .with_isolation_level(isolation)
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(200)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic.with_partitions(vec![partition])])
}

fn fetch(client: &mut Raw, isolation: i8, offset: i64) -> PartitionData {
    let request = fetch_request(isolation, offset, 0);
    let mut answer: FetchResponse = client.ask(ApiKey::Fetch, 11, &request);
    answer.responses.remove(0).partitions.remove(0)
}

/// Base offsets of the batches that came.
fn offsets(data: &PartitionData) -> Vec<i64> {
    let mut rest = data.records.clone().unwrap_or_default();
    let mut offsets = Vec::new();
    while let Some(header) = BatchHeader::peek(&rest) {
        offsets.push(header.base_offset.get());
        rest = rest.slice(header.claimed_size() as usize..);
    }
    offsets
}

fn latest(client: &mut Raw, isolation: i8) -> i64 {
    let partition = ListOffsetsPartition::default().with_partition_index(1).with_timestamp(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic]);
    let answer: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 5, &request);
    answer.topics[0].partitions[0].offset
}

#[test]
fn what_is_not_decided_is_not_shown_and_what_was_aborted_is_named() {
    for mode in MODES {
        let (broker, mut client, producer) = start(mode);
        assert_eq!(produce(&mut client, 12, Some(app()), producer, 0), 0);
        assert_eq!(produce(&mut client, 12, Some(app()), producer, 1), 0);
        let open = fetch(&mut client, COMMITTED, 0);
        assert_eq!(offsets(&open), [0; 0]);
        assert_eq!((open.high_watermark, open.last_stable_offset), (2, 0));
        assert_eq!(offsets(&fetch(&mut client, UNCOMMITTED, 0)), [0, 1]);
        assert_eq!((latest(&mut client, COMMITTED), latest(&mut client, UNCOMMITTED)), (0, 2));

        // A reader who waits for more than a marker's bytes gets what the marker shows.
        let mut reader = broker.client();
        reader.send(ApiKey::Fetch, 11, &fetch_request(COMMITTED, 0, 19_000));
        let producer = end(&mut client, producer, true);
        let (_, mut body) = reader.receive().expect("answers");
        let answer = FetchResponse::decode(&mut body, 11).expect("decodes");
        assert_eq!(offsets(&answer.responses[0].partitions[0]), [0, 1, 2]);

        assert_eq!(produce(&mut client, 12, Some(app()), producer, 0), 0);
        let (id, _) = end(&mut client, producer, false);
        eventually("the marker", || latest(&mut client, COMMITTED) == 5);
        let all = fetch(&mut client, COMMITTED, 0);
        assert_eq!(offsets(&all), [0, 1, 2, 3, 4]);
        let aborted = all.aborted_transactions.expect("a list");
        let aborted: Vec<_> = aborted.iter().map(|a| (a.producer_id.0, a.first_offset)).collect();
        assert_eq!(aborted, [(id, 3)]);
        let early = fetch(&mut client, COMMITTED, 5);
        assert_eq!(early.aborted_transactions.expect("a list").len(), 0);
        assert!(fetch(&mut client, UNCOMMITTED, 0).aborted_transactions.is_none());
    }
}

#[test]
fn a_batch_of_no_transaction_is_refused() {
    for mode in MODES {
        let (_broker, mut client, producer) = start(mode);
        let (id, epoch) = producer;
        let mut refused = |version, id, producer| produce(&mut client, version, id, producer, 0);
        assert_eq!(refused(11, Some(app()), producer), TRANSACTION_ABORTABLE);
        assert_eq!(refused(9, Some(app()), producer), INVALID_TXN_STATE);
        assert_eq!(refused(12, None, producer), TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        assert_eq!(refused(12, Some(app()), (id, epoch - 1)), INVALID_PRODUCER_EPOCH);
        let stranger = (id + 7_000, 0);
        assert_eq!(refused(12, Some(app()), stranger), INVALID_PRODUCER_ID_MAPPING);
        let unknown = Some(TransactionalId(text("nobody")));
        assert_eq!(refused(12, unknown, producer), INVALID_PRODUCER_ID_MAPPING);
        assert_eq!(latest(&mut client, UNCOMMITTED), 0, "nothing was appended");
        // One that comes after the end begins no transaction that nobody ends.
        assert_eq!(produce(&mut client, 12, Some(app()), producer, 0), 0);
        end(&mut client, producer, true);
        eventually("the marker", || latest(&mut client, COMMITTED) == 2);
        let late = produce(&mut client, 12, Some(app()), producer, 1);
        assert_eq!(late, INVALID_PRODUCER_EPOCH);
    }
}

/// Error code and offset that a group has committed.
fn committed(client: &mut Raw, stable: bool) -> (i16, i64) {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![1]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("g")))
        .with_topics(Some(vec![topic]));
    let request =
        OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
    let answer: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 8, &request);
    let partition = &answer.groups[0].topics[0].partitions[0];
    (partition.error_code, partition.committed_offset)
}

#[test]
fn offsets_count_with_their_transaction_also_over_a_crash() {
    for mode in MODES {
        let (broker, mut client, (id, epoch)) = start(mode);
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(1)
            .with_committed_offset(44)
            .with_committed_metadata(Some(text("")));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partitions(vec![partition]);
        let commit = |client: &mut Raw, version, epoch| {
            let request = TxnOffsetCommitRequest::default()
                .with_transactional_id(app())
                .with_group_id(GroupId(text("g")))
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(epoch)
                .with_topics(vec![topic.clone()]);
            let answer: TxnOffsetCommitResponse =
                client.ask(ApiKey::TxnOffsetCommit, version, &request);
            answer.topics[0].partitions[0].error_code
        };
        assert_eq!(commit(&mut client, 4, epoch), TRANSACTION_ABORTABLE);
        assert_eq!(commit(&mut client, 3, epoch), INVALID_TXN_STATE);
        assert_eq!(commit(&mut client, 5, epoch), 0);
        assert_eq!(committed(&mut client, false), (0, -1));
        assert_eq!(committed(&mut client, true), (UNSTABLE_OFFSET_COMMIT, -1));
        let broker = broker.crash_and_restart_in_place();
        let mut client = broker.client();
        eventually("groups are loaded", || {
            committed(&mut client, true).0 == UNSTABLE_OFFSET_COMMIT
        });
        end(&mut client, (id, epoch), true);
        eventually("the marker", || committed(&mut client, true) == (0, 44));
    }
}
