//! Which partitions are read, from where, and up to where.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail, Context};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::{Args, From};
use crate::cli::nodes::Cluster;
use crate::cli::offsets::{at_times, bounds, leaders, Place};
use crate::clock::now_ms;

/// A partition that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub place: Place,
    pub leader: i32,
    /// The next offset to read.
    pub next: i64,
    /// The offset to stop before; `None`: goes on for ever.
    pub stop: Option<i64>,
}

impl Range {
    pub fn is_done(&self) -> bool {
        self.stop.is_some_and(|stop| self.next >= stop)
    }
}

/// # Errors
/// There is no such topic or partition, or nobody answers.
pub fn plan(args: &Args, from: From, cluster: &mut Cluster) -> anyhow::Result<Vec<Range>> {
    let topics = chosen(&args.topics, cluster)?;
    let leaders = leaders(&topics);
    let is_chosen =
        |place: &&Place| args.partitions.is_empty() || args.partitions.contains(&place.1);
    let places: Vec<Place> = leaders.keys().filter(is_chosen).cloned().collect();
    for topic in &topics {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        let there = |index: &&i32| !leaders.contains_key(&(name.to_string(), **index));
        if let Some(missing) = args.partitions.iter().find(there) {
            bail!("'{name}' has no partition {missing}");
        }
    }
    let committed = args.isolation == "committed";
    let bounds = bounds(cluster, &leaders, &places, committed)?;
    let at = |time: Option<i64>| -> anyhow::Result<BTreeMap<Place, i64>> {
        let Some(time) = time else { return Ok(BTreeMap::new()) };
        let asked: Vec<_> = places.iter().map(|place| (place.clone(), time)).collect();
        at_times(cluster, &leaders, &asked, committed)
    };
    let started = at(if let From::Time(time) = from { Some(time) } else { None })?;
    // What is still to come may be before that time.
    let until = args.until.filter(|until| *until <= now_ms() || args.exit_at_end);
    let ended = at(until)?;
    let range = |place: &Place| {
        let (start, end) = *bounds.get(place).context("a partition is not answered")?;
        let found = |all: &BTreeMap<Place, i64>| all.get(place).copied().filter(|at| *at >= 0);
        let next = match from {
            From::Earliest => start,
            From::Latest => end,
            From::Offset(offset) => offset.clamp(start, end),
            From::Tail(count) => end.saturating_sub(count).max(start),
            From::Time(_) => found(&started).unwrap_or(end),
        };
        let stop = match (until, args.exit_at_end) {
            (Some(_), _) => Some(found(&ended).unwrap_or(end)),
            (None, true) => Some(end),
            (None, false) => None,
        };
        let leader = leaders.get(place).copied().unwrap_or(-1);
        Ok(Range { place: place.clone(), leader, next, stop })
    };
    places.iter().map(range).collect()
}

/// The topics that are named, and those that match.
fn chosen(wanted: &[String], cluster: &mut Cluster) -> anyhow::Result<Vec<MetadataResponseTopic>> {
    let (patterns, names): (Vec<&String>, Vec<&String>) =
        wanted.iter().partition(|name| name.starts_with('^'));
    let names: Vec<String> = names.into_iter().cloned().collect();
    let mut topics = match names.is_empty() {
        true => Vec::new(),
        false => cluster.topics(Some(&names))?,
    };
    for pattern in patterns {
        let regex = regex::Regex::new(pattern).with_context(|| pattern.clone())?;
        let name = |topic: &MetadataResponseTopic| {
            topic.name.as_ref().map_or(String::new(), |n| n.to_string())
        };
        let all = cluster.topics(None)?;
        let before = topics.len();
        topics.extend(all.into_iter().filter(|t| !t.is_internal && regex.is_match(&name(t))));
        if topics.len() == before {
            return Err(anyhow!("no topic matches '{pattern}'; see `corelane topic list`"));
        }
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    Ok(topics)
}
