//! Whatever arrives on the port or stands in the configuration: the broker answers or closes, and
//! goes on serving everybody else.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse};
use support::{failing_serve, Broker, Raw, Setup};

fn still_serves(broker: &mut Broker) {
    assert!(broker.is_running());
    let mut client = broker.client();
    let response: MetadataResponse =
        client.ask(ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
    assert_eq!(response.brokers.len(), 1);
}

#[test]
fn any_bytes_on_the_port_end_their_own_connection_only() {
    let mut broker = Broker::start(Setup::new("single"));
    let header = |key: u8, version: u8| vec![0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff];
    let framed = |body: Vec<u8>| [(body.len() as i32).to_be_bytes().to_vec(), body].concat();
    let counted = |key, version, rest: &[u8]| framed([&header(key, version)[..], rest].concat());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9, 9]),
        ("a length of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff, 1]),
        ("a length of -1", vec![0xff; 16]),
        ("a length of 0", vec![0; 8]),
        ("a frame too short for a header", framed(vec![0, 3])),
        ("an unknown API", framed(header(99, 0))),
        ("a version that is not served", framed(header(3, 77))),
        (
            "Metadata that counts 2^31-1 topics",
            counted(3, 1, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ),
        ("compact Metadata that does", counted(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0])),
        ("CreateTopics that does", counted(19, 2, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
        (
            "Produce that does",
            counted(0, 3, &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "Fetch that does",
            counted(1, 4, &[[0; 17].as_slice(), &[0x7f, 0xff, 0xff, 0xff]].concat()),
        ),
        ("Produce 0", counted(0, 0, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0])),
    ];
    for (what, bytes) in cases {
        let mut client = Raw::connect(&broker.address);
        client.stream.write_all(&bytes).expect("sends");
        assert!(client.is_closed(), "{what}");
    }
    let mut random = 1u64;
    for _ in 0..200 {
        let mut bytes = Vec::new();
        for _ in 0..200 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            bytes.push((random >> 33) as u8);
        }
        // A possible length and a served API, so that the rest is looked at.
        bytes[..4].copy_from_slice(&[0, 0, 0, 196]);
        bytes[4..8].copy_from_slice(&[0, (random >> 40) as u8 % 40, 0, (random >> 50) as u8 % 10]);
        let mut stream = TcpStream::connect(&broker.address).expect("connects");
        stream.write_all(&bytes).expect("sends");
    }
    still_serves(&mut broker);
}

#[test]
fn slow_silent_and_deaf_clients_hurt_nobody() {
    let mut broker = Broker::start(Setup::new("single"));
    let idle: Vec<TcpStream> =
        (0..1_000).map(|_| TcpStream::connect(&broker.address).expect("connects")).collect();
    // Half a frame, and then nothing.
    let mut slow = TcpStream::connect(&broker.address).expect("connects");
    slow.write_all(&[0, 0, 4, 0, 0, 3]).expect("sends");
    // Asks and asks, and never reads: until the broker does not take more either.
    let mut deaf = broker.client();
    deaf.stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).expect("sets");
    let request = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let many = request.repeat(10_000);
    let mut stuck = false;
    for _ in 0..400 {
        if deaf.stream.write_all(&many).is_err() {
            stuck = true;
            break;
        }
    }
    assert!(stuck, "TCP holds the deaf client back");
    still_serves(&mut broker);
    drop(idle);
    let mut late = slow;
    late.write_all(&[0]).expect("still open");
    let mut byte = [0];
    late.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("sets");
    assert!(late.read(&mut byte).is_err(), "the slow one is still waited for");
}

#[test]
fn wrong_configurations_are_told_in_one_line_with_exit_code_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.toml");
    for (text, expected) in [
        ("num.partitions = -3", "num.partitions = -3: Value must be at least 1"),
        ("no.such.key = 1", "no.such.key: this is not known"),
        ("listeners = 'nonsense'", "listeners = nonsense"),
    ] {
        std::fs::write(&file, text).expect("writes");
        let (code, said) = failing_serve(&["--config", file.to_str().expect("a path")]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected) && said.contains("bad.toml:1"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    let (code, said) = failing_serve(&["--listen", "nonsense"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--listen nonsense"), "{said}");
    let (code, _) = failing_serve(&["--no-such-flag"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_second_broker_on_the_same_port_or_directory_is_told_so() {
    let broker = Broker::start(Setup::new("single"));
    let other = tempfile::tempdir().expect("a directory");
    let other = other.path().to_str().expect("a path").to_string();
    let (code, said) = failing_serve(&["--listen", &broker.address, "--data-dir", &other]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot listen on") && said.contains("--listen"), "{said}");
    let data = broker.data.to_str().expect("a path");
    let (code, said) = failing_serve(&["--listen", "127.0.0.1:0", "--data-dir", data]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is locked by another broker"), "{said}");
    let (code, said) = failing_serve(&["--listen", "127.0.0.1:0", "--data-dir", "/proc/nowhere"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("/proc/nowhere") && said.contains("writable"), "{said}");
}

#[test]
fn connections_that_a_crash_leaves_behind_do_not_hold_the_port() {
    for _ in 0..3 {
        let broker = Broker::start(Setup::new("single"));
        let mut clients: Vec<Raw> = (0..8).map(|_| broker.client()).collect();
        for client in &mut clients {
            client.send(ApiKey::Metadata, 9, &MetadataRequest::default().with_topics(None));
        }
        let mut broker = broker.crash_and_restart_in_place();
        still_serves(&mut broker);
    }
}
