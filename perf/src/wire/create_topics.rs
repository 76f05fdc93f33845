//! CreateTopics v4.

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 19;
const API_VERSION: i16 = 4;
const TIMEOUT_MS: i32 = 30_000;

/// Creates one topic with one replica and the given settings.
pub fn request(topic: &str, partitions: u32, settings: &[(String, String)]) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.array_len(1);
    encoder.string(topic);
    encoder.i32(partitions as i32);
    encoder.i16(1);
    encoder.array_len(0);
    encoder.array_len(settings.len());
    for (key, value) in settings {
        encoder.string(key);
        encoder.string(value);
    }
    encoder.i32(TIMEOUT_MS);
    encoder.bool(false);
    encoder.finish(0)
}

/// Creates several topics with one replica and without settings.
pub fn of_all(topics: &[String], partitions: u32) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.array_len(topics.len());
    for topic in topics {
        encoder.string(topic);
        encoder.i32(partitions as i32);
        encoder.i16(1);
        encoder.array_len(0);
        encoder.array_len(0);
    }
    encoder.i32(TIMEOUT_MS);
    encoder.bool(false);
    encoder.finish(0)
}

/// The answer's error code; that the topic exists already is not an error here.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    topic_errors(frame, correlation_id, |code| code == ErrorCode::TOPIC_ALREADY_EXISTS)
}

/// The first error of an answer that has a code and a message for each topic, but for those that
/// are `fine`.
pub(super) fn topic_errors(
    frame: &[u8],
    correlation_id: i32,
    fine: impl Fn(ErrorCode) -> bool,
) -> Result<(), WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, false)?;
    decoder.i32()?;
    for _ in 0..decoder.array_len()? {
        let topic = decoder.string()?;
        let code = ErrorCode(decoder.i16()?);
        let message = decoder.string()?;
        if code.is_error() && !fine(code) {
            let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
            return Err(WireError::Refused { subject: format!("topic {topic}"), code, detail });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i16) -> Vec<u8> {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(5);
        body.i32(0);
        body.array_len(1);
        body.string("t");
        body.i16(code);
        body.string("why");
        body.finish(0)
    }

    #[test]
    fn refusal_carries_the_brokers_words() {
        let error = parse(&answer(37)[4..], 5).unwrap_err();
        assert_eq!(error.to_string(), "topic t: INVALID_PARTITIONS (37): why");
    }

    #[test]
    fn existing_topic_is_fine() {
        assert_eq!(parse(&answer(36)[4..], 5), Ok(()));
    }
}
