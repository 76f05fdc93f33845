//! A request's frame to what a handler is given, beside the decoders of the `kafka-protocol` crate,
//! which also copy no record.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use corelane::wire;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use kafka_protocol::messages::{FetchRequest, ProduceRequest, RequestHeader};
use kafka_protocol::protocol::Decodable;

use super::inputs::{batch, fetch_frame, produce_frame, KIB, SIZES};

pub fn benches(criterion: &mut Criterion) {
    let mut produce: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, size) in SIZES {
        produce.push((name.to_string(), produce_frame(&batch(size), 1)));
    }
    produce.push(("100 partitions of 1 KiB".to_string(), produce_frame(&batch(KIB), 100)));
    let mut group = super::group(criterion, "frame decode, Produce");
    for (name, frame) in &produce {
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_with_input(BenchmarkId::new("ours", name), frame, |b, frame| {
            b.iter_batched(|| BytesMut::from(&frame[..]), ours, BatchSize::SmallInput)
        });
        group.bench_with_input(BenchmarkId::new("kafka-protocol", name), frame, |b, frame| {
            b.iter_batched(
                || Bytes::copy_from_slice(frame),
                theirs::<ProduceRequest>,
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
    let mut group = super::group(criterion, "frame decode, Fetch");
    for partitions in [1, 100] {
        let (name, frame) = (format!("{partitions} partitions"), fetch_frame(partitions));
        group.throughput(Throughput::Elements(partitions as u64));
        group.bench_function(BenchmarkId::new("ours", &name), |b| {
            b.iter_batched(|| BytesMut::from(&frame[..]), our_fetch, BatchSize::SmallInput)
        });
        group.bench_function(BenchmarkId::new("kafka-protocol", &name), |b| {
            b.iter_batched(
                || Bytes::copy_from_slice(&frame),
                theirs::<FetchRequest>,
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
}

fn ours(mut frame: BytesMut) -> wire::produce::ProduceRequest {
    let header = wire::parse_header(&mut frame).expect("a header");
    wire::produce::parse(header.version, black_box(frame)).expect("a body")
}

fn our_fetch(mut frame: BytesMut) -> wire::fetch::FetchRequest {
    let header = wire::parse_header(&mut frame).expect("a header");
    wire::fetch::parse(header.version, black_box(frame).freeze()).expect("a body")
}

fn theirs<T: Decodable>(mut frame: Bytes) -> T {
    // Version 2 of the header, as all of these requests have.
    let header = RequestHeader::decode(&mut frame, 2).expect("a header");
    T::decode(black_box(&mut frame), header.request_api_version).expect("a body")
}
