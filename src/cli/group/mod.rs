//! `corelane group`: consumer groups, who is in them, how far they are, and setting that.

mod describe;
mod found;
mod members;
mod reset;

use clap::Subcommand;
use serde_json::json;

use self::found::Found;
use super::client::Connect;
use super::topic::{admin, options, plain_table, report, wait};
use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List groups.
    List {
        #[command(flatten)]
        connect: Connect,
        #[arg(long)]
        json: bool,
    },
    /// Show a group's members, and how far it is in each partition.
    Describe {
        #[command(flatten)]
        connect: Connect,
        group: String,
        #[arg(long)]
        json: bool,
    },
    /// Show who is in a group, from where, and what each of them reads.
    #[command(
        after_help = "Examples:\n  corelane group members readers\n  corelane group members readers --json"
    )]
    Members {
        #[command(flatten)]
        connect: Connect,
        group: String,
        #[arg(long)]
        json: bool,
    },
    /// Set where a group goes on, while nobody is in it.
    #[command(
        after_help = "Examples:\n  corelane group reset-offsets readers --topic events --to-earliest --dry-run\n  \
        corelane group reset-offsets readers --by-duration 2h\n  \
        corelane group reset-offsets readers --shift -100"
    )]
    ResetOffsets(reset::Args),
    /// Delete groups and the offsets they have committed, while nobody is in them.
    Delete {
        #[command(flatten)]
        connect: Connect,
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List { connect, json } => list(&connect, json),
        Command::Describe { connect, group, json } => describe::run(&connect, &group, json),
        Command::Members { connect, group, json } => members::run(&connect, &group, json),
        Command::ResetOffsets(args) => reset::run(&args),
        Command::Delete { connect, groups } => delete(&connect, &groups),
    }
}

fn list(connect: &Connect, as_json: bool) -> Result<(), Failure> {
    let consumer = connect.consumer()?;
    let groups = Found::all(connect, &consumer, None)?;
    if as_json {
        let rows = groups.iter().map(|group| {
            let Found { name, state, members, .. } = group;
            json!({"group": name, "state": state, "members": members.len()})
        });
        println!("{}", serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    let mut table = plain_table(&["GROUP", "STATE", "MEMBERS"]);
    for Found { name, state, members, .. } in groups {
        table.add_row([name, state, members.len().to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn delete(connect: &Connect, groups: &[String]) -> Result<(), Failure> {
    let admin = admin(connect)?;
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let results = wait(admin.delete_groups(&names, &options()))?;
    report("deleted", "group", results.map_err(|error| connect.explain(error))?)
}
