use crate::cli::client::Connect;
use crate::cli::config::{change, Change, Kind, Resource};
use crate::cli::{wrong_usage, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic alter events --set retention.ms=3600000 --set segment.bytes=67108864
  corelane topic alter events orders --unset retention.ms
  corelane topic alter users --set cleanup.policy+=delete --dry-run     add to a list

See also `corelane config get|diff --topic events`.")]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// All of them get the same settings.
    #[arg(required = true, value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// A new value, or +=, -= for one of a list; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", group = "change")]
    set: Vec<String>,
    /// Back to what the broker has; may be given several times.
    #[arg(long, value_name = "KEY", group = "change")]
    unset: Vec<String>,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut changes = Vec::new();
    for pair in &args.set {
        changes.push(Change::parse(pair).map_err(wrong_usage)?);
    }
    changes.extend(args.unset.into_iter().map(Change::unset));
    let topic = |name| Resource { kind: Kind::Topic, name };
    let topics: Vec<Resource> = args.topics.into_iter().map(topic).collect();
    change(&args.connect, &topics, &changes, args.dry_run, args.json)
}
