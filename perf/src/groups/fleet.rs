//! Many members on one thread: each has a connection of its own, requests go on schedule whether or not
//! earlier ones are answered, and each is timed from the moment it was due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::member::{Asked, Member, Phase, Waiting};
use crate::stats::Latencies;
use crate::wire::{group, ErrorCode, WireError};

/// Before a join is tried again that a coordinator was not ready for.
const TRY_AGAIN: Duration = Duration::from_millis(50);
const EVENTS: usize = 1_024;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A group as its leader knows it.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub address: String,
    /// The last generation that a leader was told of, and how many are in it.
    generation: i32,
    size: usize,
    /// How many of them have their shares.
    stable: usize,
}

impl Group {
    pub fn new(name: String, address: String) -> Self {
        Self { name, address, generation: -1, size: 0, stable: 0 }
    }

    /// Whether so many are in one generation, each with its share.
    pub fn is_stable(&self, size: usize) -> bool {
        self.size == size && self.stable == size
    }
}

/// What was timed.
#[derive(Debug)]
pub struct Timed {
    pub commits: Latencies,
    pub heartbeats: Latencies,
    pub sent_late: Latencies,
    /// Commits that were refused because a rebalance was under way.
    pub refused: u64,
}

impl Timed {
    pub fn new() -> Self {
        let (commits, heartbeats) = (Latencies::new(), Latencies::new());
        Self { commits, heartbeats, sent_late: Latencies::new(), refused: 0 }
    }
}

/// See the module's head.
pub struct Fleet {
    pub groups: Vec<Group>,
    pub members: Vec<Member>,
    pub timed: Timed,
    topic: String,
    heartbeat: Duration,
    /// Time between two commits of a member; none before the load begins.
    commit: Option<Duration>,
    epoll: OwnedFd,
    due: BinaryHeap<Reverse<(Instant, usize, u8)>>,
}

const HEARTBEAT: u8 = 0;
const COMMIT: u8 = 1;
const JOIN: u8 = 2;

impl Fleet {
    pub fn new(groups: Vec<Group>, topic: &str, heartbeat: Duration) -> Result<Self> {
        Ok(Self {
            groups,
            members: Vec::new(),
            timed: Timed::new(),
            topic: topic.to_owned(),
            heartbeat,
            commit: None,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            due: BinaryHeap::new(),
        })
    }

    /// Has one more member join a group, and heartbeat from `first` on.
    pub fn add(&mut self, group: usize, partition: i32, first: Instant) -> Result<usize> {
        let address = &self.groups[group].address;
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let at = self.members.len();
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
        self.members.push(Member::new(stream, group, partition));
        self.due.push(Reverse((first, at, HEARTBEAT)));
        self.join(at)?;
        Ok(at)
    }

    /// A member leaves.
    pub fn leave(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        member.phase = Phase::Out;
        let request = group::leave(&self.groups[member.group].name, &member.id);
        Ok(member.send(request, Asked::Leave, Instant::now())?)
    }

    /// Every member commits once an interval from now on, spread over it.
    pub fn begin_commits(&mut self, interval: Duration) {
        self.commit = Some(interval);
        self.timed = Timed::new();
        let (now, count) = (Instant::now(), self.members.len() as u32);
        for at in 0..self.members.len() {
            self.due.push(Reverse((now + interval * at as u32 / count, at, COMMIT)));
        }
    }

    /// No commits any more.
    pub fn end_commits(&mut self) {
        self.commit = None;
    }

    pub fn is_answered(&self) -> bool {
        self.members.iter().all(|member| !member.waits())
    }

    fn join(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        member.phase = Phase::Joining;
        let request = group::join(&self.groups[member.group].name, &member.id, &self.topic);
        Ok(member.send(request, Asked::Join, Instant::now())?)
    }

    /// Goes on until `until`, or until `is_done`; whether it is.
    pub fn run(&mut self, until: Instant, is_done: impl Fn(&Self) -> bool) -> Result<bool> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        loop {
            self.send_due()?;
            if is_done(self) {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= until {
                return Ok(false);
            }
            let next = self.due.peek().map_or(until, |Reverse((due, ..))| (*due).min(until));
            let wait = next.saturating_duration_since(now);
            let wait =
                Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
            // To the nanosecond; epoll's own wait goes by milliseconds.
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&wait)) {
                Err(Errno::INTR) => continue,
                other => drop(other?),
            }
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NOW)) {
                Err(Errno::INTR) => continue,
                other => drop(other?),
            }
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                self.members[at].fill()?;
                while let Some((waiting, frame)) = self.members[at].next_answer()? {
                    self.hear(at, waiting, &frame)?;
                }
            }
        }
    }

    fn send_due(&mut self) -> Result<()> {
        loop {
            let now = Instant::now();
            let Some(&Reverse((due, at, what))) = self.due.peek() else { return Ok(()) };
            if due > now {
                return Ok(());
            }
            self.due.pop();
            let member = &mut self.members[at];
            let is_in = member.phase == Phase::Stable;
            let name = &self.groups[member.group].name;
            match what {
                HEARTBEAT if member.phase != Phase::Out => {
                    self.due.push(Reverse((due + self.heartbeat, at, HEARTBEAT)));
                    if is_in {
                        let request = group::heartbeat(member.identity(name));
                        member.send(request, Asked::Heartbeat, due)?;
                    }
                }
                COMMIT => {
                    let Some(interval) = self.commit else { continue };
                    self.due.push(Reverse((due + interval, at, COMMIT)));
                    if is_in {
                        self.timed.sent_late.record(now - due);
                        let of = member.identity(name);
                        let request = group::commit(of, &self.topic, member.partition, 7);
                        member.send(request, Asked::Commit, due)?;
                    }
                }
                JOIN => self.join(at)?,
                _ => {}
            }
        }
    }

    fn hear(&mut self, at: usize, waiting: Waiting, frame: &[u8]) -> Result<()> {
        let Waiting { id, asked, due } = waiting;
        match asked {
            Asked::Join => self.joined(at, &group::parse_joined(frame, id)?),
            Asked::Sync => {
                let code = group::parse_code(frame, id)?;
                if !code.is_error() {
                    let member = &mut self.members[at];
                    member.phase = Phase::Stable;
                    let group = &mut self.groups[member.group];
                    group.stable += usize::from(group.generation == member.generation);
                }
                self.come_again(at, code, "sync")
            }
            Asked::Heartbeat => {
                self.timed.heartbeats.record(due.elapsed());
                self.come_again(at, group::parse_code(frame, id)?, "heartbeat")
            }
            Asked::Commit => {
                let code = group::parse_committed(frame, id)?;
                match code.is_error() {
                    true => self.timed.refused += 1,
                    false => self.timed.commits.record(due.elapsed()),
                }
                self.come_again(at, code, "commit")
            }
            Asked::Leave => match group::parse_code(frame, id)? {
                ErrorCode::NONE => Ok(()),
                code => refused("leave", code),
            },
        }
    }

    fn joined(&mut self, at: usize, joined: &group::Joined) -> Result<()> {
        let member = &mut self.members[at];
        if joined.code == ErrorCode::MEMBER_ID_REQUIRED {
            member.id.clone_from(&joined.member);
            return self.join(at);
        }
        if joined.code.is_error() {
            return self.come_again(at, joined.code, "join");
        }
        member.id.clone_from(&joined.member);
        member.generation = joined.generation;
        member.phase = Phase::Syncing;
        let group = &mut self.groups[member.group];
        if !joined.members.is_empty() {
            (group.generation, group.size, group.stable) =
                (joined.generation, joined.members.len(), 0);
        }
        let request = group::sync(member.identity(&group.name), &joined.members);
        Ok(member.send(request, Asked::Sync, Instant::now())?)
    }

    /// What a member does about a refusal: it joins again, now or a little later.
    fn come_again(&mut self, at: usize, code: ErrorCode, what: &'static str) -> Result<()> {
        let member = &mut self.members[at];
        // Who is on its way into the next generation knows already.
        let on_its_way = what != "join" && what != "sync" && member.phase != Phase::Stable;
        if !code.is_error() || member.phase == Phase::Out || on_its_way {
            return Ok(());
        }
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => self.join(at),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                member.id.clear();
                self.join(at)
            }
            code if code.is_coordinator_settling() => {
                member.phase = Phase::Joining;
                self.due.push(Reverse((Instant::now() + TRY_AGAIN, at, JOIN)));
                Ok(())
            }
            code => refused(what, code),
        }
    }
}

fn refused(subject: &str, code: ErrorCode) -> Result<()> {
    bail!(WireError::Refused { subject: subject.to_owned(), code, detail: String::new() })
}
