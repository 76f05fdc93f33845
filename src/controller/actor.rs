//! The controller's task: takes commands one after the other, makes each decision durable, then
//! tells every shard and waits until they serve it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::configs::ConfigsChange;
use super::features::FeatureUpdate;
use super::handle::{Asked, Command, MorePartitions};
use super::quotas::QuotaChange;
use super::record::MetadataRecord;
use super::state::{
    ApiError, Controller, CreatedTopic, NewTopic, TopicSelector, MAX_PARTITIONS_PER_REQUEST,
};
use super::store::MetadataStore;
use crate::metadata::MetadataImage;
use crate::wire::{ErrorCode, Uuid};

/// A new image on its way to a shard.
pub struct ImageUpdate {
    pub image: Arc<MetadataImage>,
    /// Told once the shard serves the image.
    pub applied: oneshot::Sender<()>,
}

/// Runs the controller until every handle is gone.
pub async fn run(
    controller: Controller,
    store: MetadataStore,
    mut commands: mpsc::UnboundedReceiver<Asked>,
    shards: Vec<mpsc::UnboundedSender<ImageUpdate>>,
    log_dirs: Vec<PathBuf>,
) {
    let mut actor = Actor { controller, store, shards, log_dirs };
    while let Some(Asked { command, begun }) = commands.recv().await {
        // Whose time was over before was told that nothing is done.
        if begun.send(()).is_ok() {
            actor.handle(command).await;
        }
    }
}

/// What comes more than once.
fn repeated<'a, T: Ord>(all: impl Iterator<Item = &'a T>) -> BTreeSet<&'a T> {
    let mut seen = BTreeSet::new();
    all.filter(|one| !seen.insert(*one)).collect()
}

/// A decision could not be kept, or does not fit: nothing of it is in force.
fn unusable(message: String) -> ApiError {
    tracing::error!("the metadata log cannot be written: {message}");
    ApiError::new(ErrorCode::KafkaStorageError, message)
}

/// Bytes that are free where a log directory lies; none where it cannot be told.
fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |disk| disk.f_bavail * disk.f_frsize)
}

struct Actor {
    controller: Controller,
    store: MetadataStore,
    shards: Vec<mpsc::UnboundedSender<ImageUpdate>>,
    log_dirs: Vec<PathBuf>,
}

impl Actor {
    async fn handle(&mut self, command: Command) {
        if matches!(command, Command::CreateTopics { .. } | Command::CreatePartitions { .. }) {
            self.controller.set_free_space(self.log_dirs.iter().map(|dir| free_bytes(dir)));
        }
        // Whoever asked may be gone: its work was done all the same.
        match command {
            Command::CreateTopics { topics, validate_only, answer } => {
                let _ = answer.send(self.create_topics(topics, validate_only).await);
            }
            Command::DeleteTopics { topics, answer } => {
                let _ = answer.send(self.delete_topics(topics).await);
            }
            Command::CreatePartitions { topics, validate_only, answer } => {
                let _ = answer.send(self.create_partitions(topics, validate_only).await);
            }
            Command::AlterConfigs { changes, validate_only, answer } => {
                let _ = answer.send(self.alter_configs(&changes, validate_only).await);
            }
            Command::AlterQuotas { changes, validate_only, answer } => {
                let _ = answer.send(self.alter_quotas(&changes, validate_only).await);
            }
            Command::UpdateFeatures { updates, validate_only, answer } => {
                let _ = answer.send(self.update_features(&updates, validate_only).await);
            }
            Command::MovePartition { topic, partition, to, answer } => {
                let decided = self.controller.move_partition(topic, partition, to);
                let decided = decided.and_then(|record| self.commit(&[record]));
                let changed = decided.is_ok();
                // Before the shards are told: the one that asks holds its appends until it knows.
                let _ = answer.send(decided);
                if changed {
                    self.publish().await;
                }
            }
            Command::AllocateProducerIds { answer } => {
                let (first, record) = self.controller.allocate_producer_ids();
                let committed = self.commit(&[record]);
                let _ = answer.send(committed.map(|()| first));
            }
        }
    }

    async fn create_topics(
        &mut self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<CreatedTopic, ApiError>> {
        if let Err(error) = self.controller.check_new_partitions(&topics) {
            return topics.iter().map(|_| Err(error.clone())).collect();
        }
        let decide = |controller: &Controller, topic: &NewTopic| {
            controller.create_topic(topic, Uuid::new_v4())
        };
        self.decide_all(&topics, validate_only, decide).await
    }

    async fn alter_quotas(
        &mut self,
        changes: &[QuotaChange],
        validate_only: bool,
    ) -> Vec<Result<(), ApiError>> {
        let twice = repeated(changes.iter().map(|change| &change.entity));
        let decide =
            |controller: &Controller, change: &QuotaChange| match twice.contains(&change.entity) {
                true => Err(ApiError::new(ErrorCode::InvalidRequest, "The entity is named twice.")),
                false => Ok((controller.alter_quota(change)?, ())),
            };
        self.decide_all(changes, validate_only, decide).await
    }

    async fn update_features(
        &mut self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Result<(), ApiError> {
        let records = self.controller.update_features(updates)?;
        if validate_only || records.is_empty() {
            return Ok(());
        }
        self.commit(&records)?;
        self.publish().await;
        Ok(())
    }

    async fn delete_topics(
        &mut self,
        topics: Vec<TopicSelector>,
    ) -> Vec<Result<(String, Uuid), ApiError>> {
        let decide = |controller: &Controller, topic: &TopicSelector| {
            let (record, name, id) = controller.delete_topic(topic)?;
            Ok((record, (name.to_string(), id)))
        };
        self.decide_all(&topics, false, decide).await
    }

    async fn create_partitions(
        &mut self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
    ) -> Vec<Result<(), ApiError>> {
        let mut left = MAX_PARTITIONS_PER_REQUEST;
        let decide = |controller: &Controller, more: &MorePartitions| {
            let MorePartitions { topic, count, assignments } = more;
            left = controller.partitions_left(left, topic, *count)?;
            let record = controller.create_partitions(topic, *count, assignments.as_deref())?;
            Ok((record, ()))
        };
        self.decide_all(&topics, validate_only, decide).await
    }

    async fn alter_configs(
        &mut self,
        changes: &[ConfigsChange],
        validate_only: bool,
    ) -> Vec<Result<(), ApiError>> {
        let twice = repeated(changes.iter().map(|change| &change.target));
        let decide = |controller: &Controller, change: &ConfigsChange| {
            if twice.contains(&change.target) {
                let message = "Each resource must appear at most once.";
                return Err(ApiError::new(ErrorCode::InvalidRequest, message));
            }
            Ok((controller.alter_configs(change)?, ()))
        };
        self.decide_all(changes, validate_only, decide).await
    }

    /// Decides about one after the other, each with those before it in force, makes all decisions durable
    /// together and tells the shards once; with `validate_only` nothing is changed.
    async fn decide_all<T, R>(
        &mut self,
        asked: &[T],
        validate_only: bool,
        mut decide: impl FnMut(&Controller, &T) -> Result<(MetadataRecord, R), ApiError>,
    ) -> Vec<Result<R, ApiError>> {
        let before = self.controller.clone();
        let mut results = Vec::with_capacity(asked.len());
        let mut records = Vec::new();
        for one in asked {
            let decided = decide(&self.controller, one).and_then(|(record, answer)| {
                self.controller.apply(&record).map_err(unusable)?;
                records.push(record);
                Ok(answer)
            });
            results.push(decided);
        }
        if validate_only {
            self.controller = before;
            return results;
        }
        if records.is_empty() {
            return results;
        }
        if let Err(error) = self.store.append(&records).map_err(|e| unusable(e.to_string())) {
            self.controller = before;
            let undone = |result: Result<R, ApiError>| result.and_then(|_| Err(error.clone()));
            return results.into_iter().map(undone).collect();
        }
        drop(before);
        self.compact();
        self.publish().await;
        results
    }

    /// Makes decisions durable, then puts them in force here.
    fn commit(&mut self, records: &[MetadataRecord]) -> Result<(), ApiError> {
        self.store.append(records).map_err(|e| unusable(e.to_string()))?;
        for record in records {
            self.controller.apply(record).map_err(unusable)?;
        }
        self.compact();
        Ok(())
    }

    fn compact(&mut self) {
        let controller = &self.controller;
        if let Err(error) = self.store.compact(|| controller.records()) {
            tracing::warn!("the metadata log stays as it is: {error}");
        }
    }

    /// Tells every shard and waits until all serve the new image.
    async fn publish(&self) {
        let image = Arc::new(self.controller.image().clone());
        let mut waiting = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let (applied, done) = oneshot::channel();
            if shard.send(ImageUpdate { image: Arc::clone(&image), applied }).is_ok() {
                waiting.push(done);
            }
        }
        for done in waiting {
            // A shard that stops drops its end: nothing is left to wait for.
            let _ = done.await;
        }
    }
}
