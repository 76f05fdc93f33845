//! The ceiling's protocol: a frame is length (4), kind (4), correlation id (4), bytes. The
//! correlation id stands where Kafka has it, so that the same client code sets it.

use crate::wire::{Decoder, WireError, CORRELATION_ID_AT};

/// Length, kind and correlation id.
pub const HEAD_LEN: usize = CORRELATION_ID_AT + 4;
const LARGEST_FRAME: usize = 256 << 20;

/// The head of a frame with `payload_len` bytes behind it.
pub fn head(payload_len: usize) -> Vec<u8> {
    let mut head = vec![0; HEAD_LEN];
    head[..4].copy_from_slice(&((HEAD_LEN - 4 + payload_len) as u32).to_be_bytes());
    head
}

/// Appends the acknowledgement of one frame: its length, the correlation id.
pub fn push_ack(out: &mut Vec<u8>, correlation_id: [u8; 4]) {
    out.extend_from_slice(&4u32.to_be_bytes());
    out.extend_from_slice(&correlation_id);
}

/// Checks the answer to a frame.
pub fn check_ack(frame: &[u8], correlation_id: i32) -> Result<(), WireError> {
    Decoder::response(frame, correlation_id, false).map(drop)
}

/// Finds the ends of frames in a stream of bytes without keeping them.
#[derive(Debug, Default)]
pub struct FrameCounter {
    head: [u8; HEAD_LEN],
    head_len: usize,
    payload_left: usize,
}

impl FrameCounter {
    /// Goes on through `bytes`; pushes the correlation id of each frame that ends in them.
    pub fn advance(&mut self, mut bytes: &[u8], ended: &mut Vec<[u8; 4]>) -> Result<(), WireError> {
        while !bytes.is_empty() {
            if self.head_len < HEAD_LEN {
                let len = bytes.len().min(HEAD_LEN - self.head_len);
                self.head[self.head_len..self.head_len + len].copy_from_slice(&bytes[..len]);
                self.head_len += len;
                bytes = &bytes[len..];
                if self.head_len < HEAD_LEN {
                    return Ok(());
                }
                self.payload_left = self.payload_len()?;
            }
            let len = bytes.len().min(self.payload_left);
            self.payload_left -= len;
            bytes = &bytes[len..];
            if self.payload_left == 0 {
                let id = &self.head[CORRELATION_ID_AT..HEAD_LEN];
                ended.push([id[0], id[1], id[2], id[3]]);
                self.head_len = 0;
            }
        }
        Ok(())
    }

    fn payload_len(&self) -> Result<usize, WireError> {
        let len = i32::from_be_bytes([self.head[0], self.head[1], self.head[2], self.head[3]]);
        match usize::try_from(len) {
            Ok(bytes) if (HEAD_LEN - 4..=LARGEST_FRAME).contains(&bytes) => {
                Ok(bytes - (HEAD_LEN - 4))
            }
            _ => Err(WireError::BadFrameLength { len, max: LARGEST_FRAME }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = head(payload.len());
        frame[CORRELATION_ID_AT..].copy_from_slice(&id.to_be_bytes());
        [frame.as_slice(), payload].concat()
    }

    #[test]
    fn every_frame_ends_once_however_the_stream_is_cut() {
        let stream = [frame(1, b"abc"), frame(2, b""), frame(3, &[7; 100])].concat();
        for piece in 1..stream.len() {
            let mut counter = FrameCounter::default();
            let mut ended = Vec::new();
            for bytes in stream.chunks(piece) {
                counter.advance(bytes, &mut ended).unwrap();
            }
            let ids: Vec<u32> = ended.into_iter().map(u32::from_be_bytes).collect();
            assert_eq!(ids, [1, 2, 3], "pieces of {piece}");
        }
    }

    #[test]
    fn frame_too_short_for_its_head_is_refused() {
        let mut stream = frame(1, b"");
        stream[3] = 7;
        assert!(FrameCounter::default().advance(&stream, &mut Vec::new()).is_err());
    }
}
