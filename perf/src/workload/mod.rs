//! Workloads: what is sent and read, as the files in `workloads/` say it.
//!
//! A workload does not say which broker it is for: both sides of a comparison get the very same
//! load, and where their settings differ the file says so and why.

pub mod schedule;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Deserializer, Serialize};

use crate::produce::Acks;
use crate::size::parse_bytes;
use crate::wire::content::{Compression, Content, Values, STAMP_BYTES};

/// Settings of a topic or a broker, by name.
pub type Settings = BTreeMap<String, String>;

/// One workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    /// The file's name without its ending.
    #[serde(default)]
    pub name: String,
    pub title: String,
    pub why: String,
    pub partitions: u32,
    #[serde(default)]
    pub ceiling: Ceiling,
    /// Who takes it; a workload that is compared with another one is for Corelane alone.
    #[serde(default = "both")]
    pub sides: Vec<Side>,
    /// Bare measures that are taken in each pair.
    #[serde(default)]
    pub bare: Vec<Bare>,
    /// The workload it is compared with, and run right after.
    #[serde(default)]
    pub beside: Option<String>,
    /// Settings of the topic on both sides.
    #[serde(default)]
    pub topic: Settings,
    #[serde(default)]
    pub kafka: SideSettings,
    #[serde(default)]
    pub corelane: SideSettings,
    pub backlog: Option<Backlog>,
    pub produce: Option<Produce>,
    pub consume: Option<Consume>,
}

/// What one side gets that the other does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SideSettings {
    #[serde(default)]
    pub topic: Settings,
    #[serde(default)]
    pub broker: Settings,
}

/// The brokers that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Corelane,
    Kafka,
    /// NATS JetStream; only for loads that its protocol has.
    Nats,
}

impl Side {
    pub const ALL: [Self; 3] = [Self::Corelane, Self::Kafka, Self::Nats];

    pub fn name(self) -> &'static str {
        match self {
            Self::Corelane => "Corelane",
            Self::Kafka => "Kafka",
            Self::Nats => "NATS",
        }
    }
}

fn both() -> Vec<Side> {
    vec![Side::Corelane, Side::Kafka]
}

/// What the machine does without a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bare {
    /// 100 bytes there and back over the loopback: p50 in ms.
    Echo,
    /// 50 messages of 250 bytes at once every 20 ms, there and back, each from when it was due: p50
    /// in ms.
    EchoInBursts,
    /// A direct `O_DSYNC` write of 4 KiB, one at a time: p50 in ms.
    DurableWrite,
    /// A thousand files with such a write in flight each: writes a second.
    DurableWrites,
    /// Direct sequential reads of files on the same file system, by fio: MB/s.
    Fio,
}

impl Bare {
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "bare echo, p50",
            Self::EchoInBursts => "bare echo of the same bursts, p50",
            Self::DurableWrite => "bare O_DSYNC write, p50",
            Self::DurableWrites => "1,000 bare O_DSYNC writes in flight",
            Self::Fio => "fio, direct reads",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Echo | Self::EchoInBursts | Self::DurableWrite => "ms",
            Self::DurableWrites => "/s",
            Self::Fio => "MB/s",
        }
    }
}

/// The bare program whose figure stands beside the brokers'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ceiling {
    #[default]
    None,
    /// Socket in, direct writes out.
    Written,
    /// Socket in, durable direct writes out.
    Durable,
    /// Memory out to the socket.
    Memory,
    /// Direct reads out to the socket.
    Disk,
}

/// What is in the topic before the clock starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Backlog {
    #[serde(deserialize_with = "size")]
    pub bytes: u64,
    /// Whether the broker is restarted, and the machine's caches dropped, before it is read.
    #[serde(default)]
    pub cold: bool,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Produce {
    pub connections: u16,
    pub acks: Acks,
    /// Bytes of each value.
    #[serde(deserialize_with = "size")]
    pub record_bytes: u64,
    /// Bytes of a batch at most, before it is compressed.
    #[serde(deserialize_with = "size")]
    pub batch_bytes: u64,
    /// Requests on their way at once on each connection; not with a rate.
    #[serde(default = "default_in_flight")]
    pub in_flight: u16,
    /// Bytes of each record's random key; 0 for none.
    #[serde(default)]
    pub key_bytes: u16,
    #[serde(default)]
    pub values: Values,
    #[serde(default)]
    pub compression: Compression,
    /// Batches in a request, each for another partition.
    #[serde(default = "one")]
    pub partitions_per_request: u32,
    /// When batches are due; without it, as fast as answers come.
    pub rate: Option<Rate>,
}

/// When batches are due, whatever the broker does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rate {
    /// Of all connections together.
    pub batches_per_second: Option<f64>,
    /// This part of what Kafka took without a rate, found before the first pair.
    pub share_of_kafka: Option<f64>,
    /// So many batches are due at once, on each connection.
    #[serde(default = "one")]
    pub burst: u32,
}

/// What is read: each group has a connection for each partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Consume {
    #[serde(default = "one")]
    pub groups: u32,
    pub from: From,
    #[serde(default = "default_fetch_bytes", deserialize_with = "size")]
    pub fetch_bytes: u64,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With what is produced; it ends when all of that is read.
    Tail,
    /// With the backlog; it ends with it.
    Backlog,
}

fn one() -> u32 {
    1
}

/// What Kafka's producers keep in flight.
fn default_in_flight() -> u16 {
    5
}

/// What Kafka's consumers ask for of a partition.
fn default_fetch_bytes() -> u64 {
    1 << 20
}

/// A number of bytes, or text such as "64KiB".
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(bytes) => Ok(bytes),
        Written::Text(text) => parse_bytes(&text).map_err(serde::de::Error::custom),
    }
}

impl Produce {
    pub fn content(&self) -> Content {
        Content {
            value_bytes: self.record_bytes as usize,
            key_bytes: usize::from(self.key_bytes),
            batch_bytes: self.batch_bytes as usize,
            values: self.values,
            compression: self.compression,
        }
    }
}

impl Workload {
    /// Reads the text of a workload named `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut workload: Self = toml::from_str(text)?;
        workload.name = name.to_owned();
        workload.check()?;
        Ok(workload)
    }

    /// Reads one file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(name, &text).with_context(|| path.display().to_string())
    }

    /// Whether batches are due at moments of their own.
    pub fn is_open_loop(&self) -> bool {
        self.rate().is_some()
    }

    /// Whether it is a backlog that is read.
    pub fn drains(&self) -> bool {
        self.consume.as_ref().is_some_and(|consume| consume.from == From::Backlog)
    }

    pub fn rate(&self) -> Option<&Rate> {
        self.produce.as_ref()?.rate.as_ref()
    }

    fn check(&self) -> Result<()> {
        ensure!((1..=100_000).contains(&self.partitions), "partitions is 1..=100000");
        ensure!(
            self.produce.is_some() || self.consume.is_some(),
            "nothing to do: neither [produce] nor [consume]"
        );
        if let Some(produce) = &self.produce {
            self.check_produce(produce)?;
        }
        match &self.consume {
            Some(consume) => self.check_consume(consume)?,
            None => ensure!(self.backlog.is_none(), "[backlog] is for [consume]"),
        }
        ensure!(self.sides.contains(&Side::Corelane), "sides has to name corelane");
        if self.sides.contains(&Side::Nats) {
            self.check_for_nats()?;
        }
        match self.ceiling {
            Ceiling::None => {}
            Ceiling::Written | Ceiling::Durable => ensure!(
                self.consume.is_none() && !self.is_open_loop(),
                "this ceiling is for producing at full speed, alone"
            ),
            Ceiling::Memory | Ceiling::Disk => {
                ensure!(self.produce.is_none(), "this ceiling is for consuming alone");
            }
        }
        Ok(())
    }

    /// NATS has no batches, keys or partitions, and our load on it is a closed loop.
    fn check_for_nats(&self) -> Result<()> {
        let produce = self.produce.as_ref().context("NATS is for [produce] alone")?;
        let plain = self.consume.is_none()
            && self.partitions == 1
            && produce.rate.is_none()
            && produce.key_bytes == 0
            && produce.compression == Compression::None;
        ensure!(plain, "NATS is for plain records to one partition, as fast as answers come");
        Ok(())
    }

    fn check_produce(&self, produce: &Produce) -> Result<()> {
        const LARGEST: u64 = 100 << 20;
        ensure!((1..=4096).contains(&produce.connections), "connections is 1..=4096");
        ensure!((1..=1024).contains(&produce.in_flight), "in-flight is 1..=1024");
        ensure!(produce.acks != Acks::None, "acks is \"all\" or \"1\": with 0 there is no answer");
        ensure!(
            produce.record_bytes <= LARGEST && produce.batch_bytes <= LARGEST,
            "records and batches are at most 100 MiB"
        );
        let many = produce.partitions_per_request;
        ensure!((1..=self.partitions).contains(&many), "partitions-per-request is 1..=partitions");
        let Some(rate) = &produce.rate else { return Ok(()) };
        ensure!(many == 1, "a rate is for one partition in each request");
        ensure!(
            produce.compression == Compression::None,
            "records with moments in them are not compressed"
        );
        ensure!(
            produce.record_bytes >= STAMP_BYTES as u64,
            "records of at least {STAMP_BYTES} bytes hold the moment they were due"
        );
        ensure!((1..=100_000).contains(&rate.burst), "burst is 1..=100000");
        match (rate.batches_per_second, rate.share_of_kafka) {
            (Some(rate), None) => {
                ensure!(rate > 0.0 && rate <= 1e6, "batches-per-second is above 0, at most 10^6")
            }
            (None, Some(share)) => {
                ensure!(share > 0.0 && share <= 1.0, "share-of-kafka is above 0, at most 1")
            }
            _ => bail!("a rate is either batches-per-second or share-of-kafka"),
        }
        Ok(())
    }

    fn check_consume(&self, consume: &Consume) -> Result<()> {
        ensure!((1..=100).contains(&consume.groups), "groups is 1..=100");
        ensure!(
            u64::from(consume.groups) * u64::from(self.partitions) <= 4096,
            "groups times partitions is at most 4096: each is a connection"
        );
        ensure!((1..=64 << 20).contains(&consume.fetch_bytes), "fetch-bytes is 1..=64MiB");
        match consume.from {
            From::Tail => {
                ensure!(self.produce.is_some(), "from = \"tail\" reads what [produce] sends")
            }
            From::Backlog => ensure!(self.backlog.is_some(), "from = \"backlog\" needs [backlog]"),
        }
        Ok(())
    }
}

/// Reads the workloads of a directory in the order of their names, those that are compared with each
/// other side by side: those named, or all.
pub fn read_all(dir: &Path, only: &[String]) -> Result<Vec<Workload>> {
    let mut paths = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let known: Vec<&str> = paths.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    for name in only {
        ensure!(
            known.contains(&name.as_str()),
            "no workload {name}; there are {}",
            known.join(", ")
        );
    }
    let wanted = |path: &&std::path::PathBuf| {
        only.is_empty()
            || path.file_stem().is_some_and(|stem| only.iter().any(|name| stem == name.as_str()))
    };
    let workloads = paths.iter().filter(wanted).map(|path| Workload::read(path));
    let mut workloads = workloads.collect::<Result<Vec<_>>>()?;
    let group = |workload: &Workload| workload.beside.clone().unwrap_or(workload.name.clone());
    workloads.sort_by_cached_key(|workload| (group(workload), workload.name.clone()));
    ensure!(!workloads.is_empty(), "{} holds no workload", dir.display());
    Ok(workloads)
}

#[cfg(test)]
pub mod tests;
