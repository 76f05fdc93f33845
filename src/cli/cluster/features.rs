use std::collections::BTreeMap;

use anyhow::Context;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiKey, UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;
use serde_json::{json, Value};

use crate::cli::client::{Connect, ASK_TIMEOUT};
use crate::cli::confirm::Yes;
use crate::cli::nodes::{explained, Cluster};
use crate::cli::outcome::{report, Outcome};
use crate::cli::print::{say, table};
use crate::cli::{wrong_usage, Failure};

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  corelane cluster features
  corelane cluster features upgrade transaction.version=2 --dry-run
  corelane cluster features downgrade share.version=0"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    connect: Connect,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Raise levels of features.
    #[command(after_help = "Example:\n  corelane cluster features upgrade transaction.version=2")]
    Upgrade(Update),
    /// Lower levels of features; 0 turns one off.
    #[command(after_help = "Example:\n  corelane cluster features downgrade share.version=0")]
    Downgrade {
        #[command(flatten)]
        update: Update,
        /// Even where metadata is lost by it.
        #[arg(long = "unsafe")]
        lossy: bool,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(clap::Args)]
struct Update {
    #[command(flatten)]
    connect: Connect,
    /// Features, and the levels they get.
    #[arg(required = true, value_name = "FEATURE=LEVEL")]
    levels: Vec<String>,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a level may change, by Kafka's numbers.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        None => list(&args.list),
        Some(Command::Upgrade(args)) => update(&args, UPGRADE),
        Some(Command::Downgrade { update: args, lossy, yes }) => {
            if !args.dry_run {
                yes.confirm(&format!("Downgrade {} for all clients", args.levels.join(", ")))?;
            }
            update(&args, if lossy { UNSAFE_DOWNGRADE } else { SAFE_DOWNGRADE })
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let found = cluster.first().versions()?;
    let levels: BTreeMap<&str, i16> =
        found.finalized_features.iter().map(|f| (f.name.as_str(), f.max_version_level)).collect();
    let mut features = found.supported_features.iter().collect::<Vec<_>>();
    features.sort_by(|a, b| a.name.cmp(&b.name));
    let level = |name: &str| levels.get(name).copied();
    if args.json {
        let rows = features.iter().map(|feature| {
            json!({
                "feature": feature.name.as_str(),
                "level": level(&feature.name).unwrap_or(0),
                "from": feature.min_version,
                "to": feature.max_version,
            })
        });
        let rows: Vec<Value> = rows.collect();
        say(json!({"epoch": found.finalized_features_epoch, "features": rows}));
        return Ok(());
    }
    let rows = features.iter().map(|feature| {
        vec![
            feature.name.to_string(),
            level(&feature.name).map_or("off".to_string(), |level| level.to_string()),
            format!("{}–{}", feature.min_version, feature.max_version),
        ]
    });
    table(&["FEATURE", "LEVEL", "POSSIBLE"], rows.collect());
    Ok(())
}

fn update(args: &Update, how: i8) -> Result<(), Failure> {
    let parse = |text: &String| {
        let wrong = || format!("'{text}': FEATURE=LEVEL is wanted, with a number");
        let (feature, level) = text.split_once('=').with_context(wrong)?;
        Ok((feature.to_string(), level.parse::<i16>().with_context(wrong)?))
    };
    let levels = args.levels.iter().map(parse).collect::<anyhow::Result<Vec<_>>>();
    let levels = levels.map_err(wrong_usage)?;
    let updates = levels.iter().map(|(feature, level)| {
        FeatureUpdateKey::default()
            .with_feature(StrBytes::from_string(feature.clone()))
            .with_max_version_level(*level)
            .with_upgrade_type(how)
    });
    let request = UpdateFeaturesRequest::default()
        .with_timeout_ms(ASK_TIMEOUT.as_millis() as i32)
        .with_feature_updates(updates.collect())
        .with_validate_only(args.dry_run);
    let cluster = Cluster::connect(&args.connect)?;
    let mut controller = cluster.controller()?;
    controller.must_serve(ApiKey::UpdateFeatures, 1)?;
    let answer: UpdateFeaturesResponse = controller.ask(ApiKey::UpdateFeatures, 1, &request)?;
    if answer.error_code != 0 {
        return Err(explained(answer.error_code, answer.error_message.as_deref()).into());
    }
    let level = |name: &str| levels.iter().find(|(n, _)| n == name).map_or(0, |(_, level)| *level);
    let outcomes = answer.results.iter().map(|result| {
        let name = result.feature.as_str();
        Outcome::new(name, result.error_code, result.error_message.as_deref())
            .with(format!(" to {}", level(name)), json!({"level": level(name)}))
    });
    let done = if args.dry_run { "would be set:" } else { "set" };
    report(done, "feature", outcomes.collect(), args.json)
}
