//! `ceiling`: what this machine can do with the same bytes and no broker.
//!
//! The servers are as bare as can be (a thread or two for each connection, no parsing beyond the
//! frame's length) and run in a process of their own, as a broker does. The clients are the very
//! code that loads a broker, so both sides of a ratio pay the same for the client.

mod aligned;
pub mod client;
pub mod durable;
mod frames;
pub mod server;
mod sink;
mod source;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use clap::ValueEnum;
use rustix::fs::FallocateFlags;
use serde::Serialize;

use aligned::AlignedBuffer;
pub use aligned::BLOCK_BYTES;

/// How a write is made durable before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Not at all: the direct write has completed, the disk's own cache may hold it.
    None,
    /// The file is opened with `O_DSYNC`.
    Dsync,
    /// `fdatasync` after each write.
    Fdatasync,
}

/// What the file's blocks are before the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blocks {
    /// Reserved with `fallocate`, as a growing log has them: the file system must note each as
    /// written, which a durable write waits for.
    Fallocated,
    /// Written before: the disk's cost alone.
    Written,
}

/// Creates a file of `bytes` for direct writes.
fn create_file(
    path: &Path,
    bytes: u64,
    durability: Durability,
    blocks: Blocks,
) -> io::Result<File> {
    // Not rustix's `OFlags::DSYNC`: on Linux that is `O_SYNC`, which waits for the file's times too.
    let flags = match durability {
        Durability::Dsync => libc::O_DIRECT | libc::O_DSYNC,
        Durability::None | Durability::Fdatasync => libc::O_DIRECT,
    };
    let open = |flags| {
        OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path)
    };
    let plain = open(libc::O_DIRECT)?;
    rustix::fs::fallocate(&plain, FallocateFlags::empty(), 0, bytes)?;
    if blocks == Blocks::Written {
        let zeros = AlignedBuffer::new(1 << 20);
        let mut at = 0;
        while at < bytes {
            let len = (bytes - at).min(1 << 20) as usize;
            plain.write_all_at(&zeros.as_slice()[..len.next_multiple_of(BLOCK_BYTES)], at)?;
            at += len as u64;
        }
    }
    plain.sync_all()?;
    open(flags)
}
