use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::configs::ConfigsChange;
use super::features::FeatureUpdate;
use super::quotas::QuotaChange;
use super::state::{ApiError, CreatedTopic, NewTopic, TopicSelector};
use crate::wire::{ErrorCode, Uuid};

/// More partitions for a topic, as a client asks for them.
#[derive(Debug, Clone)]
pub struct MorePartitions {
    pub topic: String,
    /// The new total.
    pub count: i32,
    /// Replicas of each added partition, where the client chooses them.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// What the controller is asked to do, with where the answer goes.
pub enum Command {
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
        answer: oneshot::Sender<Vec<Result<CreatedTopic, ApiError>>>,
    },
    DeleteTopics {
        topics: Vec<TopicSelector>,
        answer: oneshot::Sender<Vec<Result<(String, Uuid), ApiError>>>,
    },
    CreatePartitions {
        topics: Vec<MorePartitions>,
        validate_only: bool,
        answer: oneshot::Sender<Vec<Result<(), ApiError>>>,
    },
    AlterConfigs {
        changes: Vec<ConfigsChange>,
        validate_only: bool,
        answer: oneshot::Sender<Vec<Result<(), ApiError>>>,
    },
    AlterQuotas {
        changes: Vec<QuotaChange>,
        validate_only: bool,
        answer: oneshot::Sender<Vec<Result<(), ApiError>>>,
    },
    UpdateFeatures {
        updates: Vec<FeatureUpdate>,
        validate_only: bool,
        answer: oneshot::Sender<Result<(), ApiError>>,
    },
    MovePartition {
        topic: Uuid,
        partition: i32,
        /// Number of the log directory.
        to: usize,
        answer: oneshot::Sender<Result<(), ApiError>>,
    },
    AllocateProducerIds {
        answer: oneshot::Sender<Result<i64, ApiError>>,
    },
}

/// A command on its way to the controller.
pub struct Asked {
    pub command: Command,
    /// Told when the controller begins with it. Whoever asked and does not wait any longer has dropped the
    /// other end: then nothing is to be done.
    pub begun: oneshot::Sender<()>,
}

/// How shards reach the controller. Cheap to clone, crosses threads; its futures run on any
/// executor.
#[derive(Clone)]
pub struct ControllerHandle {
    commands: mpsc::UnboundedSender<Asked>,
}

impl ControllerHandle {
    /// The handle, and the end that [`super::run`] takes.
    pub fn new() -> (ControllerHandle, mpsc::UnboundedReceiver<Asked>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        (ControllerHandle { commands }, receiver)
    }

    /// One result per topic, in order. Topics that were created are durable and served.
    ///
    /// # Errors
    /// The controller has stopped, or has not begun in time; then it does nothing of it.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Vec<Result<CreatedTopic, ApiError>>, ErrorCode> {
        let make = |answer| Command::CreateTopics { topics, validate_only, answer };
        self.ask(make, timeout).await
    }

    /// One result per topic, in order.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`].
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicSelector>,
        timeout: Duration,
    ) -> Result<Vec<Result<(String, Uuid), ApiError>>, ErrorCode> {
        self.ask(|answer| Command::DeleteTopics { topics, answer }, timeout).await
    }

    /// One result per topic, in order.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`].
    pub async fn create_partitions(
        &self,
        topics: Vec<MorePartitions>,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Vec<Result<(), ApiError>>, ErrorCode> {
        let make = |answer| Command::CreatePartitions { topics, validate_only, answer };
        self.ask(make, timeout).await
    }

    /// One result per topic, in order. Settings that were changed are durable and in force.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`].
    pub async fn alter_configs(
        &self,
        changes: Vec<ConfigsChange>,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Vec<Result<(), ApiError>>, ErrorCode> {
        let make = |answer| Command::AlterConfigs { changes, validate_only, answer };
        self.ask(make, timeout).await
    }

    /// One result per change, in order. Quotas that were changed are durable.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`].
    pub async fn alter_quotas(
        &self,
        changes: Vec<QuotaChange>,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Vec<Result<(), ApiError>>, ErrorCode> {
        let make = |answer| Command::AlterQuotas { changes, validate_only, answer };
        self.ask(make, timeout).await
    }

    /// Changes levels of features, durably and in force on all shards: all or none.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`]; and, inside, why they cannot be.
    pub async fn update_features(
        &self,
        updates: Vec<FeatureUpdate>,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Result<(), ApiError>, ErrorCode> {
        let make = |answer| Command::UpdateFeatures { updates, validate_only, answer };
        self.ask(make, timeout).await
    }

    /// Has a partition belong to another log directory from now on, durably: where it is now.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`]; and, inside, why it was not decided.
    pub async fn move_partition(
        &self,
        topic: Uuid,
        partition: i32,
        to: usize,
        timeout: Duration,
    ) -> Result<Result<(), ApiError>, ErrorCode> {
        let make = |answer| Command::MovePartition { topic, partition, to, answer };
        self.ask(make, timeout).await
    }

    /// The first of a block of [`super::PRODUCER_ID_BLOCK`] producer ids.
    ///
    /// # Errors
    /// As [`ControllerHandle::create_topics`], or the block could not be made durable.
    pub async fn allocate_producer_ids(&self, timeout: Duration) -> Result<i64, ErrorCode> {
        let answer = self.ask(|answer| Command::AllocateProducerIds { answer }, timeout).await?;
        answer.map_err(|error| error.code)
    }

    /// Has a command done. Only its beginning has a time limit: REQUEST_TIMED_OUT says that nothing was
    /// done, as in Kafka.
    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Command,
        timeout: Duration,
    ) -> Result<T, ErrorCode> {
        if timeout.is_zero() {
            return Err(ErrorCode::RequestTimedOut);
        }
        let (answer, answered) = oneshot::channel();
        let (begun, mut begins) = oneshot::channel();
        let asked = Asked { command: make(answer), begun };
        self.commands.send(asked).map_err(|_| ErrorCode::BrokerNotAvailable)?;
        if corelane_shards::runtime::timeout(timeout, &mut begins).await.is_none() {
            // It may begin in this very moment: what is closed tells which came first.
            begins.close();
            if begins.try_recv().is_err() {
                return Err(ErrorCode::RequestTimedOut);
            }
        }
        answered.await.map_err(|_| ErrorCode::BrokerNotAvailable)
    }
}
