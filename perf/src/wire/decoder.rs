//! Bounded decoding of answers: nothing is read, skipped or counted past the frame's end.

use thiserror::Error;

use super::ErrorCode;

/// Why an answer could not be understood or was a refusal.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    #[error("the answer ends {missing} bytes too early")]
    Truncated { missing: usize },
    #[error("the answer claims {count} elements where {remaining} bytes are left")]
    ImpossibleCount { count: i64, remaining: usize },
    #[error("a variable-length integer is longer than five bytes")]
    BadVarint,
    #[error("a string is not UTF-8")]
    BadString,
    #[error("expected the answer to request {expected}, got the one to {got}")]
    WrongCorrelationId { expected: i32, got: i32 },
    #[error("a frame of {len} bytes is outside 4..={max}")]
    BadFrameLength { len: i32, max: usize },
    #[error("the answer names {got} partitions where one was asked for")]
    WrongPartitionCount { got: usize },
    #[error("record batch at byte {at}: {what}")]
    BadBatch { at: usize, what: &'static str },
    #[error("{subject}: {code}{detail}")]
    Refused { subject: String, code: ErrorCode, detail: String },
}

/// A cursor over one answer, without its length prefix.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub fn new(frame: &'a [u8]) -> Self {
        Self { rest: frame }
    }

    /// Starts on an answer: reads its header (v1 when `flexible`) and checks the correlation id.
    pub fn response(
        frame: &'a [u8],
        expected_correlation_id: i32,
        flexible: bool,
    ) -> Result<Self, WireError> {
        let mut decoder = Self::new(frame);
        let got = decoder.i32()?;
        if got != expected_correlation_id {
            return Err(WireError::WrongCorrelationId { expected: expected_correlation_id, got });
        }
        if flexible {
            decoder.skip_tags()?;
        }
        Ok(decoder)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(WireError::Truncated { missing: len - self.rest.len() }),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub fn uvarint(&mut self) -> Result<u32, WireError> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.fixed::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| WireError::BadVarint);
            }
        }
        Err(WireError::BadVarint)
    }

    fn check_count(&self, count: i64) -> Result<usize, WireError> {
        // Each element of every array we read takes one byte at the least.
        if count < 0 || count > self.rest.len() as i64 {
            return Err(WireError::ImpossibleCount { count, remaining: self.rest.len() });
        }
        Ok(count as usize)
    }

    /// The element count of a classic array; null counts as empty.
    pub fn array_len(&mut self) -> Result<usize, WireError> {
        let count = i64::from(self.i32()?);
        self.check_count(if count == -1 { 0 } else { count })
    }

    /// The element count of a compact array; null counts as empty.
    pub fn compact_array_len(&mut self) -> Result<usize, WireError> {
        let count = i64::from(self.uvarint()?);
        self.check_count((count - 1).max(0))
    }

    /// A classic nullable string; null reads as empty.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        let len = self.i16()?;
        if len == -1 {
            return Ok("");
        }
        let len = self.check_count(i64::from(len))?;
        std::str::from_utf8(self.take(len)?).map_err(|_| WireError::BadString)
    }

    /// Classic nullable bytes; null reads as empty.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.array_len()?;
        self.take(len)
    }

    /// Compact nullable bytes; null reads as empty.
    pub fn compact_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.compact_array_len()?;
        self.take(len)
    }

    /// A compact nullable string; null reads as empty.
    pub fn compact_string(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.compact_bytes()?).map_err(|_| WireError::BadString)
    }

    /// Skips a classic array of 32-bit integers.
    pub fn skip_i32_array(&mut self) -> Result<(), WireError> {
        let count = self.array_len()?;
        self.take(count * 4).map(drop)
    }

    /// Skips tagged fields.
    pub fn skip_tags(&mut self) -> Result<(), WireError> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let len = self.uvarint()?;
            self.take(len as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_count_beyond_the_frame_is_refused() {
        let huge = [0x7f, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(
            Decoder::new(&huge).array_len(),
            Err(WireError::ImpossibleCount { count: i64::from(i32::MAX), remaining: 2 })
        );
        let negative = (-2i32).to_be_bytes();
        assert!(Decoder::new(&negative).array_len().is_err());
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(Decoder::new(&compact).compact_array_len().is_err());
    }

    #[test]
    fn null_array_and_null_string_read_as_empty() {
        assert_eq!(Decoder::new(&(-1i32).to_be_bytes()).array_len(), Ok(0));
        assert_eq!(Decoder::new(&[0]).compact_array_len(), Ok(0));
        assert_eq!(Decoder::new(&(-1i16).to_be_bytes()).string(), Ok(""));
        assert_eq!(Decoder::new(&[0]).compact_string(), Ok(""));
    }

    #[test]
    fn overlong_varint_is_refused() {
        assert_eq!(Decoder::new(&[0x80; 6]).uvarint(), Err(WireError::BadVarint));
        assert_eq!(
            Decoder::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).uvarint(),
            Err(WireError::BadVarint)
        );
    }

    #[test]
    fn answer_to_another_request_is_refused() {
        assert_eq!(
            Decoder::response(&[0, 0, 0, 7], 8, false).map(drop),
            Err(WireError::WrongCorrelationId { expected: 8, got: 7 })
        );
    }
}
