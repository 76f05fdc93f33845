//! `corelane topic`: topics made, looked at, changed and deleted.

mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod partitions;
mod trim;

use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create topics.
    Create(create::Args),
    /// List topics.
    List(list::Args),
    /// Show topics: their settings, and each partition with its leader and offsets.
    Describe(describe::Args),
    /// Change settings of topics.
    Alter(alter::Args),
    /// Delete topics and all they hold.
    Delete(delete::Args),
    /// Give topics more partitions.
    AddPartitions(partitions::Args),
    /// Delete a topic's oldest records: up to an offset, a time, or all there are.
    Trim(trim::Args),
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Create(args) => create::run(&args),
        Command::List(args) => list::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Alter(args) => alter::run(args),
        Command::Delete(args) => delete::run(&args),
        Command::AddPartitions(args) => partitions::run(&args),
        Command::Trim(args) => trim::run(&args),
    }
}
