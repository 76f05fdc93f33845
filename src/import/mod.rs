//! Takes over what a cleanly stopped Apache Kafka broker left in its log directories: topics with
//! their ids and settings, partitions, offsets of consumer groups (their topic's log), producers.
//!
//! `metadata` reads the cluster's metadata log, `source` looks at the directories and refuses what is
//! not whole, `check` reads every batch, `take` makes our directories. Kafka's files are only read.

mod check;
mod metadata;
mod source;
mod take;

pub use check::check_partition;
pub use metadata::KafkaTopic;
pub use source::{look, Found, FoundPartition};
pub use take::{free_bytes, take, How};

use std::path::{Path, PathBuf};

/// Why nothing was taken over; each names the file or directory and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {why}")]
    Io { path: PathBuf, why: std::io::Error },
    #[error("{path}: {reason}")]
    Refused { path: PathBuf, reason: String },
}

impl ImportError {
    fn refused(path: &Path, reason: impl Into<String>) -> ImportError {
        ImportError::Refused { path: path.to_path_buf(), reason: reason.into() }
    }

    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError + '_ {
        |why| ImportError::Io { path: path.to_path_buf(), why }
    }
}
