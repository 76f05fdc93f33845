//! What is counted: the path of a Produce and of a Fetch request in memory, without sockets, disk
//! and tasks, each for several requests, so that what happens now and then (a queue that grows) is
//! in it.

// gungraun's macros make functions that look unused.
#![allow(clippy::needless_pass_by_value)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use corelane_shards::log::batch::{check_produced, stamp_append_time};
use corelane_shards::log::bench::{
    index_of, keep_blocks, serve_blocks, BlockCache, SegmentIndex, WritePlan,
};
use corelane_shards::log::LogState;
use gungraun::{
    library_benchmark, library_benchmark_group, main, Callgrind, LibraryBenchmarkConfig,
};

use super::inputs::{
    append, batch, fetch_frame, fetch_response, log_of, plan, produce_frame, produce_response,
    segment, written, FETCH_VERSION, KIB, MIB, NOW_MS, PRODUCE_VERSION,
};
use super::wire;

/// Requests of one case.
pub const REQUESTS: usize = 16;

/// The C library chooses its memcpy by the processor, and when to leave the cache alone by the size
/// of it: here always the one that every x86-64 has.
const PLAIN_MEMCPY: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM,-SSSE3:\
    glibc.cpu.x86_non_temporal_threshold=67108864";

pub struct Producing {
    log: LogState,
    frames: Vec<BytesMut>,
}

fn producing(bytes: usize, partitions: usize) -> Producing {
    let batch = batch(bytes);
    let frame = produce_frame(&batch, partitions);
    let frames = vec![BytesMut::from(&frame[..]); REQUESTS];
    Producing { log: log_of(&batch, REQUESTS), frames }
}

// Frame decode, validation, append (offsets patched in place), and the answer's frame.
#[library_benchmark]
#[bench::one_record_of_100_b(producing(100, 1))]
#[bench::batch_of_16_kib(producing(16 * KIB, 1))]
#[bench::batch_of_64_kib(producing(64 * KIB, 1))]
#[bench::batch_of_1_mib(producing(MIB, 1))]
#[bench::records_of_100_b_for_100_partitions(producing(100, 100))]
fn produce(mut producing: Producing) -> (Producing, Vec<Bytes>) {
    let mut answers = Vec::with_capacity(REQUESTS);
    for mut frame in std::mem::take(&mut producing.frames) {
        let header = wire::parse_header(&mut frame).expect("a header");
        let request = wire::produce::parse(header.version, frame).expect("a body");
        let mut response = produce_response(0);
        for topic in request.topics {
            let results = &mut response.topics[0].partitions;
            results.reserve(topic.partitions.len());
            for partition in topic.partitions {
                let records = partition.records.expect("records");
                check_produced(&records).expect("is good");
                results.push(wire::produce::PartitionResult {
                    index: partition.index,
                    base_offset: append(&mut producing.log, records),
                    ..Default::default()
                });
            }
        }
        answers.push(wire::produce::encode(&response, PRODUCE_VERSION, header.correlation_id));
    }
    (producing, answers)
}

// The broker's time in a batch, where a topic asks for it.
#[library_benchmark]
#[bench::batch_of_16_kib(batch(16 * KIB))]
fn append_time(mut batch: Vec<u8>) -> Vec<u8> {
    for _ in 0..REQUESTS {
        stamp_append_time(black_box(&mut batch), NOW_MS);
    }
    batch
}

fn writing(bytes: usize) -> (LogState, Vec<u8>) {
    let batch = batch(bytes);
    (log_of(&batch, MIB / batch.len()), vec![0; MIB + 4 * KIB])
}

// The next write chosen, gathered, and noted as done.
#[library_benchmark]
#[bench::records_of_100_b(writing(100))]
#[bench::batches_of_16_kib(writing(16 * KIB))]
fn write((mut log, mut buffer): (LogState, Vec<u8>)) -> (LogState, Vec<u8>, WritePlan) {
    let plan = plan(&mut log);
    plan.fill(&mut buffer[..plan.len_bytes()]);
    written(&mut log, &plan, &buffer);
    (log, buffer, plan)
}

pub struct Reading {
    frames: Vec<BytesMut>,
    log: LogState,
    blocks: BlockCache,
    index: SegmentIndex,
    batch_bytes: u64,
}

fn reading(bytes: usize) -> Reading {
    let batch = batch(bytes);
    let batches = 2 * MIB / batch.len();
    let blocks = BlockCache::new(4 * MIB);
    keep_blocks(&blocks, &segment(&batch, batches));
    Reading {
        frames: vec![BytesMut::from(&fetch_frame(1)[..]); REQUESTS],
        log: log_of(&batch, batches),
        blocks,
        index: index_of(&batch, batches as u64, 4096),
        batch_bytes: batch.len() as u64,
    }
}

fn asked(frame: BytesMut) -> wire::fetch::FetchRequest {
    let mut frame = frame;
    let header = wire::parse_header(&mut frame).expect("a header");
    wire::fetch::parse(header.version, frame.freeze()).expect("a body")
}

// Frame decode, batches out of memory, 64 KiB of them a request, and the answer's pieces.
#[library_benchmark]
#[bench::records_of_100_b(reading(100))]
#[bench::batches_of_16_kib(reading(16 * KIB))]
fn fetch_from_the_tail(mut reading: Reading) -> (Reading, Vec<Vec<Bytes>>) {
    let mut answers = Vec::with_capacity(REQUESTS);
    let end = reading.log.log_end();
    for frame in std::mem::take(&mut reading.frames) {
        let offset = asked(frame).topics[0].partitions[0].fetch_offset;
        let records = reading.log.read_tail(offset, end, 64 * KIB, true).expect("in memory");
        answers.push(wire::fetch::encode(fetch_response(1, &records), FETCH_VERSION, 7));
    }
    (reading, answers)
}

// The same out of blocks that were read from disk, each batch checked once: the first request
// computes checksums, the others know.
#[library_benchmark]
#[bench::records_of_100_b(reading(100))]
#[bench::batches_of_16_kib(reading(16 * KIB))]
fn fetch_from_blocks(mut reading: Reading) -> (Reading, Vec<Vec<Bytes>>) {
    let mut answers = Vec::with_capacity(REQUESTS);
    for frame in std::mem::take(&mut reading.frames) {
        let offset = asked(frame).topics[0].partitions[0].fetch_offset;
        let position = reading.index.position_before(offset as u32);
        let from = position - position % reading.batch_bytes;
        let range = from..from + 64 * KIB as u64;
        let records = serve_blocks(&reading.blocks, range, i64::MAX);
        answers.push(wire::fetch::encode(fetch_response(1, &records), FETCH_VERSION, 7));
    }
    (reading, answers)
}

// Of all that is above the one that depends most on the processor's own instructions.
#[library_benchmark]
#[bench::batch_of_100_b(batch(100))]
#[bench::batch_of_16_kib(batch(16 * KIB))]
#[bench::batch_of_1_mib(batch(MIB))]
fn checksum(batch: Vec<u8>) -> u32 {
    crc32c::crc32c(black_box(&batch))
}

library_benchmark_group!(name = produces, benchmarks = [produce, append_time, write]);
library_benchmark_group!(name = fetches, benchmarks = [fetch_from_the_tail, fetch_from_blocks]);
library_benchmark_group!(name = checksums, benchmarks = [checksum]);

main!(
    config = LibraryBenchmarkConfig::default()
        .env("GLIBC_TUNABLES", PLAIN_MEMCPY)
        .tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = produces, fetches, checksums
);

/// Runs the benchmarks, or, called by the runner, one of them.
pub fn run() {
    main();
}
