use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_lite::AsyncWriteExt;
use glommio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

/// Slices given to one system call; the kernel takes at most 1,024.
const MAX_SLICES: usize = 256;

/// One accepted connection, before it is split. Lives on the shard that accepted it.
pub struct Stream {
    inner: Rc<TcpStream>,
    peer: SocketAddr,
}

/// The reading side of a connection.
pub struct ReadHalf {
    inner: Rc<TcpStream>,
}

/// The writing side of a connection.
pub struct WriteHalf {
    inner: Rc<TcpStream>,
    /// A duplicate made when the peer first lags: waiting for room needs exclusive access.
    waiter: Option<TcpStream>,
}

impl Stream {
    pub(super) fn new(inner: TcpStream) -> Self {
        // A peer that is gone already has no address: any will do, the first read ends it.
        let peer = inner.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        if let Err(error) = inner.set_nodelay(true) {
            tracing::debug!("no TCP_NODELAY for {peer}: {error}");
        }
        Stream { inner: Rc::new(inner), peer }
    }

    /// A connection that another shard has let go, see [`ReadHalf::duplicate`].
    pub fn adopt(socket: OwnedFd, peer: SocketAddr) -> Self {
        Stream { inner: Rc::new(take_over(socket)), peer }
    }

    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// A way to end the connection from outside of its tasks.
    pub fn closer(&self) -> Closer {
        Closer { inner: Rc::downgrade(&self.inner) }
    }

    pub fn split(self) -> (ReadHalf, WriteHalf) {
        let inner = self.inner;
        (ReadHalf { inner: Rc::clone(&inner) }, WriteHalf { inner, waiter: None })
    }
}

/// Ends a connection; does nothing once it is gone.
#[derive(Clone)]
pub struct Closer {
    inner: Weak<TcpStream>,
}

impl Closer {
    /// Shuts both directions down: reads see the end, writes fail.
    pub fn close(&self) {
        if let Some(stream) = self.inner.upgrade() {
            // Already broken is as good as closed.
            let _ = rustix::net::shutdown(borrow(&stream), rustix::net::Shutdown::Both);
        }
    }
}

impl ReadHalf {
    /// Another descriptor of the same connection, for [`Stream::adopt`] on another shard: this one's
    /// halves are to be dropped then.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        duplicate(&self.inner)
    }

    /// Waits until there is something to read, or the end, without holding memory for it.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn readable(&self) -> io::Result<()> {
        let mut byte = [0u8; 1];
        self.inner.peek(&mut byte).await.map(|_| ()).map_err(io::Error::from)
    }

    /// Reads what has arrived, at most `limit` bytes and at most the spare capacity of `buffer`,
    /// without waiting: `None` where nothing has arrived, `Some(0)` at the end of the stream.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn try_read(&self, buffer: &mut BytesMut, limit: usize) -> io::Result<Option<usize>> {
        let spare = buffer.spare_capacity_mut();
        let room = spare.len().min(limit);
        match rustix::net::recv(borrow(&self.inner), &mut spare[..room], RecvFlags::DONTWAIT) {
            Ok((_, received)) => {
                // SAFETY: the kernel has written the first `received` bytes of the spare capacity.
                unsafe { buffer.advance_mut(received) };
                Ok(Some(received))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl WriteHalf {
    /// Writes all parts, in order, and leaves `parts` empty. Waits while the peer does not read.
    ///
    /// # Errors
    /// The connection is broken; some parts may have been sent.
    pub async fn write_all(&mut self, parts: &mut Vec<Bytes>) -> io::Result<()> {
        let mut first = 0;
        while first < parts.len() {
            if parts[first].is_empty() {
                first += 1;
                continue;
            }
            match send_some(borrow(&self.inner), &parts[first..]) {
                Ok(sent) => advance(parts, &mut first, sent),
                Err(Errno::AGAIN | Errno::INTR) => {
                    let sent = self.wait_and_send(&parts[first]).await?;
                    advance(parts, &mut first, sent);
                }
                Err(error) => return Err(error.into()),
            }
        }
        parts.clear();
        Ok(())
    }

    /// Sends a first part of `bytes` once there is room, through the ring.
    async fn wait_and_send(&mut self, bytes: &Bytes) -> io::Result<usize> {
        if self.waiter.is_none() {
            self.waiter = Some(take_over(duplicate(&self.inner)?));
        }
        match &mut self.waiter {
            Some(waiter) => waiter.write(bytes).await,
            None => Err(io::Error::other("a waiter was just made")),
        }
    }
}

fn duplicate(stream: &TcpStream) -> io::Result<OwnedFd> {
    borrow(stream).try_clone_to_owned()
}

/// A connected socket as one of this shard.
fn take_over(socket: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor is a connected TCP socket's, and nobody else owns it.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

fn borrow(stream: &TcpStream) -> BorrowedFd<'_> {
    // SAFETY: the stream owns the descriptor and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

fn send_some(socket: BorrowedFd<'_>, parts: &[Bytes]) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if let [only] = parts {
        return rustix::net::send(socket, only, flags);
    }
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let count = parts.len().min(MAX_SLICES);
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    let mut no_ancillary = SendAncillaryBuffer::default();
    rustix::net::sendmsg(socket, &slices[..count], &mut no_ancillary, flags)
}

fn advance(parts: &mut [Bytes], first: &mut usize, mut sent: usize) {
    while sent > 0 {
        let part = &mut parts[*first];
        let step = sent.min(part.len());
        part.advance(step);
        sent -= step;
        if part.is_empty() {
            *first += 1;
        }
    }
}
