//! A record to be filtered and printed, whoever has read it.

use corelane_shards::log::batch::{take_varint, Record};
use rdkafka::message::{BorrowedMessage, Headers, Message};

pub struct Shown<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1: none.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> Shown<'a> {
    /// As librdkafka has it.
    pub fn of_message(message: &'a BorrowedMessage<'_>) -> Shown<'a> {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Shown {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key(),
            value: message.payload(),
            headers: headers.map(|header| (header.key.as_bytes(), header.value)).collect(),
        }
    }

    /// Out of a batch. Headers end where they are damaged.
    pub fn of_record(
        (topic, partition): (&'a str, i32),
        (offset, timestamp): (i64, i64),
        record: &Record<'a>,
    ) -> Shown<'a> {
        let (key, value) = (record.key, record.value);
        let headers = headers(record.headers);
        Shown { topic, partition, offset, timestamp, key, value, headers }
    }
}

fn headers(mut bytes: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
    let mut headers = Vec::new();
    let count = take_varint(&mut bytes).unwrap_or(0);
    for _ in 0..count {
        let Some(Some(key)) = take_bytes(&mut bytes) else { break };
        let Some(value) = take_bytes(&mut bytes) else { break };
        headers.push((key, value));
    }
    headers
}

/// Bytes with their length in front; `Some(None)`: null.
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_varint(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_far_as_they_are_whole() {
        // Two headers: a=1 and b=null; lengths are zigzag.
        let bytes = [4, 2, b'a', 2, b'1', 2, b'b', 1];
        let both = [(&b"a"[..], Some(&b"1"[..])), (&b"b"[..], None)];
        assert_eq!(headers(&bytes), both);
        assert_eq!(headers(&bytes[..6]), both[..1]);
        assert_eq!(headers(&[]), []);
    }
}
