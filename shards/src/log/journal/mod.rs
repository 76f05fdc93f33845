//! The journal of one shard in one log directory: small batches of many partitions become durable
//! in one write, are answered then, and reach their segments later in larger plain writes.
//!
//! `frame` is the format, `files` the pure state machine that decides which file is written and
//! which can be used again, `writer` does the I/O, `replay` reads what a crash left. A log decides
//! what of it goes here in [`super::state`]: only what follows durable bytes without a gap.

mod files;
mod frame;
mod replay;
mod writer;

pub(super) use frame::Entry;
pub use replay::{JournalReplay, ReplayedBatches};
pub(super) use writer::{Journal, Journals, Offer};

/// Names a log in the journal: whatever its owner keeps over restarts, and no other log ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogId(pub [u8; 20]);

/// Ends the names of journal files, which lie in their log directory beside the partitions.
pub const JOURNAL_SUFFIX: &str = ".corelane-journal";
