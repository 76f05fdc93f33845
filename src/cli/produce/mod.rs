//! `corelane produce`: lines, JSON objects or whole files become records. Stands on librdkafka.

mod input;
mod sender;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{anyhow, Context};
use indicatif::{ProgressBar, ProgressStyle};

use self::input::{Input, Parser};
use self::sender::Sender;
use super::client::Connect;
use super::{wrong_usage, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane produce events < lines.txt
  corelane produce events lines.txt more.txt --key-separator : --compression zstd
  corelane produce flights flights.csv --key-field 12 --field-separator ,
  echo hello | corelane produce events --key k --header source=shell --partition 3
  corelane produce images --whole a.png b.png
  corelane consume events -e --json | corelane produce copy --json --keep-partition
  echo k1: | corelane produce users -K : --empty-is-null         a tombstone

A line of --json is an object; all of its fields may be left out:
  {\"key\": \"k\", \"value\": \"v\", \"headers\": {\"h\": \"1\"}, \"partition\": 0, \"timestamp\": 1732185000000}
Keys and values that are no text are {\"base64\": \"…\"}; other JSON values are sent as JSON.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Where to.
    #[arg(add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topic: String,
    /// Read from these instead of standard input; - is that.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same as FILE.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    file: Option<PathBuf>,
    /// Each line is a JSON object, as `corelane consume --json` prints it.
    #[arg(long, short = 'J', conflicts_with_all = ["keys", "whole", "delimiter"])]
    json: bool,
    /// With --json: to the partitions that the objects name.
    #[arg(long, requires = "json", conflicts_with = "partition")]
    keep_partition: bool,
    /// With --json: with the timestamps that the objects have.
    #[arg(long, requires = "json")]
    keep_timestamp: bool,
    /// Each file becomes one record.
    #[arg(long, conflicts_with = "delimiter")]
    whole: bool,
    /// What records end with, instead of a line's end; \n \t \r \0 \xNN.
    #[arg(long, short = 'D', value_name = "TEXT")]
    delimiter: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// What fields are separated by.
    #[arg(long, value_name = "TEXT", default_value = ",")]
    field_separator: String,
    /// Empty keys and values are null.
    #[arg(long, short = 'Z')]
    empty_is_null: bool,
    /// A header for every record; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "KEY=VALUE")]
    headers: Vec<String>,
    /// Send everything to this partition.
    #[arg(long, short = 'p', value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Stop after so many records.
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    sending: sender::Sending,
}

#[derive(clap::Args)]
#[group(id = "keys", multiple = false)]
struct Keys {
    /// Split each line into key and value at the first of these.
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_separator: Option<String>,
    /// Take this field (from 1) as the key; the value stays the whole line.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    key_field: Option<u16>,
    /// The same key for every record.
    #[arg(long, short = 'k', value_name = "TEXT")]
    key: Option<String>,
}

/// Records between two looks at the progress.
const PROGRESS_STEP: u64 = 4096;

pub fn run(args: Args) -> Result<(), Failure> {
    let parser = Parser::new(&args).map_err(wrong_usage)?;
    let started = Instant::now();
    let files: Vec<&Path> = match (&args.file, args.files.is_empty()) {
        (Some(file), _) => vec![file],
        (None, true) => vec![Path::new("-")],
        (None, false) => args.files.iter().map(PathBuf::as_path).collect(),
    };
    // All of them are there before anything is sent.
    let mut inputs = Vec::with_capacity(files.len());
    for file in files {
        inputs.push((file, open(file)?));
    }
    let sender = Sender::connect(&args.connect, &args.topic, &args.sending)?;
    let progress = progress();
    let all_sent = send_all(&args, &parser, &sender, inputs, &progress);
    // What was taken before a record that is wrong is stored, and it is said how much that is.
    sender.wait(|done| progress.set_position(done))?;
    progress.finish_and_clear();
    sender.report(&args.topic, started.elapsed())?;
    Ok(all_sent?)
}

fn send_all(
    args: &Args,
    parser: &Parser,
    sender: &Sender,
    inputs: Vec<(&Path, Box<dyn BufRead>)>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut sent = 0u64;
    for (file, reader) in inputs {
        let mut input = Input::new(reader, parser);
        let mut number = 0u64;
        while left > 0 {
            number += 1;
            let at = || format!("{}, record {number}", name_of(file));
            let Some(record) = input.next().with_context(at)? else { break };
            sender.send(&args.topic, record).with_context(at)?;
            (left, sent) = (left - 1, sent + 1);
            if sent.is_multiple_of(PROGRESS_STEP) {
                progress.set_position(sent);
            }
        }
    }
    Ok(())
}

fn name_of(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_string(),
        false => file.display().to_string(),
    }
}

fn open(file: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    const BUFFER_BYTES: usize = 1 << 20;
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            super::print::note("type records, one a line; ctrl-d ends");
        }
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())));
    }
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    if opened.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(anyhow!("{}: a directory", file.display()));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, opened)))
}

fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
