//! Fetch v12 of one partition, without a session.

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 1;
const API_VERSION: i16 = 12;
const MAX_WAIT_MS: i32 = 500;

/// One partition's part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched<'a> {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub records: &'a [u8],
}

/// Asks for records from `offset` on, at most about `max_bytes`, waiting for one byte at the least.
pub fn request(topic: &str, partition: i32, offset: i64, max_bytes: u32) -> Vec<u8> {
    let mut encoder = Encoder::flexible_request(API_KEY, API_VERSION);
    encoder.i32(-1);
    encoder.i32(MAX_WAIT_MS);
    encoder.i32(1);
    encoder.i32(max_bytes as i32);
    encoder.i8(0);
    encoder.i32(0);
    encoder.i32(-1);
    encoder.compact_array_len(1);
    encoder.compact_string(topic);
    encoder.compact_array_len(1);
    encoder.i32(partition);
    encoder.i32(-1);
    encoder.i64(offset);
    encoder.i32(-1);
    encoder.i64(-1);
    encoder.i32(max_bytes as i32);
    encoder.no_tags();
    encoder.no_tags();
    encoder.compact_array_len(0);
    encoder.compact_string("");
    encoder.no_tags();
    encoder.finish(0)
}

/// Parses the answer; its records stay where they are.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<Fetched<'_>, WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, true)?;
    decoder.i32()?;
    let code = ErrorCode(decoder.i16()?);
    if code.is_error() {
        let subject = "fetch".to_owned();
        return Err(WireError::Refused { subject, code, detail: String::new() });
    }
    decoder.i32()?;
    let mut fetched = None;
    let mut answered = 0;
    for _ in 0..decoder.compact_array_len()? {
        decoder.compact_string()?;
        for _ in 0..decoder.compact_array_len()? {
            answered += 1;
            fetched = Some(parse_partition(&mut decoder)?);
        }
        decoder.skip_tags()?;
    }
    decoder.skip_tags()?;
    match fetched {
        Some(fetched) if answered == 1 => Ok(fetched),
        _ => Err(WireError::WrongPartitionCount { got: answered }),
    }
}

fn parse_partition<'a>(decoder: &mut Decoder<'a>) -> Result<Fetched<'a>, WireError> {
    decoder.i32()?;
    let error = ErrorCode(decoder.i16()?);
    let high_watermark = decoder.i64()?;
    decoder.take(8 + 8)?;
    for _ in 0..decoder.compact_array_len()? {
        decoder.take(8 + 8)?;
        decoder.skip_tags()?;
    }
    decoder.i32()?;
    let records = decoder.compact_bytes()?;
    decoder.skip_tags()?;
    Ok(Fetched { error, high_watermark, records })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(records: &[u8]) -> Vec<u8> {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(3);
        body.no_tags();
        body.i32(0);
        body.i16(0);
        body.i32(0);
        body.compact_array_len(1);
        body.compact_string("t");
        body.compact_array_len(1);
        body.i32(0);
        body.i16(0);
        body.i64(17);
        body.i64(16);
        body.i64(2);
        body.compact_null();
        body.i32(-1);
        body.compact_string(std::str::from_utf8(records).unwrap());
        body.no_tags();
        body.no_tags();
        body.no_tags();
        body.finish(0)
    }

    #[test]
    fn records_are_found_and_a_cut_answer_is_refused() {
        let whole = answer(b"some records");
        let fetched = parse(&whole[4..], 3).unwrap();
        assert_eq!(fetched.records, b"some records");
        assert_eq!(fetched.high_watermark, 17);
        for cut in 4..whole.len() {
            assert!(parse(&whole[4..cut], 3).is_err(), "cut at {cut}");
        }
    }
}
