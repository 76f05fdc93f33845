use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client::{Connect, ASK_TIMEOUT};
use super::format::{self, Piece};
use super::{Failure, WRONG_USAGE};

/// What is printed may wait for so long.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane consume events                                   new records, as they come
  corelane consume events --from-beginning --exit-at-end    all there is, then stop
  corelane consume events --partition 3 --offset -10 --count 10 --json
  corelane consume events --group readers --from-beginning  share the topic with the others of the group
  corelane consume events --format '%T %k=%s\\n'")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    topic: String,
    /// Join this group: read a share of the topic from where the group is, and commit what was printed.
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["offset", "partitions"])]
    group: Option<String>,
    /// Start at the oldest record; in a group, where it has committed nothing.
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Start here: a number, -N for the last N, earliest or latest.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Only this partition; may be given several times.
    #[arg(long = "partition", value_name = "N")]
    partitions: Vec<i32>,
    /// Stop after so many records.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop at the end, instead of waiting for more.
    #[arg(long)]
    exit_at_end: bool,
    /// %t topic, %p partition, %o offset, %k key, %s value, %h headers, %T timestamp; \n \t.
    #[arg(long, default_value = "%s\\n")]
    format: String,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let wrong = |message: String| Failure { code: WRONG_USAGE, error: anyhow!(message) };
    let pieces = format::parse(&args.format).map_err(|why| wrong(format!("--format: {why}")))?;
    let start = match (&args.offset, args.from_beginning) {
        (Some(text), _) => parse_offset(text).map_err(wrong)?,
        (None, true) => Offset::Beginning,
        (None, false) => Offset::End,
    };
    let printed = match &args.group {
        Some(group) => in_group(&args, group, &pieces),
        None => alone(&args, start, &pieces),
    };
    match printed {
        // Whoever read our output has had enough.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        other => Ok(other?),
    }
}

fn alone(args: &Args, start: Offset, pieces: &[Piece]) -> anyhow::Result<()> {
    let consumer = args.connect.consumer()?;
    let there = args.connect.partitions(&consumer, &args.topic)?;
    let chosen = if args.partitions.is_empty() { there.clone() } else { args.partitions.clone() };
    if let Some(missing) = chosen.iter().find(|p| !there.contains(p)) {
        return Err(anyhow!("'{}' has no partition {missing}", args.topic));
    }
    let mut assignment = TopicPartitionList::new();
    for partition in &chosen {
        assignment.add_partition_offset(&args.topic, *partition, start)?;
    }
    consumer.assign(&assignment)?;
    print(&consumer, args, pieces, |at_end| Ok(at_end.len() == chosen.len()))
}

/// As a member of a group, which goes on where it was. What was printed is committed.
fn in_group(args: &Args, group: &str, pieces: &[Piece]) -> anyhow::Result<()> {
    let reset = if args.from_beginning { "earliest" } else { "latest" };
    let consumer = args.connect.member_of(group, reset)?;
    args.connect.partitions(&consumer, &args.topic)?;
    consumer.subscribe(&[&args.topic])?;
    print(&consumer, args, pieces, |at_end| {
        if !consumer.context().is_in.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let share = consumer.assignment()?;
        Ok(share.elements().iter().all(|element| at_end.contains(&element.partition())))
    })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn parse_offset(text: &str) -> Result<Offset, String> {
    match text {
        "earliest" => Ok(Offset::Beginning),
        "latest" => Ok(Offset::End),
        number => match number.parse::<i64>() {
            Ok(n) if n < 0 => Ok(Offset::OffsetTail(-n)),
            Ok(n) => Ok(Offset::Offset(n)),
            Err(_) => Err(format!("--offset {text}: a number, -N, earliest or latest is allowed")),
        },
    }
}

/// Prints records as they come. `is_all` says whether these are all partitions: where they have come
/// to their ends it may be over.
fn print<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    args: &Args,
    pieces: &[Piece],
    is_all: impl Fn(&BTreeSet<i32>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(Arc::clone(&stop))?;
    let mut at_end: BTreeSet<i32> = BTreeSet::new();
    // Next after what was printed, and not yet stored to be committed.
    let mut read: BTreeMap<i32, i64> = BTreeMap::new();
    let mut flushed = Instant::now();
    let mut printed = 0;
    while !stop.load(Ordering::Relaxed) && args.count.is_none_or(|count| printed < count) {
        match consumer.poll(Duration::from_millis(100)) {
            None => out.flush()?,
            Some(Ok(message)) => {
                at_end.remove(&message.partition());
                match args.json {
                    true => format::write_json(&mut out, &message)?,
                    false => format::write(&mut out, pieces, &message)?,
                }
                read.insert(message.partition(), message.offset());
                printed += 1;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                out.flush()?;
                at_end.insert(partition);
            }
            Some(Err(error)) => explain_or_wait(consumer, args, error)?,
        }
        if flushed.elapsed() > FLUSH_INTERVAL {
            out.flush()?;
            store(consumer, args, &mut read);
            flushed = Instant::now();
        }
        if args.exit_at_end && is_all(&at_end)? {
            break;
        }
    }
    out.flush()?;
    store(consumer, args, &mut read);
    Ok(())
}

/// Has a member of a group commit what was printed.
fn store<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    args: &Args,
    read: &mut BTreeMap<i32, i64>,
) {
    for (partition, offset) in std::mem::take(read) {
        if args.group.is_some() {
            // A partition may be another's by now, who reads this again.
            if let Err(error) = consumer.store_offset(&args.topic, partition, offset) {
                tracing::debug!("partition {partition}: {error}");
            }
        }
    }
}

/// A broker that is away may come back; a topic that is gone does not.
fn explain_or_wait<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    args: &Args,
    error: KafkaError,
) -> anyhow::Result<()> {
    use rdkafka::types::RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve) => {
            tracing::debug!("{error}");
            Ok(())
        }
        // Without a group nobody needs it, and with one it comes back.
        Some(Code::CoordinatorNotAvailable | Code::NotCoordinator) => Ok(()),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            consumer.fetch_metadata(Some(&args.topic), ASK_TIMEOUT)?;
            Err(anyhow!("the topic '{}' is not there any more", args.topic))
        }
        _ => Err(error.into()),
    }
}

/// Ctrl-C ends the loop, so that what was read is also printed.
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
        assert_eq!(parse_offset("earliest"), Ok(Offset::Beginning));
        assert_eq!(parse_offset("-5"), Ok(Offset::OffsetTail(5)));
        assert_eq!(parse_offset("7"), Ok(Offset::Offset(7)));
        assert!(parse_offset("x").is_err());
    }
}
