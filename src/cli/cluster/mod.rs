//! `corelane cluster`: the cluster as a whole.

mod apis;
mod features;
mod info;

use super::client::Connect;
use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the cluster's id, its brokers, and how its partitions are.
    #[command(after_help = "Examples:\n  corelane cluster info\n  corelane cluster info --json")]
    Info {
        #[command(flatten)]
        connect: Connect,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show features and their levels, or change these.
    Features(features::Args),
    /// Show which requests a broker serves, in which versions.
    #[command(after_help = "Example:\n  corelane cluster apis --json")]
    Apis {
        #[command(flatten)]
        connect: Connect,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Info { connect, json } => info::run(&connect, json),
        Command::Features(args) => features::run(args),
        Command::Apis { connect, json } => apis::run(&connect, json),
    }
}
