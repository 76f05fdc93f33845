//! A checked batch into its log (offsets, index, queue; its bytes stay where they are) beside a copy
//! of it behind the others; and the one copy there is, many batches into a write's buffer, beside
//! one memcpy of as many bytes.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

use super::inputs::{append, batch, log, log_of, plan, MIB, SIZES};

pub fn benches(criterion: &mut Criterion) {
    appends(criterion);
    writes(criterion);
}

/// Batches appended one after the other in each measurement.
const APPENDS: usize = 64;

fn appends(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "append, 64 batches");
    for (name, size) in SIZES {
        let batch = batch(size);
        group.throughput(Throughput::Bytes((APPENDS * batch.len()) as u64));
        group.bench_function(BenchmarkId::new("ours", name), |b| {
            let copies = || (log(), vec![BytesMut::from(&batch[..]); APPENDS]);
            b.iter_batched(
                copies,
                |(mut log, batches)| {
                    batches.into_iter().for_each(|batch| {
                        append(&mut log, batch);
                    });
                    log
                },
                BatchSize::PerIteration,
            )
        });
        group.bench_function(BenchmarkId::new("memcpy behind each other", name), |b| {
            // Written to before: new pages of the system would be measured otherwise.
            let mut buffer = vec![1; APPENDS * batch.len()];
            b.iter(|| {
                for place in buffer.chunks_exact_mut(batch.len()) {
                    place.copy_from_slice(black_box(&batch));
                }
            })
        });
    }
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "write of 1 MiB");
    for (name, size) in SIZES {
        let batch = batch(size);
        let mut log = log_of(&batch, (MIB / batch.len()).max(1));
        let plan = plan(&mut log);
        let mut buffer = vec![1; plan.len_bytes()];
        group.throughput(Throughput::Bytes(plan.len_bytes() as u64));
        group.bench_function(BenchmarkId::new("gathered of batches", name), |b| {
            b.iter(|| black_box(&plan).fill(&mut buffer))
        });
    }
    let (from, mut to) = (vec![2; MIB], vec![1; MIB]);
    group.throughput(Throughput::Bytes(MIB as u64));
    group.bench_function("one memcpy", |b| b.iter(|| to.copy_from_slice(black_box(&from))));
    group.finish();
}
