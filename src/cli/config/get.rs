use serde_json::{json, Value};

use super::ask::{described, Setting};
use super::resource::{Resource, Resources};
use crate::cli::client::Connect;
use crate::cli::nodes::Cluster;
use crate::cli::print::{note, say, table};
use crate::cli::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane config get --topic events
  corelane config get --topic events retention.ms cleanup.policy --docs
  corelane config get --broker 1 --json
  corelane config get --broker-defaults
  corelane config get --topic events retention.ms --value     only the value, for scripts")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    resources: Resources,
    /// Only these settings.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Also what each setting is about.
    #[arg(long)]
    docs: bool,
    /// Only the values, one a line.
    #[arg(long, requires = "keys", conflicts_with_all = ["json", "docs"])]
    value: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let keys = (!args.keys.is_empty()).then_some(&args.keys[..]);
    let mut found = Vec::new();
    for resource in args.resources.all() {
        let settings = described(&mut cluster, &resource, keys, args.docs)?;
        found.push((resource, settings));
    }
    if args.json {
        say(Value::Array(found.iter().map(|(resource, all)| as_json(resource, all)).collect()));
        return Ok(());
    }
    let several = found.len() > 1;
    for (resource, settings) in &found {
        if args.value {
            let values = args.keys.iter().filter_map(|key| settings.iter().find(|s| s.key == *key));
            values.for_each(|setting| say(setting.value.as_deref().unwrap_or_default()));
            continue;
        }
        if several {
            say(format_args!("{resource}:"));
        }
        print(resource, settings, args.docs);
    }
    Ok(())
}

fn print(resource: &Resource, settings: &[Setting], docs: bool) {
    if settings.is_empty() {
        return note(format_args!("nothing is set for {resource}"));
    }
    if docs {
        for setting in settings {
            let (value, source) = (setting.shown(), setting.source_name());
            say(format_args!("{}={value}  ({}, {source})", setting.key, setting.kind));
            let doc = setting.doc.as_deref().unwrap_or_default();
            doc.lines().for_each(|line| say(format_args!("    {line}")));
        }
        return;
    }
    let rows = settings.iter().map(|setting| {
        let from = match setting.read_only {
            true => format!("{}, read-only", setting.source_name()),
            false => setting.source_name().to_string(),
        };
        vec![setting.key.clone(), setting.shown(), from]
    });
    table(&["KEY", "VALUE", "FROM"], rows.collect());
}

fn as_json(resource: &Resource, settings: &[Setting]) -> Value {
    let configs = settings.iter().map(|setting| {
        let mut row = json!({
            "key": setting.key,
            "value": setting.value,
            "type": setting.kind,
            "from": setting.source_name(),
            "default": setting.default(),
            "read_only": setting.read_only,
            "sensitive": setting.sensitive,
        });
        if let Some(doc) = &setting.doc {
            row["doc"] = json!(doc);
        }
        row
    });
    json!({
        "resource": resource.kind_name(),
        "name": resource.name,
        "configs": configs.collect::<Vec<_>>(),
    })
}
