//! What a produce and a fetch request cost in heap allocations: a broker in this process, and a
//! client that allocates nothing while it asks. Prints what it counts (`--nocapture`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{BufMut, Bytes, BytesMut};
use corelane::config::{BrokerConfig, HostPort};
use corelane_shards::log::batch::build;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// Blocks as large as this are not counted on the thread that makes memory ready (`MemoryAhead`): it takes
/// one and gives it back at once, whatever is asked meanwhile.
const MADE_READY: usize = 8 << 20;

fn is_made_ready(layout: Layout) -> bool {
    layout.size() >= MADE_READY && std::thread::current().name() == Some("memory")
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_made_ready(layout) {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(layout.size() as u64, Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const WARM_UP: usize = 40;
const ROUNDS: usize = 100;

/// A request and its answer, again and again in the same memory.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    /// Sends frames and reads so many answers; returns the last.
    fn ask(&mut self, frames: &[u8], answers: usize) -> &[u8] {
        self.stream.write_all(frames).expect("sends");
        let mut last = 0;
        for _ in 0..answers {
            let mut len = [0; 4];
            self.stream.read_exact(&mut len).expect("answers");
            last = u32::from_be_bytes(len) as usize;
            if self.answer.len() < last {
                self.answer.resize(last, 0);
            }
            self.stream.read_exact(&mut self.answer[..last]).expect("answers");
        }
        &self.answer[..last]
    }

    /// Allocations and bytes of one request on average, where `at_once` are sent together.
    fn cost(&mut self, frame: &[u8], at_once: usize, is_good: fn(&[u8]) -> bool) -> (f64, f64) {
        let frames = frame.repeat(at_once);
        for _ in 0..WARM_UP {
            let answer = self.ask(&frames, at_once);
            assert!(is_good(answer), "{answer:?}");
        }
        let before = (CALLS.load(Relaxed), BYTES.load(Relaxed));
        for _ in 0..ROUNDS {
            assert!(is_good(self.ask(&frames, at_once)));
        }
        let (calls, bytes) = (CALLS.load(Relaxed) - before.0, BYTES.load(Relaxed) - before.1);
        let requests = (ROUNDS * at_once) as f64;
        (calls as f64 / requests, bytes as f64 / requests)
    }
}

fn frame(key: ApiKey, version: i16, request: &impl Encodable) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("count")));
    header.encode(&mut frame, key.request_header_version(version)).expect("encodes");
    request.encode(&mut frame, version).expect("encodes");
    let len = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame.to_vec()
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("counted"))
}

fn produce(acks: i16, partition: i32, value: &[u8]) -> Vec<u8> {
    let records = Bytes::from(build::batch(&[value], 1_000, None));
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    frame(
        ApiKey::Produce,
        9,
        &ProduceRequest::default().with_acks(acks).with_topic_data(vec![data]),
    )
}

fn fetch(partition: i32) -> Vec<u8> {
    let asked = FetchPartition::default().with_partition(partition).with_partition_max_bytes(100);
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(vec![asked]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    frame(ApiKey::Fetch, 11, &request)
}

fn metadata() -> Vec<u8> {
    let asked = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![asked]))
        .with_allow_auto_topic_creation(true);
    frame(ApiKey::Metadata, 8, &request)
}

/// Correlation id, header tags, one topic by name, one partition: then its number and error code.
fn produce_is_good(answer: &[u8]) -> bool {
    let error_at = 4 + 1 + 1 + 1 + "counted".len() + 1 + 4;
    answer[error_at..error_at + 2] == [0, 0]
}

fn fetch_is_good(answer: &[u8]) -> bool {
    answer[8..10] == [0, 0] && answer.len() > 100
}

fn connect(port: u16) -> Client {
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_nodelay(true).expect("sets");
            return Client { stream, answer: vec![0; 1 << 20] };
        }
        std::thread::yield_now();
    }
}

#[test]
fn requests_allocate_little_and_no_record_is_copied_on_the_heap() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("free").port();
    let config = BrokerConfig {
        log_dirs: vec![dir.path().join("data")],
        listeners: vec![HostPort { host: "127.0.0.1".to_string(), port }],
        shards: Some(2),
        num_partitions: 2,
        memory_bytes: Some(256 << 20),
        ..BrokerConfig::default()
    };
    let broker = std::thread::spawn(move || corelane::broker::serve(config));
    let mut client = connect(port);
    while client.ask(&metadata(), 1)[..].windows(7).filter(|w| w == b"counted").count() != 1
        || !produce_is_good(client.ask(&produce(1, 0, b"first"), 1))
        || !produce_is_good(client.ask(&produce(1, 1, b"first"), 1))
    {
        std::thread::yield_now();
    }
    // One of the two partitions is on the connection's shard, the other is not. One request at a
    // time wakes the executors for each, whose rounds allocate too; of many at once, hardly.
    for (partition, at_once) in [(0, 1), (1, 1), (0, 50), (1, 50)] {
        for (acks, size) in [(1, 100), (-1, 100), (-1, 8 << 10), (-1, 32 << 10)] {
            let request = produce(acks, partition, &vec![b'x'; size]);
            let (calls, bytes) = client.cost(&request, at_once, produce_is_good);
            println!(
                "produce, partition {partition}, {at_once} at once, acks={acks}, {size} bytes: \
                 {calls:.1} allocations, {bytes:.0} bytes"
            );
            if at_once > 1 {
                assert!(calls <= 40.0, "{calls} allocations for one request");
                // The frame, the write buffer, and what does not depend on the records.
                assert!(bytes < 2.5 * size as f64 + 8_000.0, "{bytes} bytes for {size}");
            }
        }
        let (calls, bytes) = client.cost(&fetch(partition), at_once, fetch_is_good);
        println!(
            "fetch, partition {partition}, {at_once} at once: {calls:.1} allocations, {bytes:.0} bytes"
        );
    }
    let pid = rustix::process::getpid();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("is running");
    broker.join().expect("no panic").expect("stops in order");
}
