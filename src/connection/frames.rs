use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use corelane_shards::net::ReadHalf;
use corelane_shards::runtime::{timeout, Lease, MemoryBudget};

/// First and largest size of the buffer that small frames are cut from. A connection that waits
/// holds none at all.
const SMALL_BUFFER: usize = 4 << 10;
const LARGE_BUFFER: usize = 64 << 10;
/// A frame whose bytes stop coming for this long is given up: it holds memory that others want.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Why a connection ends, said once on the console.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a frame of {len} bytes is not possible (1 to {max}); is this a Kafka client?")]
    Length { len: i32, max: usize },
    #[error("nothing was sent for {0:?}")]
    Idle(Duration),
    #[error("a frame stopped half way")]
    Stalled,
}

/// One request's bytes, without the length, and the memory they stand for.
pub struct Frame {
    pub bytes: BytesMut,
    pub lease: Lease,
}

/// Cuts a connection's bytes into frames.
pub struct FrameReader {
    read: ReadHalf,
    buffer: BytesMut,
    buffer_size: usize,
    max_frame: usize,
    memory: MemoryBudget,
    idle: Duration,
}

impl FrameReader {
    pub fn new(read: ReadHalf, max_frame: usize, memory: MemoryBudget, idle: Duration) -> Self {
        let buffer = BytesMut::new();
        FrameReader { read, buffer, buffer_size: SMALL_BUFFER, max_frame, memory, idle }
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`FrameError`]: the connection is then to be closed.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        while self.buffer.len() < 4 {
            if !self.fill().await? {
                return Ok(None);
            }
        }
        let len =
            i32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]);
        let max = self.max_frame;
        let size = usize::try_from(len).ok().filter(|size| (1..=max).contains(size));
        let Some(size) = size else { return Err(FrameError::Length { len, max }) };
        // Until there is memory for it the rest stays in the socket, and TCP slows the sender.
        let lease = self.memory.take(size).await;
        self.buffer.advance(4);
        let bytes =
            if size <= LARGE_BUFFER { self.small(size).await? } else { self.large(size).await? };
        Ok(bytes.map(|bytes| Frame { bytes, lease }))
    }

    /// A frame that is cut out of the shared buffer, together with its neighbours.
    async fn small(&mut self, size: usize) -> Result<Option<BytesMut>, FrameError> {
        while self.buffer.len() < size {
            self.buffer_size = self.buffer_size.max(size).min(LARGE_BUFFER);
            if !self.fill().await? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.split_to(size)))
    }

    /// A frame with memory of its own, of exactly its size, read into directly.
    async fn large(&mut self, size: usize) -> Result<Option<BytesMut>, FrameError> {
        let mut frame = BytesMut::with_capacity(size);
        let already = self.buffer.len().min(size);
        frame.extend_from_slice(&self.buffer[..already]);
        self.buffer.advance(already);
        while frame.len() < size {
            let missing = size - frame.len();
            match self.read.try_read(&mut frame, missing)? {
                Some(0) => return Ok(None),
                Some(_) => {}
                None => self.wait(STALLED_AFTER).await?.ok_or(FrameError::Stalled)?,
            }
        }
        Ok(Some(frame))
    }

    /// Reads more into the buffer; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, FrameError> {
        loop {
            let between_frames = self.buffer.is_empty();
            if between_frames && self.buffer.capacity() < SMALL_BUFFER / 2 {
                self.buffer = BytesMut::with_capacity(self.buffer_size);
            } else {
                self.buffer.reserve(self.buffer_size - self.buffer.len().min(self.buffer_size - 1));
            }
            let room = self.buffer.capacity() - self.buffer.len();
            match self.read.try_read(&mut self.buffer, room)? {
                Some(0) => return Ok(false),
                Some(read) => {
                    if read == room {
                        self.buffer_size = (self.buffer_size * 2).min(LARGE_BUFFER);
                    }
                    return Ok(true);
                }
                None if between_frames => {
                    self.buffer = BytesMut::new();
                    self.wait(self.idle).await?.ok_or(FrameError::Idle(self.idle))?;
                }
                None => self.wait(STALLED_AFTER).await?.ok_or(FrameError::Stalled)?,
            }
        }
    }

    async fn wait(&self, limit: Duration) -> Result<Option<()>, FrameError> {
        match timeout(limit, self.read.readable()).await {
            Some(readable) => Ok(Some(readable?)),
            None => Ok(None),
        }
    }
}
