//! `corelane log`: segment files looked at, checked and mended while no broker runs on them.

mod dump;
mod files;
mod repair;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the batches, records or index entries of files.
    #[command(after_help = "Examples:\n  corelane log dump data/events-0\n  \
        corelane log dump data/events-0/00000000000000000000.log --records --json")]
    Dump {
        /// Segment files (.log, .index, .timeindex) or directories that hold them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Each record, too, with its key and value.
        #[arg(long)]
        records: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Check every batch, record and index entry. Exit code 1 where something is damaged.
    #[command(after_help = "Example:\n  corelane log verify data")]
    Verify {
        /// Segment files, partitions' directories or whole log directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write damaged segments anew with every batch that is whole, and indexes that are wrong.
    ///
    /// The damaged file stays beside the new one as .damaged. Records of damaged batches are lost,
    /// their offsets are left out; all others keep theirs.
    #[command(after_help = "Example:\n  corelane log repair data/events-0 --dry-run")]
    Repair {
        /// Segment files, partitions' directories or whole log directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Dump { paths, records, json } => dump::run(&paths, records, json),
        Command::Verify { paths, json } => verify::run(&paths, json),
        Command::Repair { paths, dry_run, json } => repair::run(&paths, dry_run, json),
    }
}
