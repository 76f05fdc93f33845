//! The seam to the disk: everything the log does to files goes through here.
//!
//! `file` opens, reads and writes one file with direct I/O through the shard's ring, `early_end` reads
//! again what a kernel ended too early; `fs` holds the rare directory operations, which run on a
//! blocking thread; `handles` bounds how many files a shard keeps open, `removals` how fast space is
//! freed. `sim` is a disk in memory for tests, which fails and forgets when told to.

mod creation;
mod early_end;
mod error;
mod file;
mod fs;
mod handles;
mod probe;
mod removals;
mod reserve;
pub mod sim;

pub use creation::{create_dirs, rename_all, NewDir};
pub use error::DiskError;
pub use file::{align_down, align_up, Access, File, WriteBuffer, BLOCK_BYTES};
pub use fs::{
    create_dir, ensure_dir, list_dir, read_small, remove_dir, remove_file, rename, rename_if_there,
    replace_file, sync_dir, write_small,
};
pub use handles::{FileId, HandleCache, HandleKey, HandleKind};
pub use removals::Removals;
pub use reserve::fill_reserve;
