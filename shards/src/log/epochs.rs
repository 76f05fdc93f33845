//! The leader epochs that a log was written in, with the offset at which each began (KIP-101), in
//! Kafka's `leader-epoch-checkpoint`. An unreplicated log of ours has one; one that was taken over
//! from Kafka may have had others before.

use std::path::Path;

use super::log::Log;
use crate::disk::{self, DiskError};

pub(super) const FILE: &str = "leader-epoch-checkpoint";

/// See the module's head. Read when it is asked for, which is seldom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderEpochs(Vec<(i32, i64)>);

impl LeaderEpochs {
    /// Of a log that begins now.
    pub fn first(epoch: i32) -> LeaderEpochs {
        LeaderEpochs(vec![(epoch, 0)])
    }

    /// Reads the file's text: a version, a count, and a line for each epoch. What is not a line of
    /// that form is none.
    pub fn parse(text: &str) -> LeaderEpochs {
        let entry = |line: &str| {
            let (epoch, start) = line.split_once(' ')?;
            Some((epoch.parse().ok()?, start.trim().parse().ok()?))
        };
        LeaderEpochs(text.lines().skip(2).filter_map(entry).collect())
    }

    pub fn encode(&self) -> String {
        let lines = self.0.iter().map(|(epoch, start)| format!("{epoch} {start}\n"));
        format!("0\n{}\n{}", self.0.len(), lines.collect::<String>())
    }

    /// The largest epoch that is not above `asked`, and the offset behind its last record, where the
    /// log ends at `log_end` in epoch `current`. `None`: no such epoch is known.
    pub fn end_of(&self, asked: i32, current: i32, log_end: i64) -> Option<(i32, i64)> {
        if asked == current {
            return Some((current, log_end));
        }
        if asked > current || asked == -1 {
            return None;
        }
        let above = self.0.partition_point(|(epoch, _)| *epoch <= asked);
        let end = self.0.get(above).map_or(log_end, |(_, start)| *start);
        let epoch = above.checked_sub(1).map_or(asked, |at| self.0[at].0);
        Some((epoch, end))
    }
}

impl Log {
    /// The epochs that the log was written in.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn leader_epochs(&self) -> Result<LeaderEpochs, DiskError> {
        let bytes = disk::read_small(&self.dir().join(FILE)).await?.unwrap_or_default();
        Ok(LeaderEpochs::parse(&String::from_utf8_lossy(&bytes)))
    }
}

pub(super) async fn write(dir: &Path, epochs: &LeaderEpochs) -> Result<(), DiskError> {
    disk::replace_file(&dir.join(FILE), epochs.encode().into_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_ends_where_the_next_begins() {
        let epochs = LeaderEpochs::parse("0\n3\n1 0\n2 100\n5 150\n");
        assert_eq!(epochs.encode(), "0\n3\n1 0\n2 100\n5 150\n");
        let end_of = |asked| epochs.end_of(asked, 5, 200);
        assert_eq!(end_of(0), Some((0, 0)));
        assert_eq!(end_of(1), Some((1, 100)));
        assert_eq!(end_of(2), Some((2, 150)));
        assert_eq!(end_of(4), Some((2, 150)));
        assert_eq!(end_of(5), Some((5, 200)));
        assert_eq!(end_of(6), None);
        assert_eq!(end_of(-1), None);
        let one = LeaderEpochs::first(0);
        assert_eq!(one.encode(), "0\n1\n0 0\n");
        assert_eq!(one.end_of(0, 0, 7), Some((0, 7)));
        assert_eq!(LeaderEpochs::default().end_of(3, 4, 7), Some((3, 7)));
    }
}
