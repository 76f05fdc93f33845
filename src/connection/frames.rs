use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use corelane_shards::net::ReadHalf;
use corelane_shards::runtime::{timeout, Lease, MemoryBudget};

use crate::handlers::BufferMemory;

/// First and largest size of the buffer that small frames are cut from.
const SMALL_BUFFER: usize = 4 << 10;
const LARGE_BUFFER: usize = 64 << 10;
/// A longer frame gets memory of its own, unless all of it is in the buffer already.
const SMALL_FRAME: usize = 16 << 10;
/// Less room than this in a buffer is not read into.
const LEAST_ROOM: usize = 512;
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
    /// What stays in memory when any part of the frame is kept: all of the buffer it was cut from.
    pub memory: Rc<BufferMemory>,
}

/// Cuts a connection's bytes into frames.
pub struct FrameReader {
    read: ReadHalf,
    buffer: BytesMut,
    /// Of `buffer`, as [`Frame::memory`].
    memory: Rc<BufferMemory>,
    /// Size of the next buffer.
    buffer_size: usize,
    max_frame: usize,
    budget: MemoryBudget,
    idle: Duration,
}

impl FrameReader {
    pub fn new(read: ReadHalf, max_frame: usize, budget: MemoryBudget, idle: Duration) -> Self {
        FrameReader {
            read,
            buffer: BytesMut::new(),
            memory: Rc::default(),
            buffer_size: SMALL_BUFFER,
            max_frame,
            budget,
            idle,
        }
    }

    /// The socket, for who goes on with it elsewhere; `None` where some of a frame has been read.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn socket(&self) -> io::Result<Option<OwnedFd>> {
        self.buffer.is_empty().then(|| self.read.duplicate()).transpose()
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
        let lease = self.budget.take(size).await;
        self.buffer.advance(4);
        if size <= SMALL_FRAME || size <= self.buffer.len() {
            let Some(bytes) = self.small(size).await? else { return Ok(None) };
            return Ok(Some(Frame { bytes, lease, memory: Rc::clone(&self.memory) }));
        }
        let Some(bytes) = self.large(size).await? else { return Ok(None) };
        Ok(Some(Frame { bytes, lease, memory: Rc::new(BufferMemory::new(size)) }))
    }

    /// A frame that is cut out of the shared buffer, together with its neighbours.
    async fn small(&mut self, size: usize) -> Result<Option<BytesMut>, FrameError> {
        if self.buffer.capacity() < size {
            self.renew(size);
        }
        while self.buffer.len() < size {
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

    /// Goes on in a new buffer with room for at least `size` bytes.
    fn renew(&mut self, size: usize) {
        let size = self.buffer_size.max(size);
        let mut buffer = BytesMut::with_capacity(size);
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
        self.memory = Rc::new(BufferMemory::new(size));
    }

    /// Reads more into the buffer; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, FrameError> {
        loop {
            if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
                self.renew(self.buffer.len() + LEAST_ROOM);
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
                None if self.buffer.is_empty() => {
                    self.rest();
                    self.wait(self.idle).await?.ok_or(FrameError::Idle(self.idle))?;
                }
                None => self.wait(STALLED_AFTER).await?.ok_or(FrameError::Stalled)?,
            }
        }
    }

    /// Before waiting for a next frame: a buffer that nothing was kept of is given back; what is
    /// left of one that stays in memory anyway is used on, if it is not too much to lie idle.
    fn rest(&mut self) {
        let kept = self.memory.is_kept();
        if !kept || self.buffer.capacity() > SMALL_BUFFER {
            self.buffer = BytesMut::new();
            self.memory = Rc::default();
        }
        self.buffer_size = (self.buffer_size / 2).max(SMALL_BUFFER);
    }

    async fn wait(&self, limit: Duration) -> Result<Option<()>, FrameError> {
        match timeout(limit, self.read.readable()).await {
            Some(readable) => Ok(Some(readable?)),
            None => Ok(None),
        }
    }
}
