//! `corelane config`: settings of topics, brokers and groups: looked at, changed, compared.

mod alter;
mod ask;
mod diff;
mod get;
mod resource;

use clap::Subcommand;

pub use self::alter::{change, Change};
pub use self::ask::{described, Setting};
pub use self::resource::{Kind, Resource};

use self::resource::Resources;
use super::client::Connect;
use super::{wrong_usage, Failure};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show settings, their values and where these come from.
    Get(get::Args),
    /// Change settings, several at once: all of a resource or none.
    #[command(after_help = "Examples:
  corelane config set --topic events retention.ms=3600000 segment.bytes=67108864
  corelane config set --topic events --topic orders compression.type=zstd
  corelane config set --broker-defaults log.retention.ms=86400000 --dry-run
  corelane config set --group readers consumer.session.timeout.ms=60000
  corelane config set --topic users cleanup.policy+=delete            add to a list; -= takes away")]
    Set {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        resources: Resources,
        /// New values; += and -= for one of a list.
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Only have the broker check it.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take settings back: what was set elsewhere, or the default, is in force then.
    #[command(after_help = "Examples:
  corelane config unset --topic events retention.ms segment.bytes
  corelane config unset --broker 1 log.retention.ms --dry-run")]
    Unset {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        resources: Resources,
        /// Their names.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        /// Only have the broker check it.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what differs from the defaults, or between two resources.
    #[command(after_help = "Examples:
  corelane config diff --topic events                     what is not the default
  corelane config diff --topic events --topic orders      where the two differ
  corelane config diff --broker 1 --broker 2 --json")]
    Diff {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        resources: Resources,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Get(args) => get::run(args),
        Command::Set { connect, resources, settings, dry_run, json } => {
            let changes =
                settings.iter().map(|pair| Change::parse(pair)).collect::<Result<Vec<_>, _>>();
            change(&connect, &resources.all(), &changes.map_err(wrong_usage)?, dry_run, json)
        }
        Command::Unset { connect, resources, keys, dry_run, json } => {
            let changes: Vec<Change> = keys.into_iter().map(Change::unset).collect();
            change(&connect, &resources.all(), &changes, dry_run, json)
        }
        Command::Diff { connect, resources, json } => diff::run(&connect, &resources.all(), json),
    }
}
