//! The checkpoint files of a log directory, in Kafka's form, as an orderly stop leaves them: a
//! version, the number of lines, and for each partition its topic, number and offset. We keep the same
//! for each partition beside its log, and only Kafka reads these.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::error::LogError;
use super::log::Log;

const FILES: [&str; 4] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
];

/// What Kafka wants to know of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub topic: String,
    pub partition: String,
    pub log_end: i64,
    /// Where it lies behind the first segment's base.
    pub log_start: Option<i64>,
    /// Everything below is compacted.
    pub cleaner_offset: Option<i64>,
}

impl Log {
    /// What the checkpoints say of this log, once it is closed.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn checkpoint(&self) -> Result<Checkpoint, LogError> {
        let dir = self.dir();
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
        let (log_start, compact) = {
            let state = self.state.borrow();
            let first = state.segments().first().map_or(0, |segment| segment.base_offset);
            let start = state.log_start();
            ((start > first).then_some(start), state.config.compact)
        };
        let cleaner_offset = if compact { Some(self.first_dirty().await?) } else { None };
        Ok(Checkpoint {
            topic: topic.to_string(),
            partition: partition.to_string(),
            log_end: self.log_end(),
            log_start,
            cleaner_offset,
        })
    }
}

/// Writes the checkpoint files of `log_dir`, durably.
///
/// # Errors
/// What the kernel answers.
pub fn write_checkpoints(log_dir: &Path, partitions: &[Checkpoint]) -> io::Result<()> {
    for name in FILES {
        let offset = |c: &Checkpoint| match name {
            "log-start-offset-checkpoint" => c.log_start,
            "cleaner-offset-checkpoint" => c.cleaner_offset,
            _ => Some(c.log_end),
        };
        let lines = partitions.iter().filter_map(|c| Some((c, offset(c)?)));
        let (mut text, mut count) = (String::new(), 0);
        for (Checkpoint { topic, partition, .. }, offset) in lines {
            let _ = writeln!(text, "{topic} {partition} {offset}");
            count += 1;
        }
        let aside = log_dir.join(format!("{name}.tmp"));
        let mut file = File::create(&aside)?;
        file.write_all(format!("0\n{count}\n{text}").as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, log_dir.join(name))?;
    }
    File::open(log_dir)?.sync_all()
}
