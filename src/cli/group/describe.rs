use std::collections::BTreeMap;

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::found::{Found, DEAD};
use crate::cli::client::{Connect, Quiet, ASK_TIMEOUT};
use crate::cli::print::{plural, say, table};
use crate::cli::Failure;

/// How far a group is in a partition.
struct Row {
    topic: String,
    partition: i32,
    /// `None`: nothing is committed.
    committed: Option<i64>,
    end: i64,
    /// Who reads it now.
    member: Option<String>,
}

impl Row {
    fn lag(&self) -> Option<i64> {
        self.committed.map(|committed| (self.end - committed).max(0))
    }
}

pub fn does_not_exist(group: &str) -> anyhow::Error {
    anyhow!("the group '{group}' does not exist; see `corelane group list`")
}

pub fn run(connect: &Connect, group: &str, as_json: bool) -> Result<(), Failure> {
    let consumer = connect.consumer_of(group)?;
    let found = Found::all(connect, &consumer, Some(group))?;
    let info = found.first().ok_or_else(|| does_not_exist(group))?;
    let owners = info.owners();
    let committed = committed(&consumer)?;
    if info.state == DEAD && committed.is_empty() {
        return Err(does_not_exist(group).into());
    }
    let mut places: Vec<(String, i32)> = committed.keys().chain(owners.keys()).cloned().collect();
    places.sort();
    places.dedup();
    let mut rows = Vec::with_capacity(places.len());
    for place in places {
        let (_, end) = consumer.fetch_watermarks(&place.0, place.1, ASK_TIMEOUT)?;
        rows.push(Row {
            committed: committed.get(&place).copied(),
            member: owners.get(&place).cloned(),
            topic: place.0,
            partition: place.1,
            end,
        });
    }
    match as_json {
        true => print_json(info, &rows),
        false => print(info, &rows),
    }
    Ok(())
}

/// Everything that the consumer's group has committed.
pub fn committed(consumer: &BaseConsumer<Quiet>) -> anyhow::Result<BTreeMap<(String, i32), i64>> {
    let metadata = consumer.fetch_metadata(None, ASK_TIMEOUT)?;
    let mut asked = TopicPartitionList::new();
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            asked.add_partition(topic.name(), partition.id());
        }
    }
    let found = consumer.committed_offsets(asked, ASK_TIMEOUT)?;
    let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let Offset::Offset(offset) = element.offset() else { return None };
        Some(((element.topic().to_string(), element.partition()), offset))
    };
    Ok(found.elements().iter().filter_map(place).collect())
}

fn print(info: &Found, rows: &[Row]) {
    let members = plural(info.members.len(), "member");
    say(format_args!("{} is {}, {members}", info.name, info.state));
    if rows.is_empty() {
        return;
    }
    let shown = |number: Option<i64>| number.map_or("-".to_string(), |number| number.to_string());
    let rows = rows.iter().map(|row| {
        vec![
            row.topic.clone(),
            row.partition.to_string(),
            shown(row.committed),
            row.end.to_string(),
            shown(row.lag()),
            row.member.clone().unwrap_or_else(|| "-".to_string()),
        ]
    });
    table(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"], rows.collect());
}

fn print_json(info: &Found, rows: &[Row]) {
    let members = info
        .members
        .iter()
        .map(|member| json!({"id": member.id, "client": member.client, "host": member.host}));
    let partitions = rows.iter().map(|row| {
        json!({
            "topic": row.topic,
            "partition": row.partition,
            "committed": row.committed,
            "end": row.end,
            "lag": row.lag(),
            "member": row.member,
        })
    });
    let group = json!({
        "group": info.name,
        "state": info.state,
        "protocol": info.protocol,
        "members": members.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    });
    say(group);
}
