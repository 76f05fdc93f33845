//! The loops that put load on a peer, shared by the broker's measures and the ceiling's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context, Result};

use crate::connection::Connection;
use crate::stats::Latencies;
use crate::wire::{metadata, WireError};

/// Judges one answer: the frame, and the correlation id it must carry.
pub type Check = fn(&[u8], i32) -> Result<(), WireError>;

/// A request encoded ahead, to be sent again and again; the batch is shared by all partitions.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: Vec<u8>,
    pub batch: Arc<[u8]>,
    pub tail: &'static [u8],
}

/// When a run ends: at the deadline, or when the requests are used up, whichever comes first.
#[derive(Debug)]
pub struct Budget {
    deadline: Instant,
    requests_left: AtomicU64,
}

impl Budget {
    /// Starts the clock.
    pub fn start(time: Duration, requests: u64) -> Self {
        Self { deadline: Instant::now() + time, requests_left: AtomicU64::new(requests) }
    }

    /// Whether another request may be sent at `now`; takes it from the budget.
    fn take(&self, now: Instant) -> bool {
        now < self.deadline
            && self
                .requests_left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
    }
}

/// What one connection, or all of them, got done.
#[derive(Debug)]
pub struct Tally {
    pub requests: u64,
    pub latencies: Latencies,
}

/// Whether, and how, requests are answered.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    /// Each request is answered; this many may be on their way at once.
    Each { in_flight: usize, check: Check },
    /// No request is answered (`acks=0`); a last request of another kind shows that the peer has
    /// taken all before it.
    None,
}

/// One connection and the requests it sends in turn.
#[derive(Debug)]
pub struct Work {
    pub connection: Connection,
    pub requests: Vec<Request>,
}

/// Drives every connection from a thread of its own until the budget ends, and leaves it open: a
/// server's threads and what they counted stay there to be read. Returns the sum and the time from the first request to the last answer.
pub fn drive(
    work: &mut [Work],
    answers: Answers,
    time: Duration,
    requests: u64,
) -> Result<(Tally, Duration)> {
    let budget = Budget::start(time, requests);
    let began = Instant::now();
    let tallies = thread::scope(|scope| {
        let threads: Vec<_> = work
            .iter_mut()
            .map(|work| {
                let budget = &budget;
                scope.spawn(move || match answers {
                    Answers::Each { in_flight, check } => {
                        closed_loop(work, in_flight, budget, check)
                    }
                    Answers::None => one_way(work, budget),
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a load thread panicked"))?)
            .collect::<Result<Vec<Tally>>>()
    })?;
    let elapsed = began.elapsed();
    let mut sum = Tally { requests: 0, latencies: Latencies::new() };
    for tally in &tallies {
        sum.requests += tally.requests;
        sum.latencies.add(&tally.latencies);
    }
    Ok((sum, elapsed))
}

/// Keeps `in_flight` requests on their way; each answer lets the next request go.
fn closed_loop(work: &mut Work, in_flight: usize, budget: &Budget, check: Check) -> Result<Tally> {
    let Work { connection, requests } = work;
    let mut tally = Tally { requests: 0, latencies: Latencies::new() };
    let mut on_their_way: VecDeque<(i32, Instant)> = VecDeque::with_capacity(in_flight);
    let mut next = 0;
    let mut now = Instant::now();
    loop {
        while on_their_way.len() < in_flight && budget.take(now) {
            let request = &mut requests[next];
            let id = connection
                .send(&mut request.head, &request.batch, request.tail)
                .context("sending a request")?;
            on_their_way.push_back((id, now));
            next = (next + 1) % requests.len();
            now = Instant::now();
        }
        let Some((id, sent)) = on_their_way.pop_front() else { return Ok(tally) };
        check(connection.receive()?, id)?;
        now = Instant::now();
        tally.latencies.record(now - sent);
        tally.requests += 1;
    }
}

fn one_way(work: &mut Work, budget: &Budget) -> Result<Tally> {
    let Work { connection, requests } = work;
    let mut sent = 0u64;
    while budget.take(Instant::now()) {
        let next = (sent % requests.len() as u64) as usize;
        let request = &mut requests[next];
        connection
            .send(&mut request.head, &request.batch, request.tail)
            .context("sending a request")?;
        sent += 1;
    }
    let (id, frame) = connection.call(metadata::request(""))?;
    metadata::parse(frame, id)?;
    Ok(Tally { requests: sent, latencies: Latencies::new() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::wire::Decoder;

    /// Answers frames with their correlation id, in groups of `group`, and returns how many came.
    fn answering_peer(group: usize) -> (String, thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut frame = [0; 16];
            let mut answers = Vec::new();
            let mut came = 0;
            while stream.read_exact(&mut frame).is_ok() {
                came += 1;
                answers.extend_from_slice(&4u32.to_be_bytes());
                answers.extend_from_slice(&frame[8..12]);
                if came % group == 0 {
                    stream.write_all(&answers).unwrap();
                    answers.clear();
                }
            }
            came
        });
        (address, peer)
    }

    fn check_id(frame: &[u8], id: i32) -> Result<(), WireError> {
        Decoder::response(frame, id, false).map(drop)
    }

    fn request() -> Request {
        Request { head: vec![0; 12], batch: Arc::from(&b"data"[..]), tail: &[] }
    }

    #[test]
    fn exactly_the_budgeted_requests_are_sent_and_counted() {
        // The peer answers only after five requests have come: fewer in flight would hang.
        let (address, peer) = answering_peer(5);
        let connection = Connection::open(&address).unwrap();
        let answers = Answers::Each { in_flight: 5, check: check_id };
        let mut work = vec![Work { connection, requests: vec![request(), request()] }];
        let (tally, _) = drive(&mut work, answers, Duration::from_secs(3600), 20).unwrap();
        drop(work);
        assert_eq!(tally.requests, 20);
        assert_eq!(tally.latencies.summary().unwrap().count, 20);
        assert_eq!(peer.join().unwrap(), 20);
    }

    #[test]
    fn no_request_is_sent_after_the_deadline() {
        let budget = Budget::start(Duration::ZERO, 10);
        assert!(!budget.take(Instant::now()));
        assert_eq!(budget.requests_left.load(Ordering::Relaxed), 10);
    }
}
