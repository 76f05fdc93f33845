//! A fetch of 1 MiB put together: out of the tail, and out of blocks that were read from disk, when
//! their batches are checked for the first time and when they have been; beside a copy of as many
//! bytes into one frame.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use corelane::wire;
use corelane_shards::log::bench::{index_of, keep_blocks, serve_blocks, BlockCache};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

use super::inputs::{batch, fetch_response, log_of, segment, FETCH_VERSION, MIB, SIZES};

/// A log holds so much, and so much of it is asked for.
const LOG_BYTES: usize = 2 * MIB;
const ASKED_BYTES: usize = MIB;

pub fn benches(criterion: &mut Criterion) {
    let mut group = super::group(criterion, "fetch of 1 MiB");
    for (name, size) in SIZES {
        let batch = batch(size);
        let batches = LOG_BYTES / batch.len();
        let log = log_of(&batch, batches);
        let end = log.log_end();
        let per_batch = end / batches as i64;
        let from = per_batch * (batches as i64 / 2 - 1);
        group.throughput(Throughput::Bytes(ASKED_BYTES as u64));
        group.bench_function(BenchmarkId::new("from the tail", name), |b| {
            b.iter(|| {
                let records = log.read_tail(black_box(from), end, ASKED_BYTES, true);
                answer(&records.expect("is in memory"))
            })
        });
        let segment = segment(&batch, batches);
        let index = index_of(&batch, batches as u64, 4096);
        let cold = || {
            let blocks = BlockCache::new(4 * LOG_BYTES);
            keep_blocks(&blocks, &segment);
            blocks
        };
        let serve = |blocks: &BlockCache| {
            let position = index.position_before(black_box(from) as u32);
            // Where the entry is not the batch itself, a reader walks on to it.
            let position = position - position % batch.len() as u64;
            answer(&serve_blocks(blocks, position..position + ASKED_BYTES as u64, end))
        };
        let id = BenchmarkId::new("from blocks just read", name);
        group.bench_function(id, |b| {
            b.iter_batched_ref(cold, |blocks| serve(blocks), BatchSize::SmallInput)
        });
        let blocks = cold();
        group.bench_function(BenchmarkId::new("from blocks checked before", name), |b| {
            b.iter(|| serve(&blocks))
        });
    }
    let bytes = vec![7; ASKED_BYTES];
    let mut frame = BytesMut::zeroed(ASKED_BYTES);
    group.bench_function("one memcpy", |b| b.iter(|| frame.copy_from_slice(black_box(&bytes))));
    group.finish();
}

fn answer(records: &[Bytes]) -> Vec<Bytes> {
    wire::fetch::encode(fetch_response(1, records), FETCH_VERSION, 7)
}
