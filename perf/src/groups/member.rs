//! One member of a group: its connection, what it waits for, and what it does next.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{bail, Result};

use crate::connection::write_all_parts;
use crate::wire::group::Identity;
use crate::wire::{WireError, CORRELATION_ID_AT};

/// Answers of groups are small; a leader's names all members.
const MAX_FRAME_BYTES: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Join,
    Sync,
    Heartbeat,
    Commit,
    Leave,
}

/// Where a member is on its way into a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Joining,
    Syncing,
    Stable,
    Out,
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub id: i32,
    pub asked: Asked,
    /// When it was to be sent.
    pub due: Instant,
}

/// See the module's head.
#[derive(Debug)]
pub struct Member {
    pub stream: TcpStream,
    pub group: usize,
    /// The partition that it commits for.
    pub partition: i32,
    pub id: String,
    pub generation: i32,
    pub phase: Phase,
    waiting: VecDeque<Waiting>,
    inbox: Vec<u8>,
    next_id: i32,
}

impl Member {
    pub fn new(stream: TcpStream, group: usize, partition: i32) -> Self {
        Self {
            stream,
            group,
            partition,
            id: String::new(),
            generation: -1,
            phase: Phase::Joining,
            waiting: VecDeque::new(),
            inbox: Vec::new(),
            next_id: 0,
        }
    }

    pub fn identity<'a>(&'a self, group: &'a str) -> Identity<'a> {
        Identity { group, generation: self.generation, member: &self.id }
    }

    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a request. The broker reads what is as small as this, or has failed.
    pub fn send(&mut self, mut request: Vec<u8>, asked: Asked, due: Instant) -> io::Result<()> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        request[CORRELATION_ID_AT..CORRELATION_ID_AT + 4].copy_from_slice(&id.to_be_bytes());
        self.waiting.push_back(Waiting { id, asked, due });
        write_all_parts(&mut self.stream, [&request])
    }

    /// Takes what has come: once, so that it does not wait.
    pub fn fill(&mut self) -> Result<()> {
        let before = self.inbox.len();
        self.inbox.resize(before + READ_BYTES, 0);
        let read = self.stream.read(&mut self.inbox[before..]);
        self.inbox.truncate(before + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => bail!("the broker closed a member's connection"),
            _ => Ok(()),
        }
    }

    /// The next answer, if it is whole, and what it answers.
    pub fn next_answer(&mut self) -> Result<Option<(Waiting, Vec<u8>)>> {
        let Some(len) = self.inbox.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)) else {
            return Ok(None);
        };
        let bytes = match usize::try_from(len) {
            Ok(bytes @ 4..=MAX_FRAME_BYTES) => bytes,
            _ => bail!(WireError::BadFrameLength { len, max: MAX_FRAME_BYTES }),
        };
        if self.inbox.len() < 4 + bytes {
            return Ok(None);
        }
        let frame = self.inbox[4..4 + bytes].to_vec();
        self.inbox.drain(..4 + bytes);
        match self.waiting.pop_front() {
            Some(waiting) => Ok(Some((waiting, frame))),
            None => bail!("an answer that nobody asked for"),
        }
    }
}
