//! A producer's batch: checked (all of what Kafka asks, every record walked) beside its checksum
//! alone, which is the least that any check costs, and the `kafka-protocol` crate's decoder; and
//! patched, beside a header that is parsed and written again.

use std::hint::black_box;

use bytes::Bytes;
use corelane_shards::log::batch::{assign, check_produced, stamp_append_time, BatchHeader};
use criterion::{BenchmarkId, Criterion, Throughput};
use kafka_protocol::records::RecordBatchDecoder;
use zerocopy::IntoBytes;

use super::inputs::{batch, NOW_MS, SIZES};

pub fn benches(criterion: &mut Criterion) {
    validation(criterion);
    patch(criterion);
    stamp(criterion);
}

fn validation(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "batch validation");
    for (name, size) in SIZES {
        let batch = batch(size);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new("ours", name), |b| {
            b.iter(|| check_produced(black_box(&batch)).expect("is good"))
        });
        group.bench_function(BenchmarkId::new("its checksum alone", name), |b| {
            b.iter(|| crc32c::crc32c(black_box(&batch[21..])))
        });
        let bytes = Bytes::from(batch);
        group.bench_function(BenchmarkId::new("kafka-protocol decodes", name), |b| {
            b.iter(|| {
                let mut bytes = black_box(&bytes).clone();
                RecordBatchDecoder::decode(&mut bytes).expect("is good").records.len()
            })
        });
    }
    group.finish();
}

/// Base offset and leader epoch: no checksum covers them.
fn patch(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "header patch, offset and epoch");
    let mut batch = batch(100);
    let mut offset = 0;
    group.bench_function("ours", |b| {
        b.iter(|| {
            offset += 1;
            assign(black_box(&mut batch), offset, 3);
        })
    });
    group.bench_function("header parsed and written", |b| {
        b.iter(|| {
            offset += 1;
            let batch: &mut [u8] = black_box(&mut batch);
            let mut header = BatchHeader::peek(batch).expect("a header");
            header.base_offset.set(offset);
            header.partition_leader_epoch.set(3);
            batch[..header.as_bytes().len()].copy_from_slice(header.as_bytes());
        })
    });
    group.finish();
}

/// The broker's time: its checksum is computed anew.
fn stamp(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "header patch, append time");
    for (name, size) in SIZES {
        let mut batch = batch(size);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new("ours", name), |b| {
            b.iter(|| stamp_append_time(black_box(&mut batch), NOW_MS))
        });
        group.bench_function(BenchmarkId::new("its checksum alone", name), |b| {
            b.iter(|| crc32c::crc32c(black_box(&batch[21..])))
        });
    }
    group.finish();
}
