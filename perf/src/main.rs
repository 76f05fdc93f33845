//! `corelane-perf`: load generators and measures. `README.md` explains each command.

mod broker;
mod ceiling;
mod cluster;
mod compare;
mod connection;
mod fetch;
mod flow;
mod groups;
mod latency;
mod load;
mod process;
mod produce;
mod report;
mod size;
mod stats;
mod system_calls;
mod topics;
mod wire;
mod workload;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde::Serialize;

#[derive(Debug, Parser)]
#[command(name = "corelane-perf", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Produce pre-encoded batches in a closed loop
    Produce(produce::ProduceArgs),
    /// Read a topic from its beginning, as fast as it comes
    Fetch(fetch::FetchArgs),
    /// Time one small produce at a time, or at a fixed rate
    Latency(latency::LatencyArgs),
    /// Time rebalances, and commits beside heartbeats, of many members of consumer groups
    Groups(groups::GroupsArgs),
    /// Create and delete topics by the thousand
    Topics(topics::TopicsArgs),
    /// What this machine can do with the same bytes and no broker
    #[command(subcommand)]
    Ceiling(Ceiling),
    /// Take all measures of a broker, beside the ceiling, and print them as a table
    Report(report::ReportArgs),
    /// Run one of the workloads (see `workloads/`) on a broker that is there
    Run(flow::command::RunArgs),
    /// Compare Corelane with Apache Kafka: both started in turn, every workload on both
    Compare(Box<compare::CompareArgs>),
    /// Write a comparison's report again, from its results.json
    Render(compare::RenderArgs),
    #[command(subcommand, hide = true)]
    CeilingServer(ceiling::server::ServerCommand),
}

#[derive(Debug, Subcommand)]
enum Ceiling {
    /// The load of `produce`: socket in, O_DIRECT file out
    Produce(ceiling::client::SinkArgs),
    /// The load of `fetch`: memory out to the socket
    Fetch(ceiling::client::SourceArgs),
    /// Small durable writes, one at a time
    DurableWrite(ceiling::durable::DurableArgs),
    /// A small message there and back
    Echo(ceiling::client::EchoArgs),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelane-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Produce(args) => print(&produce::run(&args)?, args.json),
        Command::Fetch(args) => print(&fetch::run(&args)?, args.json),
        Command::Latency(args) => print(&latency::run(&args)?, args.json),
        Command::Topics(args) => print(&topics::run(&args)?, args.json),
        Command::Groups(args) => print(&groups::run(&args)?, args.json),
        Command::Ceiling(Ceiling::Produce(args)) => {
            print(&ceiling::client::produce(&args)?, args.json)
        }
        Command::Ceiling(Ceiling::Fetch(args)) => print(&ceiling::client::fetch(&args)?, args.json),
        Command::Ceiling(Ceiling::DurableWrite(args)) => {
            print(&ceiling::durable::run(&args)?, args.json)
        }
        Command::Ceiling(Ceiling::Echo(args)) => print(&ceiling::client::echo(&args)?, args.json),
        Command::Report(args) => report::run(&args),
        Command::Run(args) => print(&flow::command::run(&args)?, args.json),
        Command::Compare(args) => compare::run(&args),
        Command::Render(args) => compare::render(&args),
        Command::CeilingServer(command) => ceiling::server::run(&command),
    }
}

fn print(report: &(impl Display + Serialize), json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? + "\n" } else { report.to_string() };
    // Not `print!`: it panics when the reader, such as `head`, has gone.
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
