use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::Stream;
use crate::runtime::sleep;

/// One shard's listener. All shards bind the same address (`SO_REUSEPORT`); the kernel spreads
/// new connections over them.
pub struct Listener {
    inner: glommio::net::TcpListener,
}

/// Pause after the process ran out of descriptors, before accepting is tried again.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Connections the kernel completes for us before we accept them.
const BACKLOG: i32 = 4096;

impl Listener {
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        use std::os::fd::{FromRawFd, IntoRawFd};
        let socket = listening_socket(address)?;
        // SAFETY: the descriptor is a listening TCP socket that nobody else owns.
        let inner = unsafe { glommio::net::TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(Listener { inner })
    }

    /// # Errors
    /// The kernel does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr().map_err(io::Error::from)
    }

    /// The next connection. Failures that concern one connection, or that pass (no descriptors
    /// left), are waited out here.
    pub async fn accept(&self) -> Stream {
        let mut reported = false;
        loop {
            match self.inner.accept().await {
                Ok(stream) => return Stream::new(stream),
                Err(error) => {
                    let error = io::Error::from(error);
                    if !reported && error.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::warn!("cannot accept connections for now: {error}");
                        reported = true;
                    }
                    sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// A listening socket that shares its port with the other shards. Its connections may be bound
/// over (`SO_REUSEADDR`, which they inherit): those that a crash leaves behind would otherwise make
/// [`port_is_free`] refuse the next start.
fn listening_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    use rustix::net::{bind, listen, socket_with, sockopt, AddressFamily, SocketFlags, SocketType};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// How long a port may stay taken by a process that is gone: the kernel lets go of a killed
/// process's ring, and of the listeners in it, only some time after the process has ended.
const LET_GO: Duration = Duration::from_secs(3);
const LET_GO_STEP: Duration = Duration::from_millis(20);

/// Binds `address` alone for a moment, so that another process on the same port is noticed:
/// `SO_REUSEPORT` would let both share it in silence. Returns the address with its real port.
/// Blocks, for a few seconds at most: for use before the shards are started.
///
/// # Errors
/// `AddrInUse`, or what else binding answers.
pub fn port_is_free(address: SocketAddr) -> io::Result<SocketAddr> {
    let begun = Instant::now();
    loop {
        match StdListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < LET_GO => {
                std::thread::sleep(LET_GO_STEP);
            }
            bound => return bound?.local_addr(),
        }
    }
}
