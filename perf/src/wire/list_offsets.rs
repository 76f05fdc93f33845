//! ListOffsets v1: where a partition's log begins and ends.

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 2;
const API_VERSION: i16 = 1;

/// Which end of a log is asked for: the "timestamp" that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first offset there is.
    First = -2,
    /// The offset that the next record will have.
    Next = -1,
}

/// Asks for one offset of one partition.
pub fn request(topic: &str, partition: i32, end: End) -> Vec<u8> {
    let mut encoder = Encoder::request(API_KEY, API_VERSION);
    encoder.i32(-1);
    encoder.array_len(1);
    encoder.string(topic);
    encoder.array_len(1);
    encoder.i32(partition);
    encoder.i64(end as i64);
    encoder.finish(0)
}

/// The offset asked for.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<i64, WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, false)?;
    let mut offset = None;
    for _ in 0..decoder.array_len()? {
        decoder.string()?;
        for _ in 0..decoder.array_len()? {
            decoder.i32()?;
            let code = ErrorCode(decoder.i16()?);
            if code.is_error() {
                let subject = "list offsets".to_owned();
                return Err(WireError::Refused { subject, code, detail: String::new() });
            }
            decoder.i64()?;
            offset = Some(decoder.i64()?);
        }
    }
    offset.ok_or(WireError::WrongPartitionCount { got: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_read_behind_the_timestamp() {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(6);
        body.array_len(1);
        body.string("t");
        body.array_len(1);
        body.i32(0);
        body.i16(0);
        body.i64(-1);
        body.i64(42);
        let whole = body.finish(0);
        assert_eq!(parse(&whole[4..], 6), Ok(42));
        for cut in 4..whole.len() {
            assert!(parse(&whole[4..cut], 6).is_err(), "cut at {cut}");
        }
    }
}
