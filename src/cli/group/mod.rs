//! `corelane group`: consumer groups, who is in them, how far they are, and setting that.

mod describe;
mod found;
mod members;
mod reset;

use clap::Subcommand;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::ResponseError;
use serde_json::json;

use self::found::{coordinator, Found};
use super::client::Connect;
use super::confirm::{some_of, Yes};
use super::nodes::Cluster;
use super::outcome::{report, Outcome};
use super::print::{note, plural, say, table};
use super::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List groups.
    #[command(after_help = "Example:\n  corelane group list --json")]
    List {
        #[command(flatten)]
        connect: Connect,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a group's members, and how far it is in each partition.
    #[command(after_help = "Example:\n  corelane group describe readers")]
    Describe {
        #[command(flatten)]
        connect: Connect,
        /// Its name.
        #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::groups))]
        group: String,
        /// Print JSON.
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
        /// Its name.
        #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::groups))]
        group: String,
        /// Print JSON.
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
    #[command(after_help = "Example:\n  corelane group delete readers --yes")]
    Delete {
        #[command(flatten)]
        connect: Connect,
        /// Their names.
        #[arg(required = true, value_name = "GROUP", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::groups))]
        groups: Vec<String>,
        #[command(flatten)]
        yes: Yes,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List { connect, json } => list(&connect, json),
        Command::Describe { connect, group, json } => describe::run(&connect, &group, json),
        Command::Members { connect, group, json } => members::run(&connect, &group, json),
        Command::ResetOffsets(args) => reset::run(&args),
        Command::Delete { connect, groups, yes, json } => delete(&connect, &groups, &yes, json),
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
        say(serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    if groups.is_empty() {
        note("no groups");
        return Ok(());
    }
    let rows = groups
        .into_iter()
        .map(|Found { name, state, members, .. }| vec![name, state, members.len().to_string()]);
    table(&["GROUP", "STATE", "MEMBERS"], rows.collect());
    Ok(())
}

fn delete(connect: &Connect, groups: &[String], yes: &Yes, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let what = plural(groups.len(), "group");
    yes.confirm(&format!("Delete {what} with all committed offsets: {}", some_of(groups)))?;
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        let id = GroupId(StrBytes::from_string(group.clone()));
        let request = DeleteGroupsRequest::default().with_groups_names(vec![id]);
        let answer: DeleteGroupsResponse =
            coordinator(&mut cluster, group)?.ask(ApiKey::DeleteGroups, 2, &request)?;
        let code = answer.results.first().map_or(0, |result| result.error_code);
        let message = match ResponseError::try_from_code(code) {
            Some(ResponseError::GroupIdNotFound) => Some("it does not exist"),
            Some(ResponseError::NonEmptyGroup) => {
                Some("somebody is in it: stop its consumers, and wait until their sessions end")
            }
            _ => None,
        };
        outcomes.push(Outcome::new(group, code, message));
    }
    report("deleted", "group", outcomes, as_json)
}
