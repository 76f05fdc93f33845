//! Completions: the shell asks this program, which may ask the broker.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use anyhow::anyhow;
use clap_complete::env::Shells;
use clap_complete::{CompletionCandidate, Shell};
use kafka_protocol::messages::{ApiKey, ListGroupsRequest, ListGroupsResponse};

use super::client::Connect;
use super::nodes::Cluster;
use super::Failure;

/// Somebody waits at a prompt.
const LIMIT: Duration = Duration::from_millis(500);

/// Prints what a shell has to be told.
pub fn print(shell: Shell) -> Result<(), Failure> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer = shells.completer(&name).ok_or_else(|| anyhow!("{name} is not known"))?;
    // A pipe that is closed is the reader's affair.
    match completer.write_registration(
        "COMPLETE",
        "corelane",
        "corelane",
        "corelane",
        &mut io::stdout(),
    ) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The names of topics, as far as a broker tells them at once.
pub fn topics(begun: &OsStr) -> Vec<CompletionCandidate> {
    let names = || -> anyhow::Result<Vec<String>> {
        let topics = cluster()?.topics(None)?;
        let shown = topics.into_iter().filter(|topic| !topic.is_internal);
        Ok(shown.filter_map(|topic| topic.name).map(|name| name.to_string()).collect())
    };
    candidates(begun, names().unwrap_or_default())
}

/// The names of groups.
pub fn groups(begun: &OsStr) -> Vec<CompletionCandidate> {
    let names = || -> anyhow::Result<Vec<String>> {
        let cluster = cluster()?;
        let mut names = Vec::new();
        for id in cluster.ids() {
            let answer: ListGroupsResponse =
                cluster.node(id)?.ask(ApiKey::ListGroups, 3, &ListGroupsRequest::default())?;
            names.extend(answer.groups.into_iter().map(|group| group.group_id.to_string()));
        }
        Ok(names)
    };
    candidates(begun, names().unwrap_or_default())
}

fn candidates(begun: &OsStr, mut names: Vec<String>) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    names.retain(|name| name.starts_with(&*begun));
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn cluster() -> anyhow::Result<Cluster> {
    let words: Vec<String> = std::env::args().collect();
    Cluster::connect_within(&Connect { bootstrap: bootstrap(&words) }, LIMIT)
}

/// The broker that the command line names so far.
fn bootstrap(words: &[String]) -> String {
    let after = words.windows(2).find(|pair| ["--bootstrap", "-b"].contains(&pair[0].as_str()));
    let joined = words.iter().find_map(|word| word.strip_prefix("--bootstrap="));
    let given = after.map(|pair| pair[1].clone()).or(joined.map(String::from));
    given
        .or_else(|| std::env::var("CORELANE_BOOTSTRAP").ok())
        .unwrap_or_else(|| super::client::DEFAULT_BOOTSTRAP.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_the_one_that_was_named() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(bootstrap(&words("corelane -- corelane topic -b a:1 describe")), "a:1");
        assert_eq!(bootstrap(&words("corelane topic --bootstrap=b:2 describe x")), "b:2");
    }
}
