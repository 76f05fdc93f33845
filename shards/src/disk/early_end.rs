//! Reads that the kernel ends too early. A direct read of the last, partial block of a file reaches beyond its
//! end; io_uring then answers fewer bytes than there are, or none, now and then (seen with Linux 6.1 of Debian
//! 12 on a virtio disk). Taken for the end of the file, a recovery would cut off records that are there.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::file::{align_down, BLOCK_BYTES};
use crate::runtime::spawn_blocking;

static WARNED: AtomicBool = AtomicBool::new(false);

/// What a read of `len` bytes at `start` has beside the `have` bytes that it was answered with: `None`, if
/// those are all there are. Both are whole blocks. `fd` is open as long as this runs.
///
/// # Errors
/// What the kernel answers, or fewer bytes once more.
pub async fn read_again(
    fd: RawFd,
    path: &Path,
    start: u64,
    len: usize,
    have: usize,
) -> io::Result<Option<Vec<u8>>> {
    // SAFETY: the caller holds the file, and it stays open while it waits for this.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    if have >= there(fd, start, len)? {
        return Ok(None);
    }
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            path = %path.display(),
            "io_uring has ended a read at the end of a file too early: it is read again, as all such are; \
             a newer kernel may not do it"
        );
    }
    let own = rustix::io::fcntl_dupfd_cloexec(fd, 0)?;
    let bytes = spawn_blocking(move || read(&own, start, len)).await?;
    // It may have been cut meanwhile.
    match bytes.len() < there(fd, start, len)? {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(Some(bytes)),
    }
}

/// The bytes of a file from `start` on, `len` at most.
fn there(fd: BorrowedFd<'_>, start: u64, len: usize) -> io::Result<usize> {
    let size = rustix::fs::fstat(fd)?.st_size as u64;
    Ok(size.saturating_sub(start).min(len as u64) as usize)
}

/// Reads whole blocks into memory as direct reads want it, without io_uring.
fn read(fd: &OwnedFd, start: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut memory = vec![0; len + BLOCK_BYTES as usize];
    let skip = memory.as_ptr().align_offset(BLOCK_BYTES as usize);
    let mut have = 0;
    while have < len {
        // A direct read goes on at a block only.
        let from = align_down(have as u64) as usize;
        let room = &mut memory[skip + from..skip + len];
        match rustix::io::pread(fd, room, start + from as u64) {
            Ok(read) if from + read > have => have = from + read,
            Ok(_) => break,
            Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
    memory.truncate(skip + have);
    memory.drain(..skip);
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use glommio::LocalExecutor;

    use super::*;

    #[test]
    fn all_that_is_there_is_read_up_to_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let bytes: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).expect("is written");
        let file: OwnedFd = std::fs::File::open(&path).expect("opens").into();
        for (start, len) in [(0, 4096), (0, 12_288), (8192, 4096), (4096, 16_384), (12_288, 4096)] {
            let to = (start as usize + len).min(bytes.len());
            let expected = &bytes[(start as usize).min(to)..to];
            assert_eq!(there(file.as_fd(), start, len).expect("is known"), expected.len());
            assert_eq!(read(&file, start, len).expect("reads"), expected, "{start} {len}");
        }
    }

    /// As if the kernel had answered so many bytes.
    #[test]
    fn what_was_answered_too_early_is_read_again_and_a_true_end_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 10_000]).expect("is written");
        let file = std::fs::File::open(&path).expect("opens");
        LocalExecutor::default().run(async {
            let again = |start, len, have| read_again(file.as_raw_fd(), &path, start, len, have);
            for (start, len, have, there) in
                [(0, 12_288, 0, 10_000), (0, 12_288, 8192, 10_000), (8192, 4096, 0, 1_808)]
            {
                let read = again(start, len, have).await.expect("reads");
                assert_eq!(read, Some(vec![7; there]), "{start} {len} {have}");
            }
            for (start, len, have) in [(0, 12_288, 10_000), (8192, 4096, 1_808), (12_288, 4096, 0)]
            {
                assert_eq!(again(start, len, have).await.expect("looks"), None, "{start} {len}");
            }
        });
    }
}
