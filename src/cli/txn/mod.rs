//! `corelane txn`: transactional ids, what their transactions are about, and ending those that hang.

mod abort;
mod show;

use std::time::Duration;

use super::client::Connect;
use super::duration::duration;
use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List transactional ids.
    #[command(after_help = "Example:\n  corelane txn list --state Ongoing --longer-than 15m")]
    List {
        #[command(flatten)]
        connect: Connect,
        /// Only those in this state, as Ongoing or CompleteCommit; may be given several times.
        #[arg(long, value_name = "STATE")]
        state: Vec<String>,
        /// Only those whose transaction was begun longer ago, as 90s, 15m, 2h or 7d.
        #[arg(long, value_name = "AGO", value_parser = duration)]
        longer_than: Option<Duration>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a transactional id's producer, and the partitions of its transaction.
    #[command(after_help = "Example:\n  corelane txn describe payments-1")]
    Describe {
        #[command(flatten)]
        connect: Connect,
        /// The transactional id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a transaction that hangs: one that is open in a partition and that no coordinator knows,
    /// so that readers of committed records wait there for ever.
    #[command(after_help = "Examples:\n  corelane txn abort events --partition 3 --dry-run\n  \
        corelane txn abort events --partition 3 --start-offset 1200")]
    Abort(abort::Args),
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List { connect, state, longer_than, json } => {
            show::list(&connect, &state, longer_than, json)
        }
        Command::Describe { connect, id, json } => show::describe(&connect, &id, json),
        Command::Abort(args) => abort::run(&args),
    }
}
