//! Space for what must go on when a disk is full: small files that say what is deleted. A log
//! directory keeps some empty files with space of their own; where [`super::replace_file`] finds
//! none, it writes into one of them and gives it the name that was wanted. Nothing is freed on the
//! way, so that nobody who waits for space can take it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{fallocate, FallocateFlags};

const PREFIX: &str = ".corelane-reserve-";
/// Files kept in each log directory.
const FILES: usize = 64;
/// Space of each: what a file of one number takes.
const FILE_BYTES: u64 = 4096;

/// Makes the reserve in `log_dir` complete: what was used, or was never there. Blocks.
///
/// # Errors
/// What the kernel answers; there may be no space for it now.
pub fn fill_reserve(log_dir: &Path) -> io::Result<()> {
    for number in 0..FILES {
        let path = log_dir.join(format!("{PREFIX}{number:02}"));
        if path.exists() {
            continue;
        }
        let file = File::create(&path)?;
        let reserved = fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES);
        match reserved {
            Ok(()) => file.sync_all()?,
            // A file system that cannot reserve: ordinary writes are all there is.
            Err(rustix::io::Errno::OPNOTSUPP) => return fs::remove_file(&path),
            Err(error) => {
                fs::remove_file(&path)?;
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Makes `aside` out of a reserved file of a directory above, if there is one and `content` fits.
pub(super) fn write_reserved(aside: &Path, content: &[u8]) -> io::Result<bool> {
    if content.len() as u64 > FILE_BYTES {
        return Ok(false);
    }
    for dir in aside.ancestors().skip(1).take(2) {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let is_reserved = entry.file_name().to_string_lossy().starts_with(PREFIX);
            // Another thread may have been faster.
            if !is_reserved || fs::rename(entry.path(), aside).is_err() {
                continue;
            }
            let mut file = File::options().write(true).open(aside)?;
            file.write_all(content)?;
            file.set_len(content.len() as u64)?;
            file.sync_all()?;
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_file_gets_the_content_and_is_replaced_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let partition = dir.path().join("t-0");
        fs::create_dir(&partition).expect("makes");
        let aside = partition.join("offset.tmp");
        assert!(!write_reserved(&aside, b"17").expect("there is none"));
        fill_reserve(dir.path()).expect("fills");
        assert!(write_reserved(&aside, b"17").expect("writes"));
        assert_eq!(fs::read(&aside).expect("reads"), b"17");
        assert!(!write_reserved(&aside, &[0; 5_000]).expect("is too large"));
        let count = || fs::read_dir(dir.path()).expect("lists").count();
        assert_eq!(count(), FILES); // one is used, and there is the partition
        fill_reserve(dir.path()).expect("fills");
        assert_eq!(count(), FILES + 1);
    }
}
