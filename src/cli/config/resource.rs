//! What has settings.

use std::fmt;

/// A kind of what has settings, by Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Topic = 2,
    /// Without a name: the defaults of all brokers that were set while they ran.
    Broker = 4,
    ClientMetrics = 16,
    Group = 32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    pub kind: Kind,
    pub name: String,
}

impl Resource {
    pub fn kind_name(&self) -> &'static str {
        match (self.kind, self.name.is_empty()) {
            (Kind::Topic, _) => "topic",
            (Kind::Broker, false) => "broker",
            (Kind::Broker, true) => "broker defaults",
            (Kind::ClientMetrics, _) => "client metrics",
            (Kind::Group, _) => "group",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.is_empty() {
            true => f.write_str(self.kind_name()),
            false => write!(f, "{} {}", self.kind_name(), self.name),
        }
    }
}

/// Whose settings a command is about.
#[derive(clap::Args)]
#[group(id = "resources", required = true, multiple = true)]
pub struct Resources {
    /// A topic; may be given several times.
    #[arg(long = "topic", short = 't', value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// A broker, by its id; may be given several times.
    #[arg(long = "broker", value_name = "ID")]
    brokers: Vec<i32>,
    /// What is set for all brokers.
    #[arg(long)]
    broker_defaults: bool,
    /// A group; may be given several times.
    #[arg(long = "group", short = 'g', value_name = "GROUP", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::groups))]
    groups: Vec<String>,
    /// A subscription to clients' metrics (KIP-714); may be given several times.
    #[arg(long = "client-metrics", value_name = "NAME")]
    client_metrics: Vec<String>,
}

impl Resources {
    pub fn all(self) -> Vec<Resource> {
        let of = |kind| move |name| Resource { kind, name };
        let brokers = self.brokers.iter().map(i32::to_string);
        let mut all: Vec<Resource> = self.topics.into_iter().map(of(Kind::Topic)).collect();
        all.extend(self.broker_defaults.then(|| of(Kind::Broker)(String::new())));
        all.extend(brokers.map(of(Kind::Broker)));
        all.extend(self.groups.into_iter().map(of(Kind::Group)));
        all.extend(self.client_metrics.into_iter().map(of(Kind::ClientMetrics)));
        all
    }
}
