//! What does each step of a record's way cost, and what would the obvious alternative? One file a
//! step; `benches/README.md` has the figures that were seen.
//!
//! `cargo bench --bench hot_path` takes a few minutes; a part of a name as its argument takes
//! only those (`-- mailbox`). In `cargo test` every benchmark runs once.

mod answers;
mod batches;
mod buffer;
mod checksum;
mod fetch;
mod frames;
mod index;
mod inputs;
mod mailbox;

use std::time::Duration;

use corelane::wire;
use criterion::measurement::WallTime;
use criterion::{criterion_group, criterion_main, BenchmarkGroup, Criterion};

/// The broker's own allocator: some of what is measured is allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A step of a record's way, and what it is measured beside.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700));
    group
}

criterion_group!(
    benches,
    frames::benches,
    batches::benches,
    checksum::benches,
    buffer::benches,
    index::benches,
    mailbox::benches,
    fetch::benches,
    answers::benches,
);
criterion_main!(benches);
