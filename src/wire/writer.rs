use bytes::{BufMut, BytesMut};

use super::TopicRef;

/// Writes Kafka's primitive types in the layout of a flexible version or an older one.
pub struct Writer {
    pub buf: BytesMut,
    pub flexible: bool,
}

impl Writer {
    pub fn new(flexible: bool, capacity: usize) -> Self {
        Writer { buf: BytesMut::with_capacity(capacity), flexible }
    }

    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.put_u8((value as u8) | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(value as u8);
    }

    /// The number of entries of a list; `None` for null.
    pub fn count(&mut self, count: Option<usize>) {
        match (self.flexible, count) {
            (true, count) => self.unsigned_varint(count.map_or(0, |n| n as u32 + 1)),
            (false, count) => self.buf.put_i32(count.map_or(-1, |n| n as i32)),
        }
    }

    /// The length of bytes that are written elsewhere.
    pub fn bytes_len(&mut self, len: usize) {
        self.count(Some(len));
    }

    pub fn nullable_string(&mut self, text: Option<&str>) {
        // Older versions have two bytes for the length: a message that is longer is cut.
        let limit = if self.flexible { usize::MAX } else { i16::MAX as usize };
        let bytes = text.map(|text| cut_at(text, limit).as_bytes());
        match (self.flexible, bytes) {
            (true, bytes) => self.unsigned_varint(bytes.map_or(0, |b| b.len() as u32 + 1)),
            (false, bytes) => self.buf.put_i16(bytes.map_or(-1, |b| b.len() as i16)),
        }
        self.buf.put_slice(bytes.unwrap_or_default());
    }

    pub fn topic(&mut self, topic: &TopicRef) {
        match topic {
            TopicRef::Name(name) => self.nullable_string(Some(name)),
            TopicRef::Id(id) => self.buf.put_u128(id.as_u128()),
        }
    }

    /// An empty list of tagged fields, where the version has them.
    pub fn no_tags(&mut self) {
        if self.flexible {
            self.buf.put_u8(0);
        }
    }
}

/// The longest beginning of `text` that is no longer than `limit` bytes.
fn cut_at(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    #[test]
    fn text_too_long_for_its_length_is_cut_between_characters() {
        let long = "é".repeat(20_000);
        let mut old = Writer::new(false, 0);
        old.nullable_string(Some(&long));
        assert_eq!(old.buf.get_i16(), i16::MAX - 1);
        assert_eq!(old.buf, long.as_bytes()[..i16::MAX as usize - 1]);
        let mut new = Writer::new(true, 0);
        new.nullable_string(Some(&long));
        assert_eq!(new.buf.len(), 3 + long.len());
    }
}
