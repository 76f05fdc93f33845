//! `corelane consume`: prints records. Alone it reads with the command line's own small client, so that
//! no group is made or looked for; as a member of a group it stands on librdkafka.

mod alone;
mod filter;
pub mod format;
mod in_group;
mod plan;
mod printer;
mod reader;
mod shown;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use anyhow::anyhow;

use self::format::Format;
use super::client::Connect;
use super::moment::moment;
use super::{wrong_usage, Failure};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane consume events                                   new records, as they come
  corelane consume events -e                                all there is, then stop
  corelane consume events --tail 10 -e                      the last ten of each partition
  corelane consume events --from 2h --until 10m --json      what came from two hours to ten minutes ago
  corelane consume events --from '2026-11-21 10:30' --grep 'error|failed'
  corelane consume '^orders-' --key 4711 -e                 all topics that match
  corelane consume events --partition 3 --offset 1200 -n 10 --hex
  corelane consume events --group readers --from-beginning  share the topic with the others of the group
  corelane consume events -e --format '%D %p/%o %k=%s %h\\n'

Without --from-beginning, --offset, --tail, --from or -e it begins with what comes from now on.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// One that begins with ^ is a regular expression of names.
    #[arg(required = true, value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// Join this group: read a share of the topics from where the group is, and commit what was read.
    #[arg(long, short = 'g', value_name = "GROUP", conflicts_with_all = ["start", "until", "partitions"])]
    group: Option<String>,
    /// Start at the oldest record; in a group, where it has committed nothing.
    #[arg(long, conflicts_with = "start")]
    from_beginning: bool,
    #[command(flatten)]
    start: Start,
    /// Stop before the first record at or after this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// Only this partition; may be given several times.
    #[arg(long = "partition", short = 'p', value_name = "N")]
    partitions: Vec<i32>,
    /// Stop after so many records.
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// Print what is there now and stop, instead of waiting for more.
    #[arg(long, short = 'e')]
    exit_at_end: bool,
    /// Which records there are: those of committed transactions, or all.
    #[arg(long, default_value = "committed", value_parser = ["committed", "uncommitted"])]
    isolation: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    filter: filter::Asked,
}

#[derive(clap::Args)]
#[group(id = "start", multiple = false)]
struct Start {
    /// Start here: a number, -N for the last N of each partition, earliest or latest.
    #[arg(long, short = 'o', value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Start with the last N records of each partition.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// Start with the first record at or after this time: 2026-11-21, '2026-11-21 10:30', RFC 3339,
    /// milliseconds since 1970, or 15m, 2h, 7d for one that has passed.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<i64>,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct Output {
    /// %t topic, %p partition, %o offset, %k key, %s value, %h headers, %T timestamp, %D date and time,
    /// %K and %S lengths of key and value, %R length of the value as four bytes; \n \t \r \0 \xNN.
    #[arg(long, short = 'f', default_value = "%s\\n", hide_default_value = true)]
    format: String,
    /// One JSON object a line. `corelane produce --json` takes it back.
    #[arg(long, short = 'J')]
    json: bool,
    /// Keys and values in hexadecimal.
    #[arg(long)]
    hex: bool,
    /// Values only, without anything between them.
    #[arg(long)]
    raw: bool,
}

/// Where to start in every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Earliest,
    Latest,
    Offset(i64),
    Tail(i64),
    Time(i64),
}

pub fn run(args: Args) -> Result<(), Failure> {
    let wrong = |message: String| wrong_usage(anyhow!(message));
    let format = match &args.output {
        Output { json: true, .. } => Format::Json,
        Output { hex: true, .. } => Format::Hex,
        Output { raw: true, .. } => Format::Pieces(vec![format::Piece::Value]),
        Output { format, .. } => {
            Format::Pieces(format::parse(format).map_err(|why| wrong(format!("--format: {why}")))?)
        }
    };
    let from = from(&args).map_err(wrong)?;
    let filter = filter::Filter::new(&args.filter, args.start.from, args.until);
    let filter = filter.map_err(wrong_usage)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(Arc::clone(&stop))?;
    let mut printer = printer::Printer::new(format, filter, args.count, stop);
    let printed = match &args.group {
        Some(group) => in_group::run(&args, group, &mut printer),
        None => alone::run(&args, from, &mut printer),
    };
    match printed.and_then(|()| Ok(printer.flush()?)) {
        // Whoever read our output has had enough.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        other => Ok(other?),
    }
}

fn from(args: &Args) -> Result<From, String> {
    Ok(match &args.start {
        Start { offset: Some(text), .. } => parse_offset(text)?,
        Start { tail: Some(count), .. } => From::Tail(*count),
        Start { from: Some(time), .. } => From::Time(*time),
        _ if args.from_beginning || args.exit_at_end || args.until.is_some() => From::Earliest,
        _ => From::Latest,
    })
}

fn parse_offset(text: &str) -> Result<From, String> {
    match text {
        "earliest" | "beginning" => Ok(From::Earliest),
        "latest" | "end" => Ok(From::Latest),
        number => match number.parse::<i64>() {
            Ok(n) if n < 0 => Ok(From::Tail(n.saturating_neg())),
            Ok(n) => Ok(From::Offset(n)),
            Err(_) => Err(format!("--offset {text}: a number, -N, earliest or latest is allowed")),
        },
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Ctrl-C ends the reading, so that what was read is also printed.
fn stop_on_interrupt(stop: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_numbers_or_names() {
        assert_eq!(parse_offset("earliest"), Ok(From::Earliest));
        assert_eq!(parse_offset("-5"), Ok(From::Tail(5)));
        assert_eq!(parse_offset("7"), Ok(From::Offset(7)));
        assert!(parse_offset("x").is_err());
    }
}
