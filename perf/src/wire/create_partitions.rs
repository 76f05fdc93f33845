//! CreatePartitions v1.

use super::create_topics::topic_errors;
use super::{Encoder, WireError};

const API_KEY: i16 = 37;
const API_VERSION: i16 = 1;
const TIMEOUT_MS: i32 = 30_000;

/// Adds partitions to a topic until it has `partitions`.
pub fn request(topic: &str, partitions: u32) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.array_len(1);
    encoder.string(topic);
    encoder.i32(partitions as i32);
    // No assignments: an array that is null.
    encoder.i32(-1);
    encoder.i32(TIMEOUT_MS);
    encoder.bool(false);
    encoder.finish(0)
}

/// The answer's error.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    topic_errors(frame, correlation_id, |_| false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_carries_the_brokers_words() {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(5);
        body.i32(0);
        body.array_len(1);
        body.string("t");
        body.i16(37);
        body.string("why");
        let error = parse(&body.finish(0)[4..], 5).unwrap_err();
        assert_eq!(error.to_string(), "topic t: INVALID_PARTITIONS (37): why");
    }
}
