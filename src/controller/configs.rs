//! Decisions about settings: of topics, of brokers while they run, of groups and of subscriptions to
//! clients' metrics.

use std::sync::Arc;

use super::changes::{altered, ConfigChange, ConfigOp};
use super::record::MetadataRecord;
use super::state::{ApiError, Controller};
use crate::config::client_metrics::{Subscription, SubscriptionError};
use crate::config::layers::{Layers, Values};
use crate::config::setting::Kind;
use crate::config::{broker, client_metrics, group, may_change, topic, GroupConfig};
use crate::metadata::{Resource, TopicName};
use crate::wire::ErrorCode;

/// Whose settings change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Topic(String),
    Other(Resource),
}

/// Changes of one resource's settings, of which all or none are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigsChange {
    pub target: Target,
    /// What is not named goes back to its default, too (the old AlterConfigs).
    pub replace_all: bool,
    pub changes: Vec<ConfigChange>,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidConfig, message)
}

fn wrong(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

impl Controller {
    /// Decides about other settings of a resource.
    ///
    /// # Errors
    /// Kafka's code and words.
    pub fn alter_configs(&self, change: &ConfigsChange) -> Result<MetadataRecord, ApiError> {
        for (at, one) in change.changes.iter().enumerate() {
            if change.changes[..at].iter().any(|before| before.name == one.name) {
                return Err(wrong(format!("The setting {} is named twice.", one.name)));
            }
        }
        match &change.target {
            Target::Topic(name) => self.alter_topic(name, change),
            Target::Other(resource) => {
                let values = match resource {
                    Resource::AllBrokers | Resource::Broker(_) => {
                        self.alter_broker(resource, change)?
                    }
                    Resource::Group(name) => self.alter_group(name, resource, change)?,
                    Resource::ClientMetrics(name) => self.alter_metrics(name, resource, change)?,
                };
                Ok(MetadataRecord::ResourceConfigs {
                    kind: resource.kind(),
                    name: resource.name(),
                    configs: values.into_iter().collect(),
                })
            }
        }
    }

    /// Where values of brokers' settings come from.
    fn layers(&self) -> Layers<'_> {
        let settings = &self.image().settings;
        Layers {
            own: settings.get(&Resource::Broker(self.placement.node_id)),
            all: settings.get(&Resource::AllBrokers),
            stated: &self.placement.config.stated,
        }
    }

    fn alter_topic(&self, name: &str, change: &ConfigsChange) -> Result<MetadataRecord, ApiError> {
        if name.is_empty() {
            return Err(wrong("Default topic resources are not allowed."));
        }
        TopicName::parse(name)
            .map_err(|why| ApiError::new(ErrorCode::InvalidTopicException, why))?;
        let topic = self.image().by_name(name).ok_or_else(|| {
            let message = format!("The topic '{name}' does not exist.");
            ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
        })?;
        let layers = self.layers();
        let known = |name: &str| {
            let setting = topic::find(name)?;
            let default = layers.in_force(topic::synonyms(name));
            Some((setting.kind, default.or(setting.default.map(str::to_string))?))
        };
        let overrides = altered(&topic.overrides, change.replace_all, &change.changes, known)?;
        self.topic_defaults().with_new(&overrides).map_err(invalid)?;
        Ok(MetadataRecord::TopicConfigs {
            topic: topic.id.as_u128(),
            configs: overrides.into_iter().collect(),
        })
    }

    fn alter_broker(
        &self,
        resource: &Resource,
        change: &ConfigsChange,
    ) -> Result<Values, ApiError> {
        let for_all = *resource == Resource::AllBrokers;
        let node_id = self.placement.node_id;
        if !for_all && *resource != Resource::Broker(node_id) {
            let name = resource.name();
            let message = format!("Unexpected broker id, expected {node_id}, but received {name}");
            return Err(wrong(message));
        }
        for one in change.changes.iter().filter(|one| one.op != ConfigOp::Delete) {
            may_change(&one.name, for_all).map_err(wrong)?;
        }
        let layers = self.layers();
        let known = |name: &str| {
            let setting = broker::find(name)?;
            Some((setting.kind, layers.in_force(&[setting.name]).unwrap_or_default()))
        };
        let now = if for_all { layers.all } else { layers.own };
        let values = altered(now, change.replace_all, &change.changes, known)?;
        let (all, own) = if for_all { (&values, layers.own) } else { (layers.all, &values) };
        let (config, complaints) = self.placement.config.with_dynamic(all, own);
        if let Some(first) = complaints.into_iter().next() {
            return Err(wrong(first));
        }
        config.check().map_err(wrong)?;
        Ok(values)
    }

    fn alter_group(
        &self,
        name: &str,
        resource: &Resource,
        change: &ConfigsChange,
    ) -> Result<Values, ApiError> {
        if name.is_empty() {
            return Err(wrong("Default group resources are not allowed."));
        }
        let known = |name: &str| Some((group::find(name)?.kind, String::new()));
        let values = self.altered(resource, change, known)?;
        GroupConfig::new(&self.image().broker, &values)
            .and_then(|config| config.check())
            .map_err(invalid)?;
        Ok(values)
    }

    fn alter_metrics(
        &self,
        name: &str,
        resource: &Resource,
        change: &ConfigsChange,
    ) -> Result<Values, ApiError> {
        if name.is_empty() {
            return Err(wrong("Subscription name can't be empty"));
        }
        let known = |name: &str| Some((client_metrics::find(name)?.kind, String::new()));
        let values = self.altered(resource, change, known)?;
        Subscription::new(&values).map_err(|error| match error {
            SubscriptionError::Pattern(_) => invalid(error.to_string()),
            _ => wrong(error.to_string()),
        })?;
        Ok(values)
    }

    fn altered(
        &self,
        resource: &Resource,
        change: &ConfigsChange,
        known: impl Fn(&str) -> Option<(Kind, String)>,
    ) -> Result<Values, ApiError> {
        let now = self.image().settings.get(resource);
        altered(now, change.replace_all, &change.changes, known)
    }

    /// What stands for all settings that were set.
    pub(super) fn settings_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.image.settings.iter().map(|(resource, values)| MetadataRecord::ResourceConfigs {
            kind: resource.kind(),
            name: resource.name(),
            configs: values.clone().into_iter().collect(),
        })
    }

    /// Puts settings in force that were decided about.
    pub(super) fn put_settings(&mut self, resource: Resource, values: Values) {
        let of_broker = matches!(resource, Resource::AllBrokers | Resource::Broker(_));
        if let Resource::ClientMetrics(name) = &resource {
            let subscriptions = Arc::make_mut(&mut self.image.client_metrics);
            if let Err(error) = subscriptions.set(name, &values) {
                // An older version's, as below.
                tracing::warn!("the subscription {name} in the metadata log is left out: {error}");
            }
        }
        Arc::make_mut(&mut self.image.settings).set(resource, values);
        if !of_broker {
            return;
        }
        let layers = self.layers();
        let (config, complaints) = self.placement.config.with_dynamic(layers.all, layers.own);
        for complaint in complaints {
            // Decisions of ours fit: this one is an older version's.
            tracing::warn!("a setting kept in the metadata log is left out: {complaint}");
        }
        let defaults_changed = config.topic_defaults != *self.topic_defaults();
        self.image.broker = Arc::new(config);
        if !defaults_changed {
            return;
        }
        let topics: Vec<_> = self.image.topics.values().cloned().collect();
        for topic in topics {
            match self.topic_defaults().with(&topic.overrides) {
                Ok(config) => {
                    let mut topic = (*topic).clone();
                    topic.config = config;
                    self.image.insert(topic);
                }
                Err(why) => tracing::warn!(topic = %topic.name, "keeps its settings: {why}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Placement;
    use super::*;
    use crate::config::parse_properties;

    type Change<'a> = (&'a str, ConfigOp, Option<&'a str>);
    use ConfigOp::{Append, Delete, Set};

    fn changes(target: Target, changes: &[Change<'_>]) -> ConfigsChange {
        let change = |(name, op, value): &Change<'_>| {
            let (name, value) = (name.to_string(), value.map(str::to_string));
            ConfigChange { name, op: *op, value }
        };
        let changes = changes.iter().map(change).collect();
        ConfigsChange { target, replace_all: false, changes }
    }

    fn controller() -> Controller {
        let config = parse_properties("log.retention.hours=1", "f").expect("valid");
        let placement = Placement {
            directories: vec!["dir".to_string()],
            online: 1,
            shards: 1,
            node_id: 1,
            num_partitions: 1,
            config: Arc::new(config),
        };
        let topic = |id, name: &str, configs: &[(&str, &str)]| MetadataRecord::TopicCreated {
            id,
            name: name.to_string(),
            directories: vec!["dir".to_string()],
            configs: configs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        };
        let topics = [topic(1, "plain", &[]), topic(2, "own", &[("retention.ms", "7")])];
        Controller::load(placement, &topics).expect("loads")
    }

    fn alter(c: &mut Controller, target: &Target, asked: &[Change<'_>]) -> Result<(), ApiError> {
        let record = c.alter_configs(&changes(target.clone(), asked))?;
        c.apply(&record).map_err(invalid)
    }

    fn retention(c: &Controller) -> [i64; 2] {
        ["plain", "own"].map(|name| c.image().topics[name].config.log.retention_ms)
    }

    #[test]
    fn defaults_of_topics_follow_the_broker_at_once_and_after_a_reload() {
        let mut c = controller();
        let all = Target::Other(Resource::AllBrokers);
        let own = Target::Other(Resource::Broker(1));
        assert_eq!(retention(&c), [3_600_000, 7]);
        alter(&mut c, &all, &[("log.retention.ms", Set, Some("8"))]).expect("fits");
        assert_eq!(retention(&c), [8, 7]);
        alter(&mut c, &own, &[("log.retention.ms", Set, Some("9"))]).expect("fits");
        assert_eq!(retention(&c), [9, 7]);
        let again = Controller::load(c.placement.clone(), &c.records()).expect("loads");
        assert_eq!(retention(&again), [9, 7]);
        assert_eq!(again.image().settings, c.image().settings);
        alter(&mut c, &own, &[("log.retention.ms", Delete, None)]).expect("fits");
        assert_eq!(retention(&c), [8, 7]);
        alter(&mut c, &all, &[("log.retention.ms", Delete, None)]).expect("fits");
        assert_eq!(retention(&c), [3_600_000, 7]);
        assert_eq!(c.image().settings.iter().count(), 0);
    }

    #[test]
    fn each_mistake_has_kafkas_code_and_changes_nothing() {
        let mut c = controller();
        let group = |name: &str| Target::Other(Resource::Group(name.to_string()));
        let metrics = |name: &str| Target::Other(Resource::ClientMetrics(name.to_string()));
        let own = Target::Other(Resource::Broker(1));
        let (request, config) = (ErrorCode::InvalidRequest, ErrorCode::InvalidConfig);
        let cases: &[(Target, Change<'_>, ErrorCode, &str)] = &[
            (own.clone(), ("num.partitions", Set, Some("3")), request, "Cannot update these"),
            (own.clone(), ("log.retention.ms", Set, Some("x")), request, "type LONG"),
            (own.clone(), ("nonsense", Set, Some("x")), request, "this is not known"),
            (own.clone(), ("ssl.keystore.location", Set, Some("x")), request, "TLS is not"),
            (own.clone(), ("message.max.bytes", Append, Some("5")), config, "not LIST"),
            (Target::Other(Resource::Broker(7)), ("a", Delete, None), request, "received 7"),
            (group(""), ("a", Delete, None), request, "Default group"),
            (group("g"), ("nonsense", Set, Some("1")), config, "Unknown group config"),
            (group("g"), ("consumer.session.timeout.ms", Set, Some("5")), config, "min"),
            (metrics(""), ("a", Delete, None), request, "can't be empty"),
            (metrics("m"), ("nonsense", Set, Some("6")), request, "Unknown client metrics"),
            (metrics("m"), ("interval.ms", Set, Some("6")), request, "Invalid value 6"),
            (metrics("m"), ("match", Set, Some("x=y")), config, "Illegal client"),
            (Target::Topic(String::new()), ("a", Delete, None), request, "Default topic"),
            (Target::Topic("plain".into()), ("nonsense", Set, Some("1")), config, "Unknown topic"),
        ];
        for (target, change, code, words) in cases {
            let error = alter(&mut c, target, &[*change]).expect_err(words);
            assert_eq!(error.code, *code, "{}", error.message);
            assert!(error.message.contains(words), "{}", error.message);
        }
        assert_eq!(c.image().settings.iter().count(), 0);
    }
}
