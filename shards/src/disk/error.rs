use std::io;
use std::path::{Path, PathBuf};

use glommio::GlommioError;

/// A failed disk operation: what was tried, on which file, and what the kernel said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} {path}: {message}")]
pub struct DiskError {
    pub operation: &'static str,
    pub path: String,
    pub kind: io::ErrorKind,
    pub os_code: Option<i32>,
    pub message: String,
}

/// The kernel's error with its number: the library's own conversion keeps only the text.
pub(super) fn io_error(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.into(),
    }
}

impl DiskError {
    pub fn new(operation: &'static str, path: &Path, error: io::Error) -> Self {
        DiskError {
            operation,
            path: path.display().to_string(),
            kind: error.kind(),
            os_code: error.raw_os_error(),
            message: error.to_string(),
        }
    }

    /// Whether there was no space, or none was allowed, for a write that can be tried again. A sync
    /// cannot.
    pub fn is_no_space(&self) -> bool {
        let full = self.os_code == Some(libc::ENOSPC) || self.os_code == Some(libc::EDQUOT);
        // Space that runs out in the middle of a write makes it a short one.
        (full && self.operation != "fdatasync") || self.kind == io::ErrorKind::WriteZero
    }

    /// A write or read that moved fewer bytes than asked for.
    pub fn short(operation: &'static str, path: &Path, moved: usize, wanted: usize) -> Self {
        let text = format!("only {moved} of {wanted} bytes");
        let kind = match operation {
            "write" => io::ErrorKind::WriteZero,
            _ => io::ErrorKind::UnexpectedEof,
        };
        DiskError::new(operation, path, io::Error::new(kind, text))
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }
}
