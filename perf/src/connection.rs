//! One blocking connection that speaks length-prefixed frames: the same code against a broker and
//! against the ceiling's bare programs, so that the client costs both the same.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::wire::{WireError, CORRELATION_ID_AT};

/// The first size of the receive buffer; it grows to the largest frame seen.
const INITIAL_INBOX_BYTES: usize = 64 << 10;
/// The longest answer we take: above it the peer is not speaking our protocol.
const MAX_FRAME_BYTES: usize = 256 << 20;
/// Bytes of requests that are sent together at most: less than their copying costs a system call.
const MAX_GATHERED_BYTES: usize = 32 << 10;
/// A peer that is silent this long has failed; the run ends with an error rather than hang.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// A connection and its receive buffer. Owned by one thread.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    start: usize,
    end: usize,
    next_correlation_id: i32,
}

impl Connection {
    /// Connects to "host:port".
    pub fn open(address: &str) -> Result<Self> {
        let resolved = address
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {address}"))?
            .collect::<Vec<_>>();
        let stream = TcpStream::connect(&resolved[..])
            .with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self::from_stream(stream)?)
    }

    fn from_stream(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        let inbox = vec![0; INITIAL_INBOX_BYTES];
        Ok(Self { stream, inbox, start: 0, end: 0, next_correlation_id: 0 })
    }

    /// A second handle on the same socket, for a thread that only sends.
    pub fn sender(&self) -> io::Result<Sender> {
        let stream = self.stream.try_clone()?;
        Ok(Sender { stream, next_correlation_id: 0, gathered: Vec::new() })
    }

    /// Sends one request; `head` begins with the frame's length and has room for the correlation
    /// id, which is set here and returned.
    pub fn send(&mut self, head: &mut [u8], batch: &[u8], tail: &[u8]) -> io::Result<i32> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        set_correlation_id(head, correlation_id);
        write_all_parts(&mut self.stream, [head, batch, tail])?;
        Ok(correlation_id)
    }

    /// Receives one frame, without its length prefix.
    pub fn receive(&mut self) -> Result<&[u8]> {
        while self.end - self.start < 4 {
            self.fill(4)?;
        }
        let len = i32::from_be_bytes(
            self.inbox[self.start..self.start + 4].try_into().expect("four bytes are there"),
        );
        let len = match usize::try_from(len) {
            Ok(bytes @ 4..=MAX_FRAME_BYTES) => bytes,
            _ => bail!(WireError::BadFrameLength { len, max: MAX_FRAME_BYTES }),
        };
        while self.end - self.start < 4 + len {
            self.fill(4 + len)?;
        }
        let from = self.start + 4;
        self.start = from + len;
        Ok(&self.inbox[from..from + len])
    }

    /// Sends a request made of one piece and receives its answer.
    pub fn call(&mut self, mut request: Vec<u8>) -> Result<(i32, &[u8])> {
        let correlation_id = self.send(&mut request, &[], &[])?;
        Ok((correlation_id, self.receive()?))
    }

    /// Reads once, having made room for a frame of `wanted` bytes at the buffer's front.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.start + wanted > self.inbox.len() {
            self.inbox.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if wanted > self.inbox.len() {
            self.inbox.resize(wanted, 0);
        }
        loop {
            match self.stream.read(&mut self.inbox[self.end..]) {
                Ok(0) => bail!("the peer closed the connection"),
                Ok(len) => {
                    self.end += len;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    bail!("no answer within {} s", SILENCE_LIMIT.as_secs())
                }
                Err(error) => return Err(error).context("reading an answer"),
            }
        }
    }
}

/// The sending half for open loops: requests numbered from 0.
#[derive(Debug)]
pub struct Sender {
    stream: TcpStream,
    next_correlation_id: i32,
    /// Small requests that wait for those that are due with them.
    gathered: Vec<u8>,
}

impl Sender {
    /// Sends one request as [`Connection::send`] does. With `more` due at once a small one is kept
    /// and goes out with the next in one write, as clients do that have several to send.
    pub fn send(
        &mut self,
        head: &mut [u8],
        batch: &[u8],
        tail: &[u8],
        more: bool,
    ) -> io::Result<()> {
        set_correlation_id(head, self.next_correlation_id);
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let len = head.len() + batch.len() + tail.len();
        if more && self.gathered.len() + len <= MAX_GATHERED_BYTES {
            [head, batch, tail].iter().for_each(|part| self.gathered.extend_from_slice(part));
            return Ok(());
        }
        write_all_parts(&mut self.stream, [&self.gathered, head, batch, tail])?;
        self.gathered.clear();
        Ok(())
    }
}

fn set_correlation_id(head: &mut [u8], correlation_id: i32) {
    head[CORRELATION_ID_AT..CORRELATION_ID_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
}

/// Writes all parts with as few system calls as the kernel allows.
pub fn write_all_parts<const N: usize>(
    stream: &mut TcpStream,
    parts: [&[u8]; N],
) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut left, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connection = Connection::open(&address).unwrap();
        (connection, listener.accept().unwrap().0)
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32).to_be_bytes(), payload].concat()
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut_and_whatever_their_size() {
        let (mut connection, mut peer) = pair();
        let payloads: Vec<Vec<u8>> =
            [4, 5, 200_000, 17, 70_000].iter().map(|&len| vec![len as u8; len]).collect();
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload)).collect();
        let writer = thread::spawn(move || {
            for piece in bytes.chunks(1_447) {
                peer.write_all(piece).unwrap();
            }
        });
        for payload in &payloads {
            assert_eq!(connection.receive().unwrap(), payload);
        }
        writer.join().unwrap();
        assert!(connection.receive().unwrap_err().to_string().contains("closed"));
    }

    #[test]
    fn absurd_frame_length_is_refused_without_allocating() {
        for length in [-1i32, 0, 3, i32::MAX] {
            let (mut connection, mut peer) = pair();
            peer.write_all(&length.to_be_bytes()).unwrap();
            assert!(connection.receive().is_err(), "{length}");
            assert_eq!(connection.inbox.len(), INITIAL_INBOX_BYTES);
        }
    }

    #[test]
    fn requests_are_numbered_in_place() {
        let (mut connection, mut peer) = pair();
        let mut head = vec![0; 12];
        for expected in 0..3 {
            assert_eq!(connection.send(&mut head, b"batch", b"tail").unwrap(), expected);
            let mut got = [0; 21];
            peer.read_exact(&mut got).unwrap();
            assert_eq!(got[8..12], expected.to_be_bytes());
            assert_eq!(&got[12..], b"batchtail");
        }
    }

    #[test]
    fn requests_that_are_due_together_go_out_in_order_and_none_stays_behind() {
        let (connection, mut peer) = pair();
        let mut sender = connection.sender().unwrap();
        let (mut head, large) = (vec![0; 12], vec![7; MAX_GATHERED_BYTES]);
        let batches: [&[u8]; 5] = [b"a", b"bc", &large, b"d", b"e"];
        for (number, batch) in batches.iter().enumerate() {
            sender.send(&mut head, batch, b"tail", number + 1 < batches.len()).unwrap();
        }
        for (number, batch) in batches.iter().enumerate() {
            let mut got = vec![0; 12 + batch.len() + 4];
            peer.read_exact(&mut got).unwrap();
            assert_eq!(got[8..12], (number as i32).to_be_bytes());
            assert_eq!(&got[12..12 + batch.len()], *batch);
        }
    }
}
