use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions};

use super::early_end::read_again;
use super::error::io_error;
use super::probe::ensure_probed;
use super::sim::{self, SimFile};
use super::DiskError;

/// Direct writes are made in multiples of this, at multiples of this. 4 KiB fits every disk with
/// 512-byte or 4 KiB logical blocks.
pub const BLOCK_BYTES: u64 = 4096;

/// The largest multiple of [`BLOCK_BYTES`] that is not above `position`.
pub fn align_down(position: u64) -> u64 {
    position & !(BLOCK_BYTES - 1)
}

/// The smallest multiple of [`BLOCK_BYTES`] that is not below `position`.
pub fn align_up(position: u64) -> u64 {
    align_down(position + BLOCK_BYTES - 1)
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Writes that have reached the device when they complete, but maybe only its volatile cache.
    Write,
    /// Writes that are durable when they complete (`O_DSYNC`).
    WriteDurable,
}

/// Memory a direct write can be made from: aligned, owned by the shard that allocated it.
pub struct WriteBuffer(DmaBuffer);

impl WriteBuffer {
    /// A buffer of `len_bytes`, which must be a multiple of [`BLOCK_BYTES`]. Its content is
    /// unspecified. Must be called on a shard.
    pub fn new(len_bytes: usize) -> Self {
        assert_eq!(len_bytes as u64 % BLOCK_BYTES, 0, "direct writes are whole blocks");
        WriteBuffer(glommio::allocate_dma_buffer(len_bytes))
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_bytes_mut()
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whole blocks to read for bytes that are wanted. Aligned here: the library's own way forgets, at the
/// end of the file, that the bytes before the position count among those that were read.
struct Aligned {
    start: u64,
    len: usize,
    before: usize,
    wanted: usize,
}

impl Aligned {
    fn of(position: u64, len_bytes: usize) -> Aligned {
        let start = align_down(position);
        let before = (position - start) as usize;
        let len = align_up((before + len_bytes) as u64) as usize;
        Aligned { start, len, before, wanted: len_bytes }
    }

    /// What was wanted, of so many bytes that were read.
    fn wanted(&self, read: usize) -> Range<usize> {
        let end = read.min(self.before + self.wanted);
        self.before.min(end)..end
    }
}

/// One open file. Lives on the shard that opened it. Direct I/O where the file system has it;
/// otherwise buffered, with one warning for the process.
pub struct File {
    inner: Inner,
    path: PathBuf,
}

enum Inner {
    Direct(DmaFile),
    Buffered(BufferedFile),
    Simulated(SimFile),
}

static WARNED_NO_DIRECT_IO: AtomicBool = AtomicBool::new(false);

impl File {
    /// Opens `path`. With a write access the file is created where it is missing.
    ///
    /// # Errors
    /// What the kernel answers; a file system without `O_DIRECT` is not an error.
    pub async fn open(path: &Path, access: Access) -> Result<File, DiskError> {
        if let Some(disk) = sim::of(path) {
            let inner = Inner::Simulated(disk.open(path, access).await?);
            return Ok(File { inner, path: path.to_path_buf() });
        }
        ensure_probed(path).await;
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::Write => options.read(true).write(true).create(true),
            Access::WriteDurable => {
                options.read(true).write(true).create(true).custom_flags(libc::O_DSYNC)
            }
        };
        options.mode(0o644);
        // The library looks at the path again once the file is open, and panics where it has been
        // removed meanwhile.
        let opened = AssertUnwindSafe(options.dma_open(path)).catch_unwind().await;
        let Ok(opened) = opened else {
            return Err(DiskError::new("open", path, io::ErrorKind::NotFound.into()));
        };
        let inner = match opened {
            Ok(file) => Inner::Direct(file),
            Err(error) => {
                let error = io_error(error);
                if error.raw_os_error() != Some(rustix::io::Errno::INVAL.raw_os_error()) {
                    return Err(DiskError::new("open", path, error));
                }
                warn_no_direct_io(path);
                let file = options.buffered_open(path).await;
                Inner::Buffered(file.map_err(|e| DiskError::new("open", path, io_error(e)))?)
            }
        };
        Ok(File { inner, path: path.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole buffer at `position` (a multiple of [`BLOCK_BYTES`]).
    ///
    /// # Errors
    /// What the kernel answers, or a short write.
    pub async fn write_at(&self, buffer: WriteBuffer, position: u64) -> Result<(), DiskError> {
        let wanted = buffer.bytes().len();
        let written = match &self.inner {
            Inner::Direct(file) => file.write_at(buffer.0, position).await.map_err(io_error),
            Inner::Buffered(file) => {
                file.write_at(buffer.bytes().to_vec(), position).await.map_err(io_error)
            }
            Inner::Simulated(file) => file.write_at(buffer.bytes(), position).await,
        };
        let written = written.map_err(|e| self.error("write", e))?;
        if written != wanted {
            return Err(DiskError::short("write", &self.path, written, wanted));
        }
        Ok(())
    }

    /// Reads up to `len_bytes` from `position` (any alignment); fewer only at the end of the file. The
    /// memory is the one that was read into, and may cross shards; up to two blocks more than was asked
    /// for are held by it.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn read_at(&self, position: u64, len_bytes: usize) -> Result<Bytes, DiskError> {
        if len_bytes == 0 {
            return Ok(Bytes::new());
        }
        let place = Aligned::of(position, len_bytes);
        let read = match &self.inner {
            Inner::Direct(file) => {
                file.read_owned_at(place.start, place.len).await.map(Bytes::from_owner)
            }
            Inner::Buffered(file) => {
                file.read_at(place.start, place.len).await.map(|read| Bytes::copy_from_slice(&read))
            }
            Inner::Simulated(file) => {
                let read = file.read_at(position, len_bytes).await;
                return read.map(Bytes::from).map_err(|e| self.error("read", e));
            }
        };
        let mut read = read.map_err(|e| self.error("read", io_error(e)))?;
        if let Some(all) = self.rest_of(&place, read.len()).await? {
            read = Bytes::from(all);
        }
        Ok(read.slice(place.wanted(read.len())))
    }

    /// As [`File::read_at`], behind what is in `out`: for who goes through a file and needs its memory
    /// for a moment only. What is read into is the reactor's, and not new each time. Returns the
    /// number of bytes.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn read_behind(
        &self,
        position: u64,
        len_bytes: usize,
        out: &mut BytesMut,
    ) -> Result<usize, DiskError> {
        let place = Aligned::of(position, len_bytes);
        let read = match &self.inner {
            Inner::Direct(file) => file.read_at_aligned(place.start, place.len).await,
            Inner::Buffered(file) => file.read_at(place.start, place.len).await,
            Inner::Simulated(_) => {
                let read = self.read_at(position, len_bytes).await?;
                out.extend_from_slice(&read);
                return Ok(read.len());
            }
        };
        let read = read.map_err(|e| self.error("read", io_error(e)))?;
        let all = self.rest_of(&place, read.len()).await?;
        let read = all.as_deref().unwrap_or(&read);
        let wanted = &read[place.wanted(read.len())];
        out.extend_from_slice(wanted);
        Ok(wanted.len())
    }

    /// All of `place` where the kernel answered `read` bytes and there are more.
    async fn rest_of(&self, place: &Aligned, read: usize) -> Result<Option<Vec<u8>>, DiskError> {
        if read >= place.before + place.wanted {
            return Ok(None);
        }
        let fd = match &self.inner {
            Inner::Direct(file) => file.as_raw_fd(),
            Inner::Buffered(file) => file.as_raw_fd(),
            Inner::Simulated(_) => return Ok(None),
        };
        let again = read_again(fd, &self.path, place.start, place.len, read).await;
        again.map_err(|e| self.error("read", e))
    }

    /// Makes every completed write durable.
    ///
    /// # Errors
    /// What the kernel answers; the log must then be treated as damaged, never synced again.
    pub async fn sync_data(&self) -> Result<(), DiskError> {
        let synced = match &self.inner {
            Inner::Direct(file) => file.fdatasync().await.map_err(io_error),
            Inner::Buffered(file) => file.fdatasync().await.map_err(io_error),
            Inner::Simulated(file) => file.sync_data().await,
        };
        synced.map_err(|e| self.error("fdatasync", e))
    }

    /// Reserves zeroed space up to `size_bytes`; the file grows to that size. A file system that
    /// cannot do it is left as it is: space is then found while writing.
    ///
    /// # Errors
    /// No space left, or an I/O error.
    pub async fn allocate(&self, size_bytes: u64) -> Result<(), DiskError> {
        let done = match &self.inner {
            Inner::Direct(file) => file.pre_allocate(size_bytes, false).await.map_err(io_error),
            Inner::Buffered(file) => file.pre_allocate(size_bytes, false).await.map_err(io_error),
            Inner::Simulated(file) => file.allocate(size_bytes).await,
        };
        match done {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
                Ok(())
            }
            other => other.map_err(|e| self.error("fallocate", e)),
        }
    }

    /// Cuts the file to `size_bytes`.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn truncate(&self, size_bytes: u64) -> Result<(), DiskError> {
        let done = match &self.inner {
            Inner::Direct(file) => file.truncate(size_bytes).await.map_err(io_error),
            Inner::Buffered(file) => file.truncate(size_bytes).await.map_err(io_error),
            Inner::Simulated(file) => file.truncate(size_bytes).await,
        };
        done.map_err(|e| self.error("truncate", e))
    }

    /// The file's size in bytes, preallocated space included.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn size(&self) -> Result<u64, DiskError> {
        let size = match &self.inner {
            Inner::Direct(file) => file.file_size().await.map_err(io_error),
            Inner::Buffered(file) => file.file_size().await.map_err(io_error),
            Inner::Simulated(file) => file.size().await,
        };
        size.map_err(|e| self.error("stat", e))
    }

    fn error(&self, operation: &'static str, error: io::Error) -> DiskError {
        DiskError::new(operation, &self.path, error)
    }
}

fn warn_no_direct_io(path: &Path) {
    if !WARNED_NO_DIRECT_IO.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            path = %path.display(),
            "this file system has no O_DIRECT: using buffered I/O, slower and with the kernel's \
             cache between us and the disk; put the log directory on ext4 or xfs"
        );
    }
}
