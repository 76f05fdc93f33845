//! A response to its frame, beside the encoders of the `kafka-protocol` crate; for Fetch they copy
//! the records, ours puts them between its pieces.

use std::hint::black_box;

use bytes::Bytes;
use corelane::wire::{self, ApiKey, RequestHeader, StrBytes};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{FetchResponse, ProduceResponse, TopicName};
use kafka_protocol::protocol::Encodable;

use super::inputs::{
    batch, fetch_response, produce_response, FETCH_VERSION, KIB, PRODUCE_VERSION, TOPIC,
};

pub fn benches(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "response encode, Produce");
    for partitions in [1, 100] {
        let name = format!("{partitions} partitions");
        group.throughput(Throughput::Elements(partitions as u64));
        let response = produce_response(partitions);
        group.bench_function(BenchmarkId::new("ours", &name), |b| {
            b.iter(|| wire::produce::encode(black_box(&response), PRODUCE_VERSION, 7))
        });
        let response = their_produce(partitions);
        group.bench_function(BenchmarkId::new("kafka-protocol", &name), |b| {
            b.iter(|| encoded(ApiKey::Produce, PRODUCE_VERSION, black_box(&response)))
        });
    }
    group.finish();
    let mut group = super::group(criterion, "response encode, Fetch");
    for (partitions, size) in [(1, 16 * KIB), (100, 16 * KIB)] {
        let name = format!("{partitions} partitions of 16 KiB");
        let records = Bytes::from(batch(size));
        group.throughput(Throughput::Bytes((partitions * records.len()) as u64));
        let response = fetch_response(partitions, std::slice::from_ref(&records));
        group.bench_function(BenchmarkId::new("ours", &name), |b| {
            b.iter_batched(
                || response.clone(),
                |response| wire::fetch::encode(response, FETCH_VERSION, 7),
                BatchSize::SmallInput,
            )
        });
        let response = their_fetch(partitions, &records);
        group.bench_function(BenchmarkId::new("kafka-protocol", &name), |b| {
            b.iter(|| encoded(ApiKey::Fetch, FETCH_VERSION, black_box(&response)))
        });
    }
    group.finish();
}

fn encoded(key: ApiKey, version: i16, response: &impl Encodable) -> Bytes {
    let header = RequestHeader { key, version, correlation_id: 7, client_id: None };
    wire::encode_response(&header, response).expect("encodes")
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn their_produce(partitions: usize) -> ProduceResponse {
    let one = |index| {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_base_offset(1_000_000)
            .with_log_start_offset(0)
    };
    let topic = TopicProduceResponse::default()
        .with_name(topic())
        .with_partition_responses((0..partitions as i32).map(one).collect());
    ProduceResponse::default().with_responses(vec![topic])
}

fn their_fetch(partitions: usize, records: &Bytes) -> FetchResponse {
    let one = |index| {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(2_000_000)
            .with_last_stable_offset(2_000_000)
            .with_log_start_offset(0)
            .with_records(Some(records.clone()))
    };
    let topic = FetchableTopicResponse::default()
        .with_topic(topic())
        .with_partitions((0..partitions as i32).map(one).collect());
    FetchResponse::default().with_responses(vec![topic])
}
