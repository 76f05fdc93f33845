//! CRC32C: the `crc32c` crate (the processor's own instruction, three at a time) beside `crc-fast`
//! (carry-less multiplication on wide registers), and the one pass over memory that a copy is.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};

use super::inputs::{batch, SIZES};

pub fn benches(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "CRC32C");
    for (name, size) in SIZES {
        let batch = batch(size);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new("crc32c, as used", name), |b| {
            b.iter(|| crc32c::crc32c(black_box(&batch)))
        });
        group.bench_function(BenchmarkId::new("crc-fast", name), |b| {
            b.iter(|| crc_fast::crc32_iscsi(black_box(&batch)))
        });
        let mut copy = batch.clone();
        group.bench_function(BenchmarkId::new("memcpy", name), |b| {
            b.iter(|| copy.copy_from_slice(black_box(&batch)))
        });
    }
    group.finish();
}
