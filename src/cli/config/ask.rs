//! DescribeConfigs.

use anyhow::{anyhow, Context};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Kind, Resource};
use crate::cli::nodes::{explained, no_topic, Cluster, Node};
use crate::config::near::nearest;
use crate::config::{broker, client_metrics, group, topic};

/// Where a value comes from (KIP-226), by Kafka's numbers.
const OF_TOPIC: i8 = 1;
const OF_BROKER: i8 = 2;
const OF_ALL_BROKERS: i8 = 3;
const OF_FILE: i8 = 4;
const DEFAULT: i8 = 5;
const OF_CLIENT_METRICS: i8 = 7;
const OF_GROUP: i8 = 8;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// A setting as a broker shows it.
pub struct Setting {
    pub key: String,
    /// `None`: there is none, or it is a secret.
    pub value: Option<String>,
    source: i8,
    pub read_only: bool,
    pub sensitive: bool,
    pub kind: &'static str,
    pub doc: Option<String>,
    /// From the one in force down to the default: value and source. A value in another unit has its
    /// name with it: `log.retention.hours=168`.
    pub synonyms: Vec<(Option<String>, i8)>,
    /// The default that brokers do not tell of a setting that has a value.
    usual: Option<&'static str>,
}

/// What Kafka and Corelane have where nothing is set.
fn usual(kind: Kind, key: &str) -> Option<&'static str> {
    match kind {
        Kind::Topic => topic::find(key)?.default,
        Kind::Broker => broker::find(key)?.default,
        Kind::Group => group::find(key)?.default,
        Kind::ClientMetrics => client_metrics::find(key)?.default,
    }
}

/// The value of a synonym of a setting.
fn value_of(key: &str, synonym: DescribeConfigsSynonym) -> (Option<String>, i8) {
    let unit = |name: &str| name.rsplit('.').next().map(str::to_string);
    let name = synonym.name.as_str();
    let value = synonym.value.map(|value| match unit(name) == unit(key) {
        true => value.to_string(),
        false => format!("{name}={value}"),
    });
    (value, synonym.source)
}

impl Setting {
    fn new(result: DescribeConfigsResourceResult, kind: Kind) -> Setting {
        let text = |text: StrBytes| text.to_string();
        let synonyms = result.synonyms.into_iter();
        Setting {
            synonyms: synonyms.map(|synonym| value_of(&result.name, synonym)).collect(),
            usual: usual(kind, &result.name),
            key: result.name.to_string(),
            value: result.value.map(text),
            source: result.config_source,
            read_only: result.read_only,
            sensitive: result.is_sensitive,
            kind: kind_name(result.config_type),
            doc: result.documentation.map(text),
        }
    }

    /// The value for a person to read.
    pub fn shown(&self) -> String {
        match (&self.value, self.sensitive) {
            (_, true) => "(secret)".to_string(),
            (None, false) => "-".to_string(),
            (Some(value), false) => value.clone(),
        }
    }

    pub fn source_name(&self) -> &'static str {
        match self.source {
            OF_TOPIC => "topic",
            OF_BROKER => "broker",
            OF_ALL_BROKERS => "broker defaults",
            OF_FILE => "file",
            DEFAULT => "default",
            OF_CLIENT_METRICS => "client metrics",
            OF_GROUP => "group",
            _ => "unknown",
        }
    }

    pub fn is_default(&self) -> bool {
        self.source == DEFAULT
    }

    pub fn is_own_of_topic(&self) -> bool {
        self.source == OF_TOPIC
    }

    /// What is in force where nothing is set at all.
    pub fn default(&self) -> Option<&str> {
        if self.is_default() {
            return self.value.as_deref();
        }
        match self.synonyms.iter().find(|(_, source)| *source == DEFAULT) {
            Some((value, _)) => value.as_deref(),
            None => self.usual,
        }
    }

    /// What is in force once the resource's own value is gone.
    pub fn without_own(&self, of: &Resource) -> Option<&str> {
        let own = match (of.kind, of.name.is_empty()) {
            (Kind::Topic, _) => OF_TOPIC,
            (Kind::Broker, true) => OF_ALL_BROKERS,
            (Kind::Broker, false) => OF_BROKER,
            (Kind::Group, _) => OF_GROUP,
            (Kind::ClientMetrics, _) => OF_CLIENT_METRICS,
        };
        if self.source != own {
            return self.value.as_deref();
        }
        match self.synonyms.iter().find(|(_, source)| *source != own) {
            Some((value, _)) => value.as_deref(),
            // Of what is set for all brokers, each of them may have its own below.
            None if own == OF_ALL_BROKERS => None,
            None => self.usual,
        }
    }
}

fn kind_name(kind: i8) -> &'static str {
    match kind {
        1 => "boolean",
        2 => "string",
        3 => "int",
        4 => "short",
        5 => "long",
        6 => "double",
        7 => "list",
        8 => "class",
        9 => "password",
        _ => "unknown",
    }
}

/// The node to ask about a resource: a broker is asked about itself.
pub fn node_for(cluster: &Cluster, resource: &Resource) -> anyhow::Result<Node> {
    match resource.kind {
        Kind::Broker if !resource.name.is_empty() => {
            let id =
                resource.name.parse().with_context(|| format!("broker id {}", resource.name))?;
            cluster.node(id)
        }
        _ => cluster.controller(),
    }
}

/// The settings of a resource, by name: those of `keys`, or all.
///
/// # Errors
/// It does not exist, or nobody answers.
pub fn described(
    cluster: &mut Cluster,
    resource: &Resource,
    keys: Option<&[String]>,
    docs: bool,
) -> anyhow::Result<Vec<Setting>> {
    let text = |text: &String| StrBytes::from_string(text.clone());
    let asked = DescribeConfigsResource::default()
        .with_resource_type(resource.kind as i8)
        .with_resource_name(text(&resource.name))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(text).collect()));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![asked])
        .with_include_synonyms(true)
        .with_include_documentation(docs);
    let mut node = node_for(cluster, resource)?;
    let answer: DescribeConfigsResponse = node.ask(ApiKey::DescribeConfigs, 3, &request)?;
    let found = answer.results.into_iter().next().context("the resource is not answered")?;
    match (found.error_code, resource.kind) {
        (0, _) => (),
        (UNKNOWN_TOPIC_OR_PARTITION, Kind::Topic) => return Err(no_topic(&resource.name)),
        (code, _) => {
            let error = explained(code, found.error_message.as_deref());
            return Err(error.context(resource.to_string()));
        }
    }
    let setting = |result| Setting::new(result, resource.kind);
    let mut settings: Vec<Setting> = found.configs.into_iter().map(setting).collect();
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    // Broker defaults show only what was set.
    let is_whole = resource.kind != Kind::Broker || !resource.name.is_empty();
    let missing =
        keys.unwrap_or_default().iter().find(|key| !settings.iter().any(|s| s.key == **key));
    match missing.filter(|_| is_whole) {
        Some(key) => Err(unknown_key(cluster, resource, key)),
        None => Ok(settings),
    }
}

/// Names the keys that are most like one that is not there.
fn unknown_key(cluster: &mut Cluster, resource: &Resource, key: &str) -> anyhow::Error {
    let all = described(cluster, resource, None, false).unwrap_or_default();
    let near = nearest(key, all.iter().map(|setting| setting.key.as_str()));
    match near {
        Some(near) => anyhow!("{resource} has no setting '{key}': did you mean '{near}'?"),
        None => anyhow!("{resource} has no setting '{key}'; see `corelane config get`"),
    }
}
