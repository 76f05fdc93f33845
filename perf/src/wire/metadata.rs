//! Metadata v7: brokers, and the leader of each partition of one topic.

use std::collections::BTreeMap;

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 3;
const API_VERSION: i16 = 7;

/// What is needed to reach the partitions of one topic.
#[derive(Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    pub error: ErrorCode,
    /// "host:port" by broker id.
    pub brokers: BTreeMap<i32, String>,
    /// Leader by partition; -1 is none.
    pub leaders: BTreeMap<i32, i32>,
}

/// Asks for one topic without creating it; with an empty name for none, which every broker answers
/// cheaply.
pub fn request(topic: &str) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    if topic.is_empty() {
        encoder.array_len(0);
    } else {
        encoder.array_len(1);
        encoder.string(topic);
    }
    encoder.bool(false);
    encoder.finish(0)
}

/// Asks for all topics.
pub fn request_all() -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.i32(-1);
    encoder.bool(false);
    encoder.finish(0)
}

/// Partitions in the answer to [`request_all`], and how many of them have no leader.
pub fn count(frame: &[u8], correlation_id: i32) -> Result<(usize, usize), WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, false)?;
    decoder.i32()?;
    for _ in 0..decoder.array_len()? {
        decoder.i32()?;
        decoder.string()?;
        decoder.i32()?;
        decoder.string()?;
    }
    decoder.string()?;
    decoder.i32()?;
    let (mut all, mut leaderless) = (0, 0);
    for _ in 0..decoder.array_len()? {
        decoder.i16()?;
        decoder.string()?;
        decoder.i8()?;
        for _ in 0..decoder.array_len()? {
            decoder.i16()?;
            decoder.i32()?;
            let leader = decoder.i32()?;
            decoder.i32()?;
            decoder.skip_i32_array()?;
            decoder.skip_i32_array()?;
            decoder.skip_i32_array()?;
            all += 1;
            leaderless += usize::from(leader < 0);
        }
    }
    Ok((all, leaderless))
}

/// Parses the answer to [`request`].
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<TopicMetadata, WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, false)?;
    decoder.i32()?;
    let mut brokers = BTreeMap::new();
    for _ in 0..decoder.array_len()? {
        let id = decoder.i32()?;
        let host = decoder.string()?.to_owned();
        let port = decoder.i32()?;
        decoder.string()?;
        // An IPv6 address needs brackets before a port.
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        brokers.insert(id, format!("{host}:{port}"));
    }
    decoder.string()?;
    decoder.i32()?;
    let mut error = ErrorCode::NONE;
    let mut leaders = BTreeMap::new();
    for _ in 0..decoder.array_len()? {
        error = ErrorCode(decoder.i16()?);
        decoder.string()?;
        decoder.i8()?;
        for _ in 0..decoder.array_len()? {
            decoder.i16()?;
            let partition = decoder.i32()?;
            leaders.insert(partition, decoder.i32()?);
            decoder.i32()?;
            decoder.skip_i32_array()?;
            decoder.skip_i32_array()?;
            decoder.skip_i32_array()?;
        }
    }
    Ok(TopicMetadata { error, brokers, leaders })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Vec<u8> {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(9);
        body.i32(0);
        body.array_len(1);
        body.i32(1);
        body.string("::1");
        body.i32(9092);
        body.i16(-1);
        body.i16(-1);
        body.i32(1);
        body.array_len(1);
        body.i16(0);
        body.string("t");
        body.bool(false);
        body.array_len(1);
        for value in [0, 1, 0] {
            if value == 0 {
                body.i16(0);
            }
            body.i32(value);
        }
        body.finish(0)
    }

    #[test]
    fn answer_cut_anywhere_is_refused() {
        let whole = answer();
        for cut in 4..whole.len() {
            assert!(parse(&whole[4..cut], 9).is_err(), "cut at {cut}");
        }
    }
}
