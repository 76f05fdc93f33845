//! DeleteTopics v3.

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 20;
const API_VERSION: i16 = 3;
const TIMEOUT_MS: i32 = 60_000;

/// Deletes topics by their names.
pub fn request(topics: &[String]) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.array_len(topics.len());
    topics.iter().for_each(|topic| encoder.string(topic));
    encoder.i32(TIMEOUT_MS);
    encoder.finish(0)
}

/// The first error among the answers.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, false)?;
    decoder.i32()?;
    for _ in 0..decoder.array_len()? {
        let topic = decoder.string()?;
        let code = ErrorCode(decoder.i16()?);
        if code.is_error() {
            let subject = format!("topic {topic}");
            return Err(WireError::Refused { subject, code, detail: String::new() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_topic() {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(5);
        body.i32(0);
        body.array_len(1);
        body.string("t");
        body.i16(3);
        let error = parse(&body.finish(0)[4..], 5).unwrap_err().to_string();
        assert!(error.starts_with("topic t: "), "{error}");
    }
}
