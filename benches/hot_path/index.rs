//! Where in a segment to start looking for an offset: our search in a full segment's index (1 GiB,
//! an entry for each 4 KiB) beside the standard library's in the same entries, an ordered map, and
//! Kafka's way, a search in the bytes of the file.

use std::collections::BTreeMap;
use std::hint::black_box;

use corelane_shards::log::bench::index_of;
use criterion::Criterion;

use super::inputs::{batch, KIB};

const SEGMENT_BYTES: u64 = 1 << 30;

pub fn benches(criterion: &mut Criterion) {
    let batch = batch(4 * KIB);
    let index = index_of(&batch, SEGMENT_BYTES / batch.len() as u64, 4 << 10);
    let entries = index.positions().to_vec();
    let map: BTreeMap<u32, u32> = entries.iter().copied().collect();
    let (file, _) = index.encode();
    let last = entries[entries.len() - 1].0;
    let mut group = super::group(criterion, "index lookup");
    let mut offsets = Offsets(1);
    group.bench_function("ours", |b| {
        b.iter(|| index.position_before(black_box(offsets.next(last))))
    });
    group.bench_function("binary_search_by_key", |b| {
        b.iter(|| {
            let offset = black_box(offsets.next(last));
            match entries.binary_search_by_key(&offset, |entry| entry.0) {
                Ok(at) => entries[at].1,
                Err(0) => 0,
                Err(after) => entries[after - 1].1,
            }
        })
    });
    group.bench_function("BTreeMap", |b| {
        b.iter(|| {
            let offset = black_box(offsets.next(last));
            map.range(..=offset).next_back().map_or(0, |(_, position)| *position)
        })
    });
    group.bench_function("in the file's bytes", |b| {
        b.iter(|| in_bytes(&file, black_box(offsets.next(last))))
    });
    group.finish();
}

/// Offsets from all over the segment, as readers of old data ask for them.
struct Offsets(u64);

impl Offsets {
    fn next(&mut self, last: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (((self.0 >> 32) * u64::from(last)) >> 32) as u32
    }
}

fn in_bytes(file: &[u8], offset: u32) -> u32 {
    let entry = |at: usize| {
        let bytes = |from: usize| {
            u32::from_be_bytes([file[from], file[from + 1], file[from + 2], file[from + 3]])
        };
        (bytes(at * 8), bytes(at * 8 + 4))
    };
    let (mut low, mut high) = (0, file.len() / 8);
    while low < high {
        let middle = (low + high) / 2;
        match entry(middle).0 <= offset {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low.checked_sub(1).map_or(0, |at| entry(at).1)
}
