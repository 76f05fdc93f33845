//! What the client commands share: how librdkafka is set up, and how its errors are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;

/// How long a broker may take to answer a question.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);

pub const DEFAULT_BOOTSTRAP: &str = "localhost:9092";

/// Where the broker is.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// Broker to ask first; several with commas between them.
    #[arg(
        long,
        short = 'b',
        value_name = "HOST:PORT",
        env = "CORELANE_BOOTSTRAP",
        hide_env_values = true,
        default_value = DEFAULT_BOOTSTRAP
    )]
    pub bootstrap: String,
}

/// Keeps librdkafka's own lines off the console: what matters comes back as an error.
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// [`Quiet`] of a member of a group, which notes what its group gives it.
#[derive(Default)]
pub struct Member {
    /// Whether it has had its share: perhaps nothing.
    pub is_in: AtomicBool,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn post_rebalance(&self, _: &BaseConsumer<Member>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.is_in.store(true, Ordering::Relaxed);
        }
    }
}

impl Connect {
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "corelane-cli");
        config
    }

    /// A consumer without a group.
    pub fn consumer(&self) -> anyhow::Result<BaseConsumer<Quiet>> {
        Ok(self.config().create_with_context(Quiet)?)
    }

    /// A consumer that speaks for a group, and is no member of it.
    pub fn consumer_of(&self, group: &str) -> anyhow::Result<BaseConsumer<Quiet>> {
        let mut config = self.consumer_config(group);
        config.set("enable.auto.commit", "false");
        Ok(config.create_with_context(Quiet)?)
    }

    /// A consumer that joins a group once it subscribes. What is stored of its offsets is committed
    /// each second, before it loses a partition, and when it is dropped.
    pub fn member_of(
        &self,
        group: &str,
        reset: &str,
        isolation: &str,
    ) -> anyhow::Result<BaseConsumer<Member>> {
        let mut config = self.consumer_config(group);
        config
            .set("auto.offset.reset", reset)
            .set("isolation.level", format!("read_{isolation}"))
            // The least that brokers allow by default: who is killed holds the others up for no longer.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000")
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", "1000");
        Ok(config.create_with_context(Member::default())?)
    }

    fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "100")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// An error of a first request, in words that help.
    pub fn explain(&self, error: KafkaError) -> anyhow::Error {
        match error.rdkafka_error_code() {
            Some(
                rdkafka::types::RDKafkaErrorCode::BrokerTransportFailure
                | rdkafka::types::RDKafkaErrorCode::AllBrokersDown
                | rdkafka::types::RDKafkaErrorCode::OperationTimedOut,
            ) => anyhow!(
                "no broker answers at {}: start one with `corelane serve`, or say where it is \
                 with --bootstrap",
                self.bootstrap
            ),
            _ => anyhow!(error),
        }
    }

    /// The partitions of a topic, which must exist.
    pub fn partitions<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
    ) -> anyhow::Result<Vec<i32>> {
        let metadata = consumer
            .fetch_metadata(Some(topic), ASK_TIMEOUT)
            .map_err(|error| self.explain(error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions: Vec<i32> =
            found.map(|t| t.partitions().iter().map(|p| p.id()).collect()).unwrap_or_default();
        match partitions.is_empty() {
            true => Err(anyhow!("the topic '{topic}' does not exist; see `corelane topic list`")),
            false => Ok(partitions),
        }
    }
}
