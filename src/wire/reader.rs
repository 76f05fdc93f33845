use bytes::{Buf, Bytes, BytesMut};
use uuid::Uuid;

use super::{StrBytes, WireError};

/// Reads Kafka's primitive types with every length checked against what is left, so that nothing
/// is reserved that the frame could not fill.
pub struct Reader<B> {
    buf: B,
    flexible: bool,
    charged: usize,
    limit: usize,
}

/// What is read may take this many times its bytes when it is decoded, and [`DECODED_ANYWAY`]. The
/// densest that a client means are lists of one-letter names.
const DECODED_PER_BYTE: usize = 16;
const DECODED_ANYWAY: usize = 64 << 10;

impl<B: Buf> Reader<B> {
    pub fn new(buf: B, flexible: bool) -> Self {
        let limit = DECODED_ANYWAY + buf.remaining().saturating_mul(DECODED_PER_BYTE);
        Reader { buf, flexible, charged: 0, limit }
    }

    /// The same bytes, read on in the layout of a flexible version or an older one.
    pub fn into_flexible(self, flexible: bool) -> Self {
        Reader { flexible, ..self }
    }

    /// Notes that `count` decoded values take `bytes` each, beside what was read.
    ///
    /// # Errors
    /// All together is many times what was there to read.
    pub fn charge(&mut self, count: usize, bytes: usize) -> Result<(), WireError> {
        self.charged = self.charged.saturating_add(count.saturating_mul(bytes));
        match self.charged > self.limit {
            true => Err(WireError::Dense { decoded: self.charged, limit: self.limit }),
            false => Ok(()),
        }
    }

    /// All that was charged.
    pub fn charged(&self) -> usize {
        self.charged
    }

    pub fn into_inner(self) -> B {
        self.buf
    }

    pub fn remaining(&self) -> usize {
        self.buf.remaining()
    }

    pub fn i8(&mut self) -> Result<i8, WireError> {
        self.buf.try_get_i8().map_err(|_| WireError::Truncated)
    }

    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.buf.try_get_i16().map_err(|_| WireError::Truncated)
    }

    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.buf.try_get_i32().map_err(|_| WireError::Truncated)
    }

    pub fn i64(&mut self) -> Result<i64, WireError> {
        self.buf.try_get_i64().map_err(|_| WireError::Truncated)
    }

    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        self.buf.try_get_u128().map(Uuid::from_u128).map_err(|_| WireError::Truncated)
    }

    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.buf.try_get_u8().map_err(|_| WireError::Truncated)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed("a varint of more than five bytes".to_string()))
    }

    /// A string's length; `None` for null.
    fn string_len(&mut self) -> Result<Option<usize>, WireError> {
        let len = if self.flexible { self.compact_len()? } else { i64::from(self.i16()?) };
        // As in Kafka: a text that fits one version's layout fits all.
        match len > i64::from(i16::MAX) {
            true => Err(WireError::Length(len)),
            false => self.checked_len(len),
        }
    }

    /// The length of bytes; `None` for null.
    fn bytes_len(&mut self) -> Result<Option<usize>, WireError> {
        let len = if self.flexible { self.compact_len()? } else { i64::from(self.i32()?) };
        self.checked_len(len)
    }

    fn compact_len(&mut self) -> Result<i64, WireError> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn checked_len(&self, len: i64) -> Result<Option<usize>, WireError> {
        match len {
            -1 => Ok(None),
            len if len < 0 => Err(WireError::Length(len)),
            len if len as usize > self.remaining() => Err(WireError::Truncated),
            len => Ok(Some(len as usize)),
        }
    }

    /// The number of entries of a list (`None` for null), each at least `entry_bytes` long.
    pub fn count(&mut self, entry_bytes: usize) -> Result<Option<usize>, WireError> {
        let count = if self.flexible { self.compact_len()? } else { i64::from(self.i32()?) };
        let remaining = self.remaining();
        match count {
            -1 => Ok(None),
            count if count < 0 || count as usize > remaining / entry_bytes.max(1) => {
                Err(WireError::Count { count, remaining })
            }
            count => Ok(Some(count as usize)),
        }
    }

    /// Room for a list's entries, each at least `entry_bytes` long: charged, and no larger than
    /// what is left to read.
    ///
    /// # Errors
    /// The list is null or claims more than there can be.
    pub fn list<T>(&mut self, entry_bytes: usize) -> Result<(usize, Vec<T>), WireError> {
        let remaining = self.remaining();
        let count = self.count(entry_bytes)?.ok_or(WireError::Count { count: -1, remaining })?;
        self.charge(count, size_of::<T>())?;
        Ok((count, Vec::with_capacity(count)))
    }

    pub fn nullable_string(&mut self) -> Result<Option<StrBytes>, WireError> {
        let Some(len) = self.string_len()? else { return Ok(None) };
        let bytes: Bytes = self.buf.copy_to_bytes(len);
        StrBytes::from_utf8(bytes).map(Some).map_err(|_| WireError::Text)
    }

    pub fn string(&mut self) -> Result<StrBytes, WireError> {
        self.nullable_string()?.ok_or(WireError::Length(-1))
    }

    /// Bytes; null is none.
    pub fn bytes(&mut self) -> Result<Bytes, WireError> {
        let len = self.bytes_len()?.unwrap_or(0);
        Ok(self.buf.copy_to_bytes(len))
    }

    pub fn skip(&mut self, len: usize) -> Result<(), WireError> {
        if len > self.remaining() {
            return Err(WireError::Truncated);
        }
        self.buf.advance(len);
        Ok(())
    }

    pub fn skip_bytes(&mut self) -> Result<(), WireError> {
        let len = self.bytes_len()?.unwrap_or(0);
        self.skip(len)
    }

    pub fn skip_string(&mut self) -> Result<(), WireError> {
        let len = self.string_len()?;
        self.skip(len.unwrap_or(0))
    }

    /// Skips tagged fields where the version has them.
    pub fn skip_tags(&mut self) -> Result<(), WireError> {
        self.each_tag(|_, _| Ok(()))
    }

    /// Hands each tagged field's number and bytes to `visit`.
    pub fn each_tag(
        &mut self,
        mut visit: impl FnMut(u32, Bytes) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        let remaining = self.remaining();
        if count as usize > remaining / 2 {
            return Err(WireError::Count { count: i64::from(count), remaining });
        }
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            if size > self.remaining() {
                return Err(WireError::Truncated);
            }
            visit(tag, self.buf.copy_to_bytes(size))?;
        }
        Ok(())
    }
}

impl Reader<BytesMut> {
    /// Bytes as their own part of the frame: exclusive, so that they can be patched in place.
    pub fn own_bytes(&mut self) -> Result<Option<BytesMut>, WireError> {
        let len = self.bytes_len()?;
        Ok(len.map(|len| self.buf.split_to(len)))
    }
}
