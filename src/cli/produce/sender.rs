//! Sends records by librdkafka, and counts what became of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context};
use indicatif::{HumanBytes, HumanCount};
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::input::Outgoing;
use crate::cli::client::{Connect, Quiet, ASK_TIMEOUT};
use crate::cli::print::note;
use crate::cli::Failure;

/// A flush sleeps for all of its time where another thread takes the answers: it is kept short.
const FLUSH_STEP: Duration = Duration::from_millis(20);
/// How long a topic that the broker makes by itself may take.
const TOPIC_LIMIT: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Sending {
    #[arg(long, short = 'z', default_value = "none",
        value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: String,
    /// 0, 1 or all; with all, a retry is never stored twice.
    #[arg(long, default_value = "all", value_parser = ["0", "1", "all"])]
    acks: String,
    /// Where records go by their keys: murmur2 as Java clients do it, crc32 as librdkafka does, or
    /// anywhere.
    #[arg(long, default_value = "murmur2", value_parser = ["murmur2", "crc32", "random"])]
    partitioner: String,
    /// Do not print how much was sent.
    #[arg(long, short = 'q')]
    quiet: bool,
    /// A setting of librdkafka; may be given several times.
    #[arg(long = "property", short = 'X', value_name = "KEY=VALUE")]
    properties: Vec<String>,
}

/// What became of each record.
#[derive(Default)]
struct Deliveries {
    done: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

struct Counted(Arc<Deliveries>);

impl ClientContext for Counted {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let bytes = message.key_len() + message.payload_len();
                self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                self.0.done.fetch_add(1, Ordering::Relaxed)
            }
            Err((error, _)) => {
                let mut first = self.0.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| words(error));
                self.0.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// An error without librdkafka's names around it.
fn words(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge) => "a record is too large: see max.message.bytes of \
            the topic (and -X message.max.bytes=N of librdkafka)"
            .to_string(),
        Some(Code::UnknownPartition) => "there is no such partition".to_string(),
        // "InvalidTopic (Broker: Invalid topic)".
        Some(code) => code.to_string().replace("(Broker: ", "("),
        None => error.to_string(),
    }
}

pub struct Sender {
    producer: ThreadedProducer<Counted>,
    deliveries: Arc<Deliveries>,
    quiet: bool,
}

impl Sender {
    /// # Errors
    /// Nobody answers, or there is no such topic.
    pub fn connect(connect: &Connect, topic: &str, args: &Sending) -> Result<Sender, Failure> {
        let mut config = connect.config();
        let partitioner = match args.partitioner.as_str() {
            "murmur2" => "murmur2_random",
            "crc32" => "consistent_random",
            _ => "random",
        };
        config
            .set("compression.codec", &args.compression)
            .set("acks", &args.acks)
            .set("enable.idempotence", if args.acks == "all" { "true" } else { "false" })
            .set("partitioner", partitioner)
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("message.timeout.ms", "120000");
        for pair in &args.properties {
            let wrong = || format!("--property {pair}: KEY=VALUE is wanted");
            let (key, value) =
                pair.split_once('=').with_context(wrong).map_err(crate::cli::wrong_usage)?;
            config.set(key, value);
        }
        let deliveries = Arc::new(Deliveries::default());
        let producer: ThreadedProducer<Counted> =
            config.create_with_context(Counted(Arc::clone(&deliveries)))?;
        let sender = Sender { producer, deliveries, quiet: args.quiet };
        sender.find(connect, topic)?;
        Ok(sender)
    }

    /// Waits for a topic that the broker may make by itself now.
    fn find(&self, connect: &Connect, topic: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let metadata = self
                .producer
                .client()
                .fetch_metadata(Some(topic), ASK_TIMEOUT)
                .map_err(|error| connect.explain(error))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            if found.is_some_and(|found| !found.partitions().is_empty()) {
                return Ok(());
            }
            let error = found.and_then(|found| found.error()).map(Code::from);
            let is_coming = error.is_none_or(|error| error == Code::LeaderNotAvailable);
            if begun.elapsed() > TOPIC_LIMIT || !is_coming {
                return Err(match error {
                    Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) | None => anyhow!(
                        "the topic '{topic}' does not exist; `corelane topic create {topic}` makes it"
                    ),
                    Some(error) => anyhow!("topic {topic}: {error}"),
                });
            }
            std::thread::sleep(FLUSH_STEP);
        }
    }

    /// Waits while librdkafka's queue is full: that is its back-pressure.
    ///
    /// # Errors
    /// It does not take the record.
    pub fn send(&self, topic: &str, outgoing: Outgoing<'_>) -> anyhow::Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        if let Some(value) = &outgoing.value {
            record = record.payload(value);
        }
        if let Some(key) = &outgoing.key {
            record = record.key(key);
        }
        if let Some(partition) = outgoing.partition {
            record = record.partition(partition);
        }
        if let Some(timestamp) = outgoing.timestamp {
            record = record.timestamp(timestamp);
        }
        if !outgoing.headers.is_empty() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &outgoing.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            record = record.headers(headers);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    if error.rdkafka_error_code() != Some(Code::QueueFull) {
                        return Err(anyhow!(words(&error)));
                    }
                    record = back;
                    self.producer.flush(FLUSH_STEP).or_else(ignore_timeout)?;
                }
            }
        }
    }

    /// Waits until all records are there or have failed; tells meanwhile how many there are.
    ///
    /// # Errors
    /// librdkafka gives up.
    pub fn wait(&self, tell: impl Fn(u64)) -> anyhow::Result<()> {
        while self.producer.in_flight_count() > 0 {
            self.producer.flush(FLUSH_STEP).or_else(ignore_timeout)?;
            tell(self.deliveries.done.load(Ordering::Relaxed));
        }
        Ok(())
    }

    /// Says what was sent, and how fast.
    ///
    /// # Errors
    /// Some records were not stored.
    pub fn report(&self, topic: &str, took: Duration) -> Result<(), Failure> {
        let done = self.deliveries.done.load(Ordering::Relaxed);
        let failed = self.deliveries.failed.load(Ordering::Relaxed);
        let bytes = self.deliveries.bytes.load(Ordering::Relaxed);
        let first = &self.deliveries.first_error;
        if let Some(error) = first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let all = done + failed;
            return Err(anyhow!("{failed} of {all} records were not stored: {error}").into());
        }
        if !self.quiet {
            let seconds = took.as_secs_f64().max(1e-3);
            let per_second = |count: u64| (count as f64 / seconds) as u64;
            let records = if done == 1 { "record" } else { "records" };
            note(format_args!(
                "{} {records} to {topic} in {seconds:.1} s ({}/s, {}/s)",
                HumanCount(done),
                HumanCount(per_second(done)),
                HumanBytes(per_second(bytes)),
            ));
        }
        Ok(())
    }
}

fn ignore_timeout(error: KafkaError) -> Result<(), KafkaError> {
    match error.rdkafka_error_code() {
        Some(Code::OperationTimedOut) => Ok(()),
        _ => Err(error),
    }
}
