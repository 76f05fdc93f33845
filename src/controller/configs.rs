//! Decisions about topics' settings.

use std::collections::BTreeMap;

use super::record::MetadataRecord;
use super::state::{ApiError, Controller};
use crate::config::setting::{Kind, Setting};
use crate::config::{topic as topics, TopicConfig};
use crate::wire::ErrorCode;

/// What is to become of one setting (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    Set,
    /// The broker's default holds again.
    Delete,
    /// Entries of a list are added, or taken out.
    Append,
    Subtract,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub op: ConfigOp,
    pub value: Option<String>,
}

/// Changes of one topic's settings, of which all or none are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicChange {
    pub topic: String,
    /// What is not named goes back to its default, too (the old AlterConfigs).
    pub replace_all: bool,
    pub changes: Vec<ConfigChange>,
}

impl Controller {
    /// Decides about other settings of a topic.
    ///
    /// # Errors
    /// Kafka's code and words.
    pub fn alter_topic(&self, change: &TopicChange) -> Result<MetadataRecord, ApiError> {
        let topic = self.image().by_name(&change.topic).ok_or_else(|| {
            let message = format!("The topic '{}' does not exist.", change.topic);
            ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
        })?;
        let mut overrides = match change.replace_all {
            true => BTreeMap::new(),
            false => topic.overrides.clone(),
        };
        for (at, one) in change.changes.iter().enumerate() {
            if change.changes[..at].iter().any(|before| before.name == one.name) {
                let message = format!("The setting {} is named twice.", one.name);
                return Err(ApiError::new(ErrorCode::InvalidRequest, message));
            }
            alter(&mut overrides, one)?;
        }
        self.topic_defaults()
            .with_new(&overrides)
            .map_err(|why| ApiError::new(ErrorCode::InvalidConfig, why))?;
        Ok(MetadataRecord::TopicConfigs {
            topic: topic.id.as_u128(),
            configs: overrides.into_iter().collect(),
        })
    }
}

fn alter(overrides: &mut BTreeMap<String, String>, change: &ConfigChange) -> Result<(), ApiError> {
    let ConfigChange { name, op, value } = change;
    let invalid = |why: String| ApiError::new(ErrorCode::InvalidConfig, why);
    let key = topics::find(name);
    let key = key.ok_or_else(|| invalid(format!("Unknown topic config name: {name}")))?;
    if *op == ConfigOp::Delete {
        overrides.remove(name);
        return Ok(());
    }
    let Some(value) = value else {
        let message = format!("Null value not supported for topic configs: {name}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    };
    let value = match op {
        ConfigOp::Set | ConfigOp::Delete => value.clone(),
        ConfigOp::Append | ConfigOp::Subtract => {
            if key.kind != Kind::List {
                let why = format!("Can't {op:?} to key {name} because its type is not LIST.");
                return Err(invalid(why));
            }
            other_list(key, overrides.get(name), *op, value)
        }
    };
    overrides.insert(name.clone(), value);
    Ok(())
}

fn other_list(
    key: &Setting<TopicConfig>,
    now: Option<&String>,
    op: ConfigOp,
    value: &str,
) -> String {
    let entries = |text: &str| -> Vec<String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_string).collect()
    };
    let mut list = entries(now.map_or(key.default.unwrap_or_default(), |own| own));
    for entry in entries(value) {
        match op {
            ConfigOp::Subtract => list.retain(|there| *there != entry),
            _ if list.contains(&entry) => {}
            _ => list.push(entry),
        }
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change<'a> = (&'a str, ConfigOp, Option<&'a str>);

    fn altered(changes: &[Change<'_>]) -> Result<String, ErrorCode> {
        let mut overrides = BTreeMap::from([
            ("retention.ms".to_string(), "5".to_string()),
            ("cleanup.policy".to_string(), "compact".to_string()),
        ]);
        for (name, op, value) in changes {
            let (name, value) = (name.to_string(), value.map(str::to_string));
            let change = ConfigChange { name, op: *op, value };
            alter(&mut overrides, &change).map_err(|error| error.code)?;
        }
        let all: Vec<_> = overrides.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(all.join(" "))
    }

    #[test]
    fn settings_are_set_deleted_and_lists_changed() {
        use ConfigOp::{Append, Delete, Set, Subtract};
        let cases: &[(&[Change<'_>], Result<&str, ErrorCode>)] = &[
            (&[("retention.ms", Set, Some("9"))], Ok("cleanup.policy=compact retention.ms=9")),
            (&[("retention.ms", Delete, None)], Ok("cleanup.policy=compact")),
            (
                &[("cleanup.policy", Append, Some("delete,compact"))],
                Ok("cleanup.policy=compact,delete retention.ms=5"),
            ),
            (
                &[
                    ("cleanup.policy", Append, Some("delete")),
                    ("cleanup.policy", Subtract, Some("compact")),
                ],
                Ok("cleanup.policy=delete retention.ms=5"),
            ),
            (&[("retention.ms", Append, Some("9"))], Err(ErrorCode::InvalidConfig)),
            (&[("retention.ms", Set, None)], Err(ErrorCode::InvalidRequest)),
            (&[("no.such", Set, Some("1"))], Err(ErrorCode::InvalidConfig)),
        ];
        for (changes, expected) in cases {
            assert_eq!(altered(changes).as_deref().map_err(|e| *e), *expected, "{changes:?}");
        }
    }
}
