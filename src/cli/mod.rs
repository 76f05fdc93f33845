//! The command line. `serve` is the broker; the client commands stand on librdkafka, the client
//! most of the world uses.

mod base64;
mod client;
mod cluster;
mod complete;
mod config;
mod confirm;
mod consume;
mod doctor;
mod duration;
mod group;
mod import;
mod log;
mod log_dir;
mod moment;
mod nodes;
mod offsets;
mod outcome;
mod print;
mod produce;
mod serve;
mod topic;
mod txn;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::reference;

/// A Kafka-wire-compatible message broker, and its tools.
#[derive(Parser)]
#[command(name = "corelane", version, about, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  corelane serve                                     a broker on port 9092, data in ./data
  corelane topic create events --partitions 8
  corelane produce events lines.txt
  corelane consume events --exit-at-end              all there is, then stop
  corelane group describe readers
  corelane config diff --topic events

Environment:
  CORELANE_BOOTSTRAP  the broker to ask, as --bootstrap
  NO_COLOR            no colours

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Errors go to standard error.
Every command has examples in its own --help.";

#[derive(Subcommand)]
enum Command {
    /// Run a broker.
    Serve(serve::Args),
    /// Look whether this machine suits a broker, and say how to change what does not.
    Doctor(doctor::Args),
    /// Create, list, describe, change, trim and delete topics.
    Topic(topic::Args),
    /// Send lines to a topic.
    Produce(produce::Args),
    /// Print a topic's records.
    Consume(consume::Args),
    /// List, describe, reset and delete consumer groups.
    Group(group::Args),
    /// Look at, change and compare settings of topics, brokers and groups.
    Config(config::Args),
    /// List and describe transactions, and end those that hang.
    Txn(txn::Args),
    /// Show what log directories hold, and move partitions between them.
    LogDir(log_dir::Args),
    /// Show the cluster: its brokers, features and requests.
    Cluster(cluster::Args),
    /// Look at, check and mend segment files, while no broker runs on them.
    Log(log::Args),
    /// Take over what another broker left.
    Import(import::Args),
    /// Print the version.
    #[command(after_help = "Example:\n  corelane version")]
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print config/REFERENCE.md, or config/corelane.toml.
    #[command(hide = true)]
    Reference {
        #[arg(long)]
        toml: bool,
    },
    /// Print what has a shell complete commands, options and the names of topics and groups.
    #[command(after_help = "Examples:
  corelane completions bash > ~/.local/share/bash-completion/completions/corelane
  corelane completions zsh > ~/.zfunc/_corelane
  corelane completions fish > ~/.config/fish/completions/corelane.fish")]
    Completions {
        /// The shell that is to complete.
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one a command.
    #[command(after_help = "Example:\n  corelane man ~/.local/share/man/man1")]
    Man {
        /// Where to; it is made where it is not there.
        dir: std::path::PathBuf,
    },
}

/// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
pub const FAILED: i32 = 1;
pub const WRONG_USAGE: i32 = 2;

/// A command's failure: what to print, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: i32,
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { code: FAILED, error: error.into() }
    }
}

fn manual(dir: &std::path::Path) -> Result<(), Failure> {
    use anyhow::Context;
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut command = Cli::command();
    command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, dir).with_context(|| dir.display().to_string())?;
    print::say(format_args!("manual pages are in {}", dir.display()));
    Ok(())
}

fn wrong_usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure { code: WRONG_USAGE, error: error.into() }
}

/// Runs the command line that the process was started with; returns the exit code.
pub fn main() -> i32 {
    // Where a shell asks for completions, this answers and ends.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Topic(args) => topic::run(args),
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(args),
        Command::Group(args) => group::run(args),
        Command::Config(args) => config::run(args),
        Command::LogDir(args) => log_dir::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Txn(args) => txn::run(args),
        Command::Log(args) => log::run(args),
        Command::Import(args) => import::run(args),
        Command::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            match json {
                true => print::say(serde_json::json!({ "version": version })),
                false => print::say(format_args!("corelane {version}")),
            }
            Ok(())
        }
        Command::Reference { toml } => {
            let make = if toml { reference::toml } else { reference::markdown };
            print!("{}", make());
            Ok(())
        }
        Command::Completions { shell } => complete::print(shell),
        Command::Man { dir } => manual(&dir),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("corelane: error: {:#}", failure.error);
            failure.code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        fn look(command: &clap::Command, path: &str) {
            let subcommands: Vec<_> =
                command.get_subcommands().filter(|c| c.get_name() != "help").collect();
            if subcommands.is_empty() && !command.is_hide_set() {
                let help = command.get_after_help().map(|help| help.to_string());
                assert!(help.is_some_and(|help| help.contains("Example")), "{path}");
            }
            subcommands.iter().for_each(|c| look(c, &format!("{path} {}", c.get_name())));
        }
        let mut cli = Cli::command();
        cli.build();
        look(&cli, "corelane");
    }
}
