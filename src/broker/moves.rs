//! Partitions move from one log directory to another (AlterReplicaLogDirs): the log does the work, the
//! controller decides.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use corelane_shards::disk;
use corelane_shards::log::{
    settle_moves, Home, LogError, MoveError, MoveTarget, Pace, UnfinishedMove, DELETED_SUFFIX,
    FUTURE_SUFFIX,
};

use super::Shard;
use crate::metadata::MetadataImage;
use crate::partition::{Partition, PartitionKey};
use crate::wire::ErrorCode;

/// The controller answers at once; that it does not within this time means that it never will.
const DECISION_LIMIT: Duration = Duration::from_secs(3_600);

impl Shard {
    /// Begins to move a partition of ours to the log directory of number `to`; a move that is under
    /// way is cancelled. Where it is there already, nothing is done.
    ///
    /// # Errors
    /// The partition is offline or not ours.
    pub fn begin_move(self: &Rc<Self>, key: PartitionKey, to: usize) -> Result<(), ErrorCode> {
        let partition = self.table.find(&key)?;
        if partition.log.failure().is_some() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let log_dir = self.config().log_dirs[to].clone();
        let under_way = partition.log.moving_size();
        if under_way.is_some_and(|moving| moving.future.parent() == Some(&log_dir)) {
            return Ok(());
        }
        partition.log.cancel_move();
        if partition.log.dir().parent() == Some(&log_dir) {
            return Ok(());
        }
        let shard = Rc::clone(self);
        let run = async move {
            partition.log.move_ended().await;
            shard.move_partition(&partition, key, to).await;
        };
        self.env.background.spawn(run).detach();
        Ok(())
    }

    async fn move_partition(&self, partition: &Partition, key: PartitionKey, to: usize) {
        let log = &partition.log;
        let old = log.dir();
        let log_dir = self.config().log_dirs[to].clone();
        let Some(name) = old.file_name().and_then(|name| name.to_str()) else { return };
        let unique = uuid::Uuid::new_v4().simple();
        let target = MoveTarget {
            future: log_dir.join(format!("{name}.{unique}{FUTURE_SUFFIX}")),
            home: log_dir.join(name),
        };
        let pace = Pace::unfelt(self.config().move_bytes_per_second);
        let decide = || async {
            let asked = self.controller.move_partition(key.topic, key.index, to, DECISION_LIMIT);
            let decided = asked.await.map_err(|code| format!("{code:?}"))?;
            decided.map_err(|error| error.message)
        };
        tracing::info!(from = %old.display(), to = %log_dir.display(), "moving a partition");
        match log.move_to(&target, pace, decide).await {
            Ok(()) => {
                tracing::info!(log = %target.home.display(), "moved");
                remove(&old, &key).await;
                if log.is_deleted() {
                    remove(&target.home, &key).await;
                }
            }
            // The next start goes on with it.
            Err(MoveError::Log(LogError::Closed)) => {}
            Err(error @ MoveError::Cancelled) => tracing::info!(log = %old.display(), "{error}"),
            Err(error) => {
                tracing::error!(log = %old.display(), "the partition was not moved: {error}");
            }
        }
    }

    /// Ends what a stop left of moves of our partitions, before they are opened. Returns those that
    /// are to begin again.
    pub(super) async fn settle_moves(&self, image: &MetadataImage) -> Vec<UnfinishedMove> {
        let there = self.config().log_dirs.len();
        let home = |name: &str| match place(image, name) {
            Some((_, at)) if at.shard == self.id && at.log_dir < there => Home::In(at.log_dir),
            Some(_) => Home::NotOurs,
            None if self.id.index() == 0 => Home::Nowhere,
            None => Home::NotOurs,
        };
        let settled = settle_moves(&self.config().log_dirs, home, self.env.background).await;
        settled.unwrap_or_else(|error| {
            tracing::error!("what a stop left of moves stays until the next start: {error}");
            Vec::new()
        })
    }

    /// Begins moves again that a stop interrupted.
    pub(super) fn resume_moves(self: &Rc<Self>, unfinished: &[UnfinishedMove]) {
        let image = self.image();
        for UnfinishedMove { partition, to } in unfinished {
            let Some((key, _)) = place(&image, partition) else { continue };
            if let Err(code) = self.begin_move(key, *to) {
                tracing::error!(partition, "its move does not go on: {code:?}");
            }
        }
    }
}

/// The partition that a directory name of Kafka's stands for.
fn place(
    image: &MetadataImage,
    name: &str,
) -> Option<(PartitionKey, crate::metadata::PartitionImage)> {
    let (topic, index) = name.rsplit_once('-')?;
    let topic = image.by_name(topic)?;
    let index: i32 = index.parse().ok()?;
    let place = topic.partitions.get(usize::try_from(index).ok()?)?;
    Some((PartitionKey { topic: topic.id, index }, *place))
}

/// What a partition's directory is called until it is removed.
pub(super) fn deleted_dir(dir: &Path, key: &PartitionKey) -> PathBuf {
    dir.with_file_name(format!("{}.{}{DELETED_SUFFIX}", key.index, key.topic.simple()))
}

/// Removes a partition directory that nobody uses any more.
pub(super) async fn remove(dir: &Path, key: &PartitionKey) {
    let aside = deleted_dir(dir, key);
    let removed = match disk::rename(dir, &aside).await {
        Ok(()) => disk::remove_dir(&aside).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::warn!("a partition's files stay until the next start: {error}");
    }
}
