//! IncrementalAlterConfigs (KIP-339).

use anyhow::anyhow;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::{json, Value};

use super::ask::{described, node_for, Setting};
use super::Resource;
use crate::cli::client::Connect;
use crate::cli::nodes::{explained, Cluster};
use crate::cli::print::{note, plural, say, table};
use crate::cli::Failure;

/// What is done to a setting, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Set = 0,
    Unset = 1,
    Append = 2,
    Subtract = 3,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub how: How,
    pub value: String,
}

impl Change {
    /// Reads `key=value`, `key+=value`, `key-=value`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(pair: &str) -> anyhow::Result<Change> {
        let wrong = || anyhow!("'{pair}': KEY=VALUE is wanted (or KEY+=VALUE, KEY-=VALUE)");
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let (key, how) = match (key.strip_suffix('+'), key.strip_suffix('-')) {
            (Some(key), _) => (key, How::Append),
            (_, Some(key)) => (key, How::Subtract),
            _ => (key, How::Set),
        };
        if key.is_empty() {
            return Err(wrong());
        }
        Ok(Change { key: key.to_string(), how, value: value.to_string() })
    }

    pub fn unset(key: String) -> Change {
        Change { key, how: How::Unset, value: String::new() }
    }

    /// What a setting will be.
    fn of(&self, resource: &Resource, now: Option<&Setting>) -> Option<String> {
        let items =
            || now.and_then(|setting| setting.value.as_deref()).unwrap_or_default().split(',');
        let is_own =
            |item: &&str| !item.is_empty() && self.value.split(',').all(|own| own != *item);
        match self.how {
            How::Set => Some(self.value.clone()),
            How::Unset => now.and_then(|setting| setting.without_own(resource)).map(String::from),
            How::Append => {
                let kept = items().filter(is_own).chain(self.value.split(','));
                Some(kept.collect::<Vec<_>>().join(","))
            }
            How::Subtract => Some(items().filter(is_own).collect::<Vec<_>>().join(",")),
        }
    }
}

/// A setting that was changed: its name, what it was and what it is.
type Row = (String, Option<String>, Option<String>);

/// Changes settings of resources, and prints what they were and are. Each resource gets all of the
/// changes or none.
///
/// # Errors
/// A resource was left as it was.
pub fn change(
    connect: &Connect,
    resources: &[Resource],
    changes: &[Change],
    dry_run: bool,
    as_json: bool,
) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let mut shown = Vec::new();
    let mut failed = 0;
    for resource in resources {
        let result = change_one(&mut cluster, resource, changes, dry_run);
        match (&result, resources.len()) {
            (Err(_), 1) if !as_json => return result.map(|_| ()).map_err(Failure::from),
            (Err(error), _) => {
                failed += 1;
                note(format_args!("corelane: error: {error:#}"));
            }
            (Ok(_), _) => (),
        }
        shown.push((resource, result));
    }
    match as_json {
        true => print_json(&shown, dry_run),
        false => print(&shown, dry_run),
    }
    match failed {
        0 => Ok(()),
        failed => Err(anyhow!("{} left as before", plural(failed, "resource")).into()),
    }
}

fn change_one(
    cluster: &mut Cluster,
    resource: &Resource,
    changes: &[Change],
    dry_run: bool,
) -> anyhow::Result<Vec<Row>> {
    let keys: Vec<String> = changes.iter().map(|change| change.key.clone()).collect();
    let before = described(cluster, resource, Some(&keys), false)?;
    let text = |text: &str| StrBytes::from_string(text.to_string());
    let configs = changes.iter().map(|change| {
        let value = (change.how != How::Unset).then(|| text(&change.value));
        AlterableConfig::default()
            .with_name(text(&change.key))
            .with_config_operation(change.how as i8)
            .with_value(value)
    });
    let asked = AlterConfigsResource::default()
        .with_resource_type(resource.kind as i8)
        .with_resource_name(text(&resource.name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![asked])
        .with_validate_only(dry_run);
    let answer: IncrementalAlterConfigsResponse =
        node_for(cluster, resource)?.ask(ApiKey::IncrementalAlterConfigs, 1, &request)?;
    let answer = answer.responses.first().ok_or_else(|| anyhow!("{resource} is not answered"))?;
    if answer.error_code != 0 {
        let error = explained(answer.error_code, answer.error_message.as_deref());
        return Err(error.context(resource.to_string()));
    }
    let row = |change: &Change| {
        let now = before.iter().find(|setting| setting.key == change.key);
        let was = now.and_then(|setting| setting.value.clone());
        (change.key.clone(), was, change.of(resource, now))
    };
    Ok(changes.iter().map(row).collect())
}

fn print(shown: &[(&Resource, anyhow::Result<Vec<Row>>)], dry_run: bool) {
    let mut rows = Vec::new();
    for (resource, changes) in shown {
        for (key, from, to) in changes.iter().flatten() {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_string());
            rows.push(vec![resource.to_string(), key.clone(), value(from), value(to)]);
        }
    }
    if !rows.is_empty() {
        table(&["OF", "KEY", "FROM", "TO"], rows);
    }
    if dry_run {
        note("only checked: nothing was changed");
    }
}

fn print_json(shown: &[(&Resource, anyhow::Result<Vec<Row>>)], dry_run: bool) {
    let rows = shown.iter().map(|(resource, result)| {
        let change = |(key, from, to): &Row| json!({"key": key, "from": from, "to": to});
        json!({
            "resource": resource.kind_name(),
            "name": resource.name,
            "dry_run": dry_run,
            "changes": result.iter().flatten().map(change).collect::<Vec<_>>(),
            "error": result.as_ref().err().map(|error| format!("{error:#}")),
        })
    });
    say(Value::Array(rows.collect()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_set_appended_or_subtracted() {
        let change = |key: &str, how, value: &str| Change {
            key: key.to_string(),
            how,
            value: value.to_string(),
        };
        let parsed = |text| Change::parse(text).ok();
        assert_eq!(parsed("a.b=1=2"), Some(change("a.b", How::Set, "1=2")));
        assert_eq!(parsed("a="), Some(change("a", How::Set, "")));
        assert_eq!(parsed("a+=x"), Some(change("a", How::Append, "x")));
        assert_eq!(parsed("a-=x"), Some(change("a", How::Subtract, "x")));
        assert_eq!(parsed("a"), None);
        assert_eq!(parsed("=a"), None);
    }
}
