use std::collections::BTreeMap;

use anyhow::anyhow;
use serde_json::json;

use super::ask::{described, Setting};
use super::Resource;
use crate::cli::client::Connect;
use crate::cli::nodes::Cluster;
use crate::cli::print::{note, say, table};
use crate::cli::{wrong_usage, Failure};

pub fn run(connect: &Connect, resources: &[Resource], as_json: bool) -> Result<(), Failure> {
    match resources {
        [one] => from_defaults(connect, one, as_json),
        [a, b] if a.kind == b.kind => between(connect, a, b, as_json),
        [_, _] => Err(wrong_usage(anyhow!("only two of a kind can be compared"))),
        _ => Err(wrong_usage(anyhow!("one resource, or two to compare, is wanted"))),
    }
}

fn from_defaults(connect: &Connect, resource: &Resource, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let mut settings = described(&mut cluster, resource, None, false)?;
    settings.retain(|s| !s.is_default() && (s.sensitive || s.value.as_deref() != s.default()));
    if as_json {
        let rows = settings.iter().map(|s| {
            json!({"key": s.key, "value": s.value, "default": s.default(), "from": s.source_name()})
        });
        say(serde_json::Value::Array(rows.collect()));
    } else if settings.is_empty() {
        note(format_args!("{resource}: everything is as by default"));
    } else {
        let rows = settings.iter().map(|s| {
            let default = s.default().unwrap_or("-").to_string();
            vec![s.key.clone(), s.shown(), default, s.source_name().to_string()]
        });
        table(&["KEY", "VALUE", "DEFAULT", "FROM"], rows.collect());
    }
    Ok(())
}

fn between(connect: &Connect, a: &Resource, b: &Resource, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let mut of = |resource: &Resource| -> anyhow::Result<BTreeMap<String, Setting>> {
        let settings = described(&mut cluster, resource, None, false)?;
        Ok(settings.into_iter().map(|setting| (setting.key.clone(), setting)).collect())
    };
    let (of_a, of_b) = (of(a)?, of(b)?);
    let mut keys: Vec<&String> = of_a.keys().chain(of_b.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |all: &BTreeMap<String, Setting>, key: &String| {
        all.get(key).and_then(|setting| setting.value.clone())
    };
    keys.retain(|key| value(&of_a, key) != value(&of_b, key));
    if as_json {
        let rows = keys.iter().map(|key| {
            json!({"key": key, "values": {&a.name: value(&of_a, key), &b.name: value(&of_b, key)}})
        });
        say(serde_json::Value::Array(rows.collect()));
    } else if keys.is_empty() {
        note(format_args!("{a} and {b} have the same settings"));
    } else {
        let shown = |all: &BTreeMap<String, Setting>, key: &String| {
            all.get(key).map_or("-".to_string(), Setting::shown)
        };
        let rows =
            keys.iter().map(|key| vec![key.to_string(), shown(&of_a, key), shown(&of_b, key)]);
        table(&["KEY", &a.to_string(), &b.to_string()], rows.collect());
    }
    Ok(())
}
