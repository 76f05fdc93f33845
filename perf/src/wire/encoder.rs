//! Big-endian request encoding, classic and flexible.

use super::CLIENT_ID;

/// Builds one request frame; the length prefix is filled in by [`Encoder::finish`].
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Starts a frame with request header v1 (classic) for the API key and version.
    pub fn request(api_key: i16, api_version: i16) -> Self {
        let mut encoder = Self::default();
        encoder.i32(0);
        encoder.i16(api_key);
        encoder.i16(api_version);
        encoder.i32(0);
        encoder.string(CLIENT_ID);
        encoder
    }

    /// Starts a frame with request header v2 (flexible).
    pub fn flexible_request(api_key: i16, api_version: i16) -> Self {
        let mut encoder = Self::request(api_key, api_version);
        encoder.no_tags();
        encoder
    }

    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A classic string: 16-bit length, then the bytes. Strings here are names and settings given
    /// on the command line; one longer than the field can say is cut, and the broker refuses it.
    pub fn string(&mut self, value: &str) {
        let len = value.len().min(i16::MAX as usize);
        self.i16(len as i16);
        self.bytes.extend_from_slice(&value.as_bytes()[..len]);
    }

    pub fn null_string(&mut self) {
        self.i16(-1);
    }

    /// Classic bytes: 32-bit length, then the bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.i32(value.len() as i32);
        self.bytes.extend_from_slice(value);
    }

    /// What was encoded so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn compact_string(&mut self, value: &str) {
        self.uvarint(value.len() as u32 + 1);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn compact_bytes(&mut self, value: &[u8]) {
        self.uvarint(value.len() as u32 + 1);
        self.bytes.extend_from_slice(value);
    }

    /// The length of a classic array, to be followed by its elements.
    pub fn array_len(&mut self, len: usize) {
        self.i32(len as i32);
    }

    /// The length of a compact array, to be followed by its elements.
    pub fn compact_array_len(&mut self, len: usize) {
        self.uvarint(len as u32 + 1);
    }

    pub fn compact_null(&mut self) {
        self.bytes.push(0);
    }

    pub fn no_tags(&mut self) {
        self.bytes.push(0);
    }

    /// Fills in the frame's length; `trailing_bytes` will be sent after what was encoded here.
    pub fn finish(mut self, trailing_bytes: usize) -> Vec<u8> {
        let len = (self.bytes.len() - 4 + trailing_bytes) as u32;
        self.bytes[..4].copy_from_slice(&len.to_be_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_length_counts_everything_after_itself() {
        let mut encoder = Encoder::request(3, 7);
        encoder.i32(42);
        let frame = encoder.finish(10);
        let said = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        assert_eq!(said, frame.len() - 4 + 10);
        assert_eq!(&frame[4..8], &[0, 3, 0, 7]);
    }

    #[test]
    fn uvarint_uses_seven_bits_a_byte() {
        for (value, expected) in [
            (0u32, vec![0u8]),
            (127, vec![127]),
            (128, vec![0x80, 1]),
            (300, vec![0xac, 2]),
            (u32::MAX, vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut encoder = Encoder::default();
            encoder.uvarint(value);
            assert_eq!(encoder.bytes, expected, "{value}");
        }
    }
}
