use std::collections::BTreeMap;

use serde_json::json;

use super::describe::does_not_exist;
use super::found::{Found, DEAD};
use crate::cli::client::Connect;
use crate::cli::print::{note, say, table};
use crate::cli::Failure;

/// What a member reads, by topic.
type Share = BTreeMap<String, Vec<i32>>;

pub fn run(connect: &Connect, group: &str, as_json: bool) -> Result<(), Failure> {
    let consumer = connect.consumer()?;
    let found = Found::all(connect, &consumer, Some(group))?;
    let info = found.into_iter().find(|info| info.state != DEAD);
    let info = info.ok_or_else(|| does_not_exist(group))?;
    let mut members: Vec<_> = info
        .members
        .into_iter()
        .map(|member| {
            let mut share = Share::new();
            for (topic, partition) in member.partitions {
                share.entry(topic).or_default().push(partition);
            }
            share.values_mut().for_each(|partitions| partitions.sort_unstable());
            (member.id, member.client, member.host, share)
        })
        .collect();
    members.sort();
    if as_json {
        let rows = members.into_iter().map(|(id, client, host, share)| {
            json!({"member": id, "client": client, "host": host, "assignment": share})
        });
        say(serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    if members.is_empty() {
        note(format_args!("nobody is in the group '{group}'"));
        return Ok(());
    }
    let rows = members.into_iter().map(|(id, client, host, share)| {
        let share = if share.is_empty() { "-".to_string() } else { shown(&share) };
        vec![id, client, host, share]
    });
    table(&["MEMBER", "CLIENT", "HOST", "PARTITIONS"], rows.collect());
    Ok(())
}

/// A share as `events 0,3-5; orders 1`.
fn shown(share: &Share) -> String {
    let topic = |(topic, partitions): (&String, &Vec<i32>)| {
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for &partition in partitions {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == partition => *last = partition,
                _ => ranges.push((partition, partition)),
            }
        }
        let range = |(first, last): (i32, i32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let ranges: Vec<String> = ranges.into_iter().map(range).collect();
        format!("{topic} {}", ranges.join(","))
    };
    share.iter().map(topic).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_in_a_row_are_shown_as_ranges() {
        let share = Share::from([("a".to_string(), vec![0, 3, 4, 5]), ("b".to_string(), vec![1])]);
        assert_eq!(shown(&share), "a 0,3-5; b 1");
    }
}
