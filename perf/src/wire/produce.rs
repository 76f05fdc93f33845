//! Produce v9 with one batch of one partition, or the same batch for each of several.

use super::{Decoder, Encoder, ErrorCode, WireError};

const API_KEY: i16 = 0;
const API_VERSION: i16 = 9;
const TIMEOUT_MS: i32 = 30_000;

/// What follows the record batch: the tagged fields of partition, topic and request, all empty.
pub const TAIL: &[u8] = &[0, 0, 0];

/// Encodes all of the request that comes before the batch, its length prefix counting the batch
/// and [`TAIL`] too.
pub fn head(topic: &str, partition: i32, acks: i16, batch_len: usize) -> Vec<u8> {
    let mut encoder = up_to_partitions(topic, acks, 1);
    encoder.i32(partition);
    encoder.uvarint(batch_len as u32 + 1);
    encoder.finish(batch_len + TAIL.len())
}

/// Encodes a whole request with the same batch for each of `partitions`.
pub fn to_many(topic: &str, partitions: &[i32], acks: i16, batch: &[u8]) -> Vec<u8> {
    let mut encoder = up_to_partitions(topic, acks, partitions.len());
    for &partition in partitions {
        encoder.i32(partition);
        encoder.compact_bytes(batch);
        encoder.no_tags();
    }
    encoder.no_tags();
    encoder.no_tags();
    encoder.finish(0)
}

fn up_to_partitions(topic: &str, acks: i16, partitions: usize) -> Encoder {
    let mut encoder = Encoder::flexible_request(API_KEY, API_VERSION);
    encoder.compact_null();
    encoder.i16(acks);
    encoder.i32(TIMEOUT_MS);
    encoder.compact_array_len(1);
    encoder.compact_string(topic);
    encoder.compact_array_len(partitions);
    encoder
}

/// Checks the answer: exactly one partition, and its error code.
pub fn parse(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    match answered(frame, correlation_id)? {
        1 => Ok(()),
        got => Err(WireError::WrongPartitionCount { got }),
    }
}

/// Checks the answer to a request for several partitions: at least one is there, none failed.
pub fn parse_many(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    match answered(frame, correlation_id)? {
        0 => Err(WireError::WrongPartitionCount { got: 0 }),
        _ => Ok(()),
    }
}

/// How many partitions the answer has; the first error among them is the error.
fn answered(frame: &[u8], correlation_id: i32) -> Result<usize, WireError> {
    let mut decoder = Decoder::response(frame, correlation_id, true)?;
    let mut answered = 0;
    for _ in 0..decoder.compact_array_len()? {
        decoder.compact_string()?;
        for _ in 0..decoder.compact_array_len()? {
            answered += 1;
            parse_partition(&mut decoder)?;
        }
        decoder.skip_tags()?;
    }
    decoder.i32()?;
    decoder.skip_tags()?;
    Ok(answered)
}

fn parse_partition(decoder: &mut Decoder<'_>) -> Result<(), WireError> {
    let partition = decoder.i32()?;
    let code = ErrorCode(decoder.i16()?);
    decoder.take(8 + 8 + 8)?;
    for _ in 0..decoder.compact_array_len()? {
        decoder.i32()?;
        decoder.compact_string()?;
        decoder.skip_tags()?;
    }
    let message = decoder.compact_string()?;
    if code.is_error() {
        let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
        let subject = format!("produce to partition {partition}");
        return Err(WireError::Refused { subject, code, detail });
    }
    decoder.skip_tags()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(partitions: usize, code: i16) -> Vec<u8> {
        let mut body = Encoder::default();
        body.i32(0);
        body.i32(77);
        body.no_tags();
        body.compact_array_len(1);
        body.compact_string("t");
        body.compact_array_len(partitions);
        for partition in 0..partitions {
            body.i32(partition as i32);
            body.i16(code);
            body.i64(0);
            body.i64(-1);
            body.i64(0);
            body.compact_array_len(0);
            body.compact_null();
            body.no_tags();
        }
        body.no_tags();
        body.i32(0);
        body.no_tags();
        body.finish(0)
    }

    #[test]
    fn good_answer_is_accepted_and_cut_anywhere_is_refused() {
        let whole = answer(1, 0);
        assert_eq!(parse(&whole[4..], 77), Ok(()));
        for cut in 4..whole.len() {
            assert!(parse(&whole[4..cut], 77).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn error_code_of_the_partition_is_an_error() {
        let error = parse(&answer(1, 10)[4..], 77).unwrap_err();
        assert_eq!(error.to_string(), "produce to partition 0: MESSAGE_TOO_LARGE (10)");
    }

    #[test]
    fn answer_without_our_partition_is_refused() {
        assert_eq!(parse(&answer(0, 0)[4..], 77), Err(WireError::WrongPartitionCount { got: 0 }));
    }

    #[test]
    fn request_to_one_of_many_is_the_same_bytes_as_to_one() {
        let batch = [7; 300];
        let one = [&head("t", 3, 1, batch.len())[..], &batch, TAIL].concat();
        assert_eq!(to_many("t", &[3], 1, &batch), one);
    }

    #[test]
    fn answer_of_several_partitions_is_refused_for_one_and_fails_with_any() {
        assert_eq!(parse_many(&answer(3, 0)[4..], 77), Ok(()));
        assert!(parse(&answer(3, 0)[4..], 77).is_err());
        assert!(parse_many(&answer(3, 10)[4..], 77).is_err());
        assert!(parse_many(&answer(0, 0)[4..], 77).is_err());
    }

    #[test]
    fn head_counts_batch_and_tail_in_the_frame_length() {
        let head = head("t", 0, -1, 1000);
        let said = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        assert_eq!(said, head.len() - 4 + 1000 + TAIL.len());
    }
}
