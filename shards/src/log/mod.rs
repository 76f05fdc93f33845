//! The log of a partition, in Kafka's file layout.
//!
//! `batch` checks and patches record batches; `state` is the log as a pure state machine (offsets,
//! segments), with `planning` (what to write next), `rolling`, `clearing`, `segment`, `index`, `producers` and `aborted` as its parts; `log` does
//! the I/O it asks for; `journal` makes small batches of many logs durable at once, `journaled` is a
//! log's part in it; `reader` reads, `checked` holds back what is damaged; `recovery`, `scan` and
//! `replaying` open what a stop or a crash left; `log_dir` is a whole log directory (lock, identity, clean-stop marker); `env`, `blocks` hold
//! what the logs of one shard share.

mod aborted;
pub mod batch;
mod behind;
#[doc(hidden)]
pub mod bench;
mod blocks;
mod checked;
mod checkpoints;
mod clearing;
mod closing;
mod compaction;
mod compression;
mod config;
mod creating;
mod env;
mod epochs;
mod error;
mod full;
mod health;
mod index;
mod journal;
mod journaled;
mod loads;
#[allow(clippy::module_inception)]
mod log;
mod log_dir;
mod moving;
mod planning;
mod point;
mod producers;
mod reader;
mod recovery;
mod replaying;
mod retention;
mod rolling;
mod scan;
mod segment;
mod snapshots;
mod state;
mod throttle;
mod writing;

pub use self::log::{AppendWaiter, EndWatcher, Log, MoreBytes};
pub use aborted::Aborted;
pub use checkpoints::{write_checkpoints, Checkpoint};
pub use compaction::{Cleaner, Compacted, CLEANER_OFFSET_FILE};
pub use compression::{compressed, decompressed};
pub use config::{Durability, LogConfig};
pub use creating::NewLog;
pub use env::{LogEnv, LogEnvLimits};
pub use epochs::LeaderEpochs;
pub use error::LogError;
pub use health::DirHealth;
pub use index::SegmentIndex;
pub use journal::{JournalReplay, LogId, JOURNAL_SUFFIX};
pub use log_dir::{LogDir, LogDirError, MetaProperties, CLEAN_FILE, DELETED_SUFFIX, LOCK_FILE};
pub use moving::{
    settle_moves, Home, MoveError, MoveTarget, MovingSize, UnfinishedMove, FUTURE_SUFFIX,
    MOVED_AWAY_FILE,
};
pub use producers::{ProducerView, Producers, SequenceCheck};
pub use reader::Records;
pub use recovery::{recover, Opening, Recovered};
pub use retention::{Expired, LOG_START_FILE};
pub use scan::{examine, scan, Examined, Scanned};
pub use segment::{file_path, parse_file_name, SEGMENT_FILES};
pub use state::{Appended, LogState, NewBatch};
pub use throttle::Pace;
