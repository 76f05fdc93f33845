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
        let bytes = text.map(str::as_bytes);
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
