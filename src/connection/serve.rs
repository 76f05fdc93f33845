use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use corelane_shards::net::Stream;
use corelane_shards::runtime::{spawn_guarded, Lease, ShardId};

use super::answers::{Answers, Outgoing};
use super::frames::{Frame, FrameError, FrameReader};
use super::home::Home;
use super::Arrival;
use crate::broker::Shard;
use crate::clock::now_ms;
use crate::config::Advertise;
use crate::handlers::{self, produce, KnownClient, RequestContext};
use crate::wire::{self, apis, ApiKey, RequestHeader, WireError};

/// Produce requests of one connection that may be under way at once.
const MAX_OPEN_REQUESTS: usize = 128;

/// Why a connection ended badly.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Header(WireError),
    #[error("{key:?} version {version}: {error}")]
    Request { key: ApiKey, version: i16, error: WireError },
    #[error("the client does not read its answers")]
    Broken,
}

/// Serves a new connection until it ends or moves to another shard.
pub async fn accepted(shard: Rc<Shard>, stream: Stream, listener: usize) {
    run(shard, stream, listener, None, KnownClient::default()).await;
}

/// Goes on with a connection that comes from another shard.
pub async fn arrived(shard: Rc<Shard>, arrival: Arrival) {
    let stream = Stream::adopt(arrival.socket, arrival.peer);
    run(shard, stream, arrival.listener, Some(arrival.signs), arrival.client).await;
}

async fn run(
    shard: Rc<Shard>,
    stream: Stream,
    listener: usize,
    signs: Option<u32>,
    client: KnownClient,
) {
    let peer = stream.peer_addr();
    let closer = stream.closer();
    let number = shard.connections.add(closer.clone());
    shard.client_instances.arrived(number, client);
    let idle = Duration::from_millis(shard.config().connections_max_idle_ms);
    let (read, write) = stream.split();
    let max_frame = shard.config().socket_request_max_bytes;
    let mut frames = FrameReader::new(read, max_frame, shard.request_memory.clone(), idle);
    let (answers, writer) = Answers::new(write, closer.clone(), idle);
    spawn_guarded(&shard.gate, "answers", writer);
    let cx = RequestContext {
        shard: Rc::clone(&shard),
        listener,
        peer,
        connection: number,
        client_id: None,
    };
    let home = Home::new(shard.id, signs, shard.config().advertise == Advertise::PerShard);
    let mut serving = Serving { cx: &cx, frames: &mut frames, answers: &answers, home };
    let ended = serving.run().await;
    let client = handlers::connection_ended(&cx);
    shard.connections.remove(number);
    if let Ok(Some(Leaves { to, socket, signs })) = ended {
        answers.move_on();
        drop(frames);
        tracing::debug!(%peer, "a connection moves from shard {} to shard {to}", shard.id);
        shard.connections.doors().send(to, Arrival { socket, peer, listener, client, signs });
        return;
    }
    // What was taken is still answered; the writer closes the connection when it is done.
    drop(answers);
    match ended {
        Ok(_) => {}
        Err(Ended::Frame(FrameError::Io(error))) if is_ordinary(&error) => {}
        Err(Ended::Broken) => closer.close(),
        Err(error) => {
            shard.connections.complain(peer, &error);
            closer.close();
        }
    }
}

/// A client that goes away in the middle of something is nothing to report.
fn is_ordinary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}

/// Where a connection goes on.
struct Leaves {
    to: ShardId,
    socket: OwnedFd,
    signs: u32,
}

struct Serving<'a> {
    cx: &'a RequestContext,
    frames: &'a mut FrameReader,
    answers: &'a Answers,
    home: Home,
}

impl Serving<'_> {
    async fn run(&mut self) -> Result<Option<Leaves>, Ended> {
        while let Some(frame) = self.frames.next().await? {
            self.serve_one(frame).await?;
            if let Some(to) = self.home.elsewhere() {
                if let Some(leaves) = self.leave(to).await? {
                    return Ok(Some(leaves));
                }
            }
        }
        Ok(None)
    }

    /// Goes to another shard, if that may be just now.
    async fn leave(&mut self, to: ShardId) -> Result<Option<Leaves>, Ended> {
        if !self.answers.wait_until_open(0).await {
            return Err(Ended::Broken);
        }
        if self.cx.shard.connections.doors().may_move(self.cx.shard.id, to) {
            if let Some(socket) = self.frames.socket().ok().flatten() {
                return Ok(Some(Leaves { to, socket, signs: self.home.moved() }));
            }
        }
        self.home.not_now();
        Ok(None)
    }

    async fn serve_one(&mut self, frame: Frame) -> Result<(), Ended> {
        let (cx, answers) = (self.cx, self.answers);
        let Frame { mut bytes, mut lease, memory } = frame;
        let header = match wire::parse_header(&mut bytes) {
            Ok(header) => header,
            Err(error) => {
                let pieces = answer_unsupported(&error).ok_or(Ended::Header(error))?;
                return push_frame(cx, answers, pieces, lease);
            }
        };
        let (key, version) = (header.key, header.version);
        let malformed = |error| Ended::Request { key, version, error };
        if key == ApiKey::Produce {
            let request = wire::produce::parse(version, bytes).map_err(malformed)?;
            handlers::reserve(&mut lease, request.memory_bytes).map_err(malformed)?;
            if !answers.wait_until_open(MAX_OPEN_REQUESTS - 1).await {
                return Err(Ended::Broken);
            }
            let alone = answers.are_out();
            let admitted = produce::admit(&cx.shard, version, request, &memory, now_ms()).await;
            self.home.produced(admitted.owner, alone);
            let correlation_id = header.correlation_id;
            return push(answers, Outgoing::Produce { admitted, version, correlation_id, lease });
        }
        self.home.asked(key);
        if !answers.wait_until_open(0).await {
            return Err(Ended::Broken);
        }
        let pieces = handlers::dispatch(cx, &header, bytes, &mut lease).await.map_err(malformed)?;
        push_frame(cx, answers, pieces, lease)?;
        // One at a time: a client that does not read its answers is not served more of them.
        match answers.wait_until_open(0).await {
            true => Ok(()),
            false => Err(Ended::Broken),
        }
    }
}

fn push_frame(
    cx: &RequestContext,
    answers: &Answers,
    pieces: Vec<Bytes>,
    lease: Lease,
) -> Result<(), Ended> {
    let answer = cx.shard.answer_memory.take_anyway(pieces.iter().map(Bytes::len).sum());
    push(answers, Outgoing::Frame { pieces, lease, answer })
}

fn push(answers: &Answers, outgoing: Outgoing) -> Result<(), Ended> {
    match answers.push(outgoing) {
        true => Ok(()),
        false => Err(Ended::Broken),
    }
}

/// A request in a version we do not serve. ApiVersions is answered with what there is, in the
/// oldest layout, so that any client can go on (KIP-511); Produce 0–2 is advertised for the sake
/// of old clients but cannot be answered: it ends the connection like any other.
fn answer_unsupported(error: &WireError) -> Option<Vec<Bytes>> {
    let WireError::UnsupportedVersion { key: ApiKey::ApiVersions, correlation_id, .. } = error
    else {
        return None;
    };
    let header = RequestHeader {
        key: ApiKey::ApiVersions,
        version: 0,
        correlation_id: *correlation_id,
        client_id: None,
    };
    let response = apis::unsupported_version_response();
    wire::encode_response(&header, &response).ok().map(|frame| vec![frame])
}
