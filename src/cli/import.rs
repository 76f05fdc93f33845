//! `corelane import`: takes over what another broker left.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Subcommand;
use comfy_table::{presets, Table};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failure, FAILED};
use crate::import::{check_partition, free_bytes, look, take, Found, How};
use crate::metadata::kafka_uuid;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take over the log directories of a cleanly stopped Apache Kafka broker (KRaft, 3.3 or later).
    ///
    /// Topics keep their ids, settings, offsets, leader epochs and producers; the offsets of consumer
    /// groups come with their topic. Every batch is checked first. What is damaged, not stopped in
    /// order or in an older format is refused by name. Kafka's directories are only read.
    #[command(after_help = "Examples:\n  corelane import kafka --from /var/kafka --dry-run\n  \
        corelane import kafka --from /mnt/a/kafka --from /mnt/b/kafka \\\n      \
        --data-dir /mnt/a/corelane --data-dir /mnt/b/corelane --link")]
    Kafka {
        /// A log directory (log.dirs, metadata.log.dir) of the broker; all must be given.
        #[arg(long, value_name = "DIR", required = true)]
        from: Vec<PathBuf>,
        /// Where to: one new directory for all, or one for each.
        #[arg(long, value_name = "DIR", default_value = "./data")]
        data_dir: Vec<PathBuf>,
        /// Check everything and say what would be done; nothing is written.
        #[arg(long)]
        dry_run: bool,
        /// Copy everything (the default).
        #[arg(long, conflicts_with = "link")]
        copy: bool,
        /// Link closed segments instead of copying them: at once, without space, on the same file
        /// system.
        #[arg(long)]
        link: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Result<(), Failure> {
    let Command::Kafka { from, data_dir, dry_run, copy: _, link, json } = args.command;
    if data_dir.len() > 1 && data_dir.len() != from.len() {
        return Err(failed("give one --data-dir, or one for each --from"));
    }
    let found = look(&from)?;
    let bar = progress(&found, json, "checking");
    let mut ends = Vec::with_capacity(found.partitions.len());
    for partition in &found.partitions {
        ends.push(check_partition(partition, |bytes| bar.inc(bytes))?);
    }
    bar.finish_and_clear();
    let how = if link { How::Link } else { How::Copy };
    if how == How::Copy {
        check_space(&found, &data_dir)?;
    }
    if !dry_run {
        let bar = progress(&found, json, "copying");
        take(&found, &data_dir, how, |bytes| bar.inc(bytes))?;
        bar.finish_and_clear();
    }
    report(&found, &ends, &data_dir, dry_run, json)
}

fn failed(message: impl Into<String>) -> Failure {
    Failure { code: FAILED, error: anyhow!(message.into()) }
}

fn all_bytes(found: &Found) -> u64 {
    found.partitions.iter().map(|partition| partition.bytes).sum()
}

fn progress(found: &Found, quiet: bool, what: &'static str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template = "{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(all_bytes(found)).with_style(style).with_message(what)
}

fn check_space(found: &Found, data_dirs: &[PathBuf]) -> Result<(), Failure> {
    for (number, dir) in data_dirs.iter().enumerate() {
        let goes_there = |source: usize| source.min(data_dirs.len() - 1) == number;
        let partitions = found.partitions.iter().filter(|p| goes_there(p.source));
        let needed: u64 = partitions.map(|partition| partition.bytes).sum();
        if free_bytes(dir).is_some_and(|free| free < needed) {
            let needed = HumanBytes(needed);
            return Err(failed(format!(
                "{}: {needed} are needed and not free; give a directory on a larger disk, or use \
                 --link",
                dir.display()
            )));
        }
    }
    Ok(())
}

fn report(
    found: &Found,
    ends: &[i64],
    data_dirs: &[PathBuf],
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(found, ends, dry_run))?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["topic", "id", "partitions", "bytes", "log end offsets"]);
    for (id, topic) in &found.topics {
        let mut of_topic: Vec<_> =
            found.partitions.iter().zip(ends).filter(|(p, _)| p.topic == *id).collect();
        of_topic.sort_by_key(|(partition, _)| partition.index);
        let bytes: u64 = of_topic.iter().map(|(partition, _)| partition.bytes).sum();
        let ends: Vec<String> = of_topic.iter().map(|(_, end)| end.to_string()).collect();
        table.add_row([
            topic.name.clone(),
            kafka_uuid(*id),
            of_topic.len().to_string(),
            HumanBytes(bytes).to_string(),
            shortened(&ends),
        ]);
    }
    println!("{table}");
    for (topic, setting, why) in &found.left_out {
        println!("left out: {setting} of topic {topic}: {why}");
    }
    found.notes.iter().for_each(|note| println!("{note}"));
    let (what, hint) = match dry_run {
        true => ("would be taken over", String::new()),
        false => {
            let node = found.meta.first().map_or(1, |meta| meta.node_id);
            let dirs: Vec<String> =
                data_dirs.iter().map(|dir| format!("--data-dir {}", dir.display())).collect();
            let note = if node == 1 {
                ""
            } else {
                " with node.id in its configuration set as in \
                Kafka's"
            };
            ("taken over", format!("; start it{note}: corelane serve {}", dirs.join(" ")))
        }
    };
    println!(
        "{} topics, {} partitions, {} {what}{hint}",
        found.topics.len(),
        found.partitions.len(),
        HumanBytes(all_bytes(found))
    );
    Ok(())
}

/// A few of many.
fn shortened(ends: &[String]) -> String {
    const SHOWN: usize = 4;
    match ends.len() {
        0..=SHOWN => ends.join(" "),
        more => format!("{} … ({more})", ends[..SHOWN].join(" ")),
    }
}

fn as_json(found: &Found, ends: &[i64], dry_run: bool) -> serde_json::Value {
    let partitions = found.partitions.iter().zip(ends).map(|(partition, end)| {
        let topic = &found.topics[&partition.topic];
        json!({
            "topic": topic.name,
            "partition": partition.index,
            "from": partition.path,
            "bytes": partition.bytes,
            "segments": partition.segments.len(),
            "log_start_offset": partition.log_start,
            "log_end_offset": end,
            "leader_epoch": topic.leader_epochs[&partition.index],
        })
    });
    let topics = found.topics.iter().map(
        |(id, topic)| json!({"name": topic.name, "id": kafka_uuid(*id), "configs": topic.configs}),
    );
    let left_out = found
        .left_out
        .iter()
        .map(|(topic, setting, why)| json!({"topic": topic, "setting": setting, "reason": why}));
    json!({
        "dry_run": dry_run,
        "cluster_id": found.meta.first().map(|meta| &meta.cluster_id),
        "topics": topics.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "notes": found.notes,
    })
}
