//! What a member of a classic consumer group asks: FindCoordinator v2, JoinGroup v5, SyncGroup v3,
//! Heartbeat v3, LeaveGroup v1, OffsetCommit v7; none of them flexible.

use super::{Decoder, Encoder, ErrorCode, WireError};

/// How long a member may be silent, and a rebalance take.
const SESSION_MS: i32 = 45_000;
const REBALANCE_MS: i32 = 60_000;
/// Any that all members agree upon.
const PROTOCOL: &str = "range";

/// Who a member is in a generation of its group.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub group: &'a str,
    pub generation: i32,
    pub member: &'a str,
}

impl Identity<'_> {
    fn put(&self, encoder: &mut Encoder) {
        encoder.string(self.group);
        encoder.i32(self.generation);
        encoder.string(self.member);
        encoder.null_string();
    }
}

pub fn find_coordinator(group: &str) -> Vec<u8> {
    let mut encoder = Encoder::request(10, 2);
    encoder.string(group);
    encoder.i8(0);
    encoder.finish(0)
}

/// "host:port" of the coordinator, or why there is none.
pub fn parse_coordinator(frame: &[u8], id: i32) -> Result<Result<String, ErrorCode>, WireError> {
    let mut decoder = Decoder::response(frame, id, false)?;
    decoder.i32()?;
    let code = ErrorCode(decoder.i16()?);
    decoder.string()?;
    decoder.i32()?;
    let host = decoder.string()?;
    let port = decoder.i32()?;
    Ok(if code.is_error() { Err(code) } else { Ok(format!("{host}:{port}")) })
}

/// Joins with a subscription to one topic; `member` is empty the first time.
pub fn join(group: &str, member: &str, topic: &str) -> Vec<u8> {
    let mut encoder = Encoder::request(11, 5);
    encoder.string(group);
    encoder.i32(SESSION_MS);
    encoder.i32(REBALANCE_MS);
    encoder.string(member);
    encoder.null_string();
    encoder.string("consumer");
    encoder.array_len(1);
    encoder.string(PROTOCOL);
    let mut subscription = Encoder::default();
    subscription.i16(0);
    subscription.array_len(1);
    subscription.string(topic);
    subscription.i32(-1);
    encoder.bytes(subscription.as_bytes());
    encoder.finish(0)
}

/// What comes of a join.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    pub code: ErrorCode,
    pub generation: i32,
    pub member: String,
    /// Ids of all, for the leader alone.
    pub members: Vec<String>,
}

pub fn parse_joined(frame: &[u8], id: i32) -> Result<Joined, WireError> {
    let mut decoder = Decoder::response(frame, id, false)?;
    decoder.i32()?;
    let code = ErrorCode(decoder.i16()?);
    let generation = decoder.i32()?;
    decoder.string()?;
    decoder.string()?;
    let member = decoder.string()?.to_owned();
    let mut members = Vec::new();
    for _ in 0..decoder.array_len()? {
        members.push(decoder.string()?.to_owned());
        decoder.string()?;
        decoder.bytes()?;
    }
    Ok(Joined { code, generation, member, members })
}

/// Asks for a share, and brings those of `members`: what they are is nothing to the broker.
pub fn sync(of: Identity<'_>, members: &[String]) -> Vec<u8> {
    let mut encoder = Encoder::request(14, 3);
    of.put(&mut encoder);
    encoder.array_len(members.len());
    for member in members {
        encoder.string(member);
        encoder.bytes(&[0; 32]);
    }
    encoder.finish(0)
}

pub fn heartbeat(of: Identity<'_>) -> Vec<u8> {
    let mut encoder = Encoder::request(12, 3);
    of.put(&mut encoder);
    encoder.finish(0)
}

pub fn leave(group: &str, member: &str) -> Vec<u8> {
    let mut encoder = Encoder::request(13, 1);
    encoder.string(group);
    encoder.string(member);
    encoder.finish(0)
}

/// The code of an answer that has little else: to SyncGroup, Heartbeat and LeaveGroup.
pub fn parse_code(frame: &[u8], id: i32) -> Result<ErrorCode, WireError> {
    let mut decoder = Decoder::response(frame, id, false)?;
    decoder.i32()?;
    Ok(ErrorCode(decoder.i16()?))
}

/// Commits an offset of one partition.
pub fn commit(of: Identity<'_>, topic: &str, partition: i32, offset: i64) -> Vec<u8> {
    let mut encoder = Encoder::request(8, 7);
    of.put(&mut encoder);
    encoder.array_len(1);
    encoder.string(topic);
    encoder.array_len(1);
    encoder.i32(partition);
    encoder.i64(offset);
    encoder.i32(-1);
    encoder.null_string();
    encoder.finish(0)
}

/// The code of the one partition.
pub fn parse_committed(frame: &[u8], id: i32) -> Result<ErrorCode, WireError> {
    let mut decoder = Decoder::response(frame, id, false)?;
    decoder.i32()?;
    let mut code = None;
    for _ in 0..decoder.array_len()? {
        decoder.string()?;
        for _ in 0..decoder.array_len()? {
            decoder.i32()?;
            code = Some(ErrorCode(decoder.i16()?));
        }
    }
    code.ok_or(WireError::WrongPartitionCount { got: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_told_of_all_and_a_cut_answer_is_an_error() {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(6);
        body.i32(0);
        body.i16(0);
        body.i32(3);
        body.string("range");
        body.string("m-1");
        body.string("m-1");
        body.array_len(1);
        body.string("m-1");
        body.null_string();
        body.bytes(b"what it reads");
        let whole = body.finish(0);
        let joined = parse_joined(&whole[4..], 6).unwrap();
        assert_eq!((joined.generation, &*joined.member), (3, "m-1"));
        assert_eq!(joined.members, ["m-1"]);
        for cut in 4..whole.len() {
            assert!(parse_joined(&whole[4..cut], 6).is_err(), "cut at {cut}");
        }
    }
}
