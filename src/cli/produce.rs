use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, Context};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use super::client::{Connect, Quiet, ASK_TIMEOUT};
use super::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane produce events < lines.txt
  corelane produce events --file lines.txt --key-separator : --compression zstd
  corelane produce flights --file flights.csv --key-field 12 --field-separator ,")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    topic: String,
    /// Read lines from a file instead of standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Split each line into key and value at the first of these.
    #[arg(long, value_name = "TEXT", conflicts_with = "key_field")]
    key_separator: Option<String>,
    /// Take this field (from 1) as the key; the value stays the whole line.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    key_field: Option<u16>,
    /// What fields are separated by.
    #[arg(long, value_name = "TEXT", default_value = ",")]
    field_separator: String,
    #[arg(long, default_value = "none", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: String,
    /// 0, 1 or all; with all, a retry is never stored twice.
    #[arg(long, default_value = "all", value_parser = ["0", "1", "all"])]
    acks: String,
    /// Send everything to this partition.
    #[arg(long)]
    partition: Option<i32>,
    /// A header for every record; may be given several times.
    #[arg(long = "header", value_name = "KEY=VALUE")]
    headers: Vec<String>,
}

/// Counts what became of each record.
#[derive(Default)]
struct Deliveries {
    done: AtomicU64,
    failed: AtomicU64,
    first_error: std::sync::Mutex<Option<String>>,
}

/// A flush sleeps for all of its time where another thread takes the answers: it is kept short.
const FLUSH_STEP: Duration = Duration::from_millis(20);

struct Counted(Arc<Deliveries>);

impl ClientContext for Counted {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.done.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                let mut first = self.0.first_error.lock().unwrap_or_else(|e| e.into_inner());
                first.get_or_insert_with(|| error.to_string());
                self.0.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    let deliveries = Arc::new(Deliveries::default());
    let producer = producer(&args, Arc::clone(&deliveries))?;
    let headers = headers(&args.headers)?;
    let mut input: Box<dyn BufRead> = match &args.file {
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            Box::new(BufReader::with_capacity(1 << 20, file))
        }
        None => Box::new(BufReader::with_capacity(1 << 20, io::stdin())),
    };
    let progress = progress();
    let mut line = Vec::new();
    let mut sent = 0u64;
    while read_line(input.as_mut(), &mut line)? {
        let (key, value) = split(&args, &line);
        let mut record = BaseRecord::to(&args.topic).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(partition) = args.partition {
            record = record.partition(partition);
        }
        if let Some(headers) = &headers {
            record = record.headers(headers.clone());
        }
        send(&producer, record)?;
        sent += 1;
        if sent.is_multiple_of(4096) {
            progress.set_position(sent);
        }
    }
    while producer.in_flight_count() > 0 {
        producer.flush(FLUSH_STEP).or_else(ignore_timeout)?;
        progress.set_position(deliveries.done.load(Ordering::Relaxed));
    }
    progress.finish_and_clear();
    report(&args, &deliveries)
}

fn report(args: &Args, deliveries: &Deliveries) -> Result<(), Failure> {
    let done = deliveries.done.load(Ordering::Relaxed);
    let failed = deliveries.failed.load(Ordering::Relaxed);
    let first = deliveries.first_error.lock().unwrap_or_else(|e| e.into_inner()).take();
    match first {
        None => {
            eprintln!("{done} records to {}", args.topic);
            Ok(())
        }
        Some(error) => {
            Err(anyhow!("{failed} of {} records were not stored: {error}", done + failed).into())
        }
    }
}

fn ignore_timeout(error: KafkaError) -> Result<(), KafkaError> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::OperationTimedOut) => Ok(()),
        _ => Err(error),
    }
}

fn producer(args: &Args, deliveries: Arc<Deliveries>) -> anyhow::Result<ThreadedProducer<Counted>> {
    let mut config = args.connect.config();
    config
        .set("compression.codec", &args.compression)
        .set("acks", &args.acks)
        .set("enable.idempotence", if args.acks == "all" { "true" } else { "false" })
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("message.timeout.ms", "120000");
    let producer: ThreadedProducer<Counted> = config.create_with_context(Counted(deliveries))?;
    let client = producer.client();
    client
        .fetch_metadata(Some(&args.topic), ASK_TIMEOUT)
        .map_err(|error| args.connect.explain(error))?;
    Ok(producer)
}

fn headers(pairs: &[String]) -> anyhow::Result<Option<OwnedHeaders>> {
    let mut headers = OwnedHeaders::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .with_context(|| format!("--header {pair}: KEY=VALUE is wanted"))?;
        headers = headers.insert(Header { key, value: Some(value) });
    }
    Ok((!pairs.is_empty()).then_some(headers))
}

/// Waits while librdkafka's queue is full: that is its back-pressure.
fn send(
    producer: &ThreadedProducer<Counted>,
    mut record: BaseRecord<'_, [u8], [u8]>,
) -> anyhow::Result<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, back)) => {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                record = back;
                producer.flush(FLUSH_STEP).or_else(ignore_timeout)?;
            }
        }
    }
}

/// One line without its end; bytes, not text. `false` at the end of the input.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(read > 0)
}

fn split<'a>(args: &Args, line: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    if let Some(separator) = &args.key_separator {
        return match find(line, separator.as_bytes()) {
            Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
            None => (None, line),
        };
    }
    match args.key_field {
        Some(number) => (field(line, args.field_separator.as_bytes(), usize::from(number)), line),
        None => (None, line),
    }
}

fn find(line: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return None;
    }
    line.windows(what.len()).position(|window| window == what)
}

/// Field number `number`, from 1.
fn field<'a>(mut line: &'a [u8], separator: &[u8], number: usize) -> Option<&'a [u8]> {
    for _ in 1..number {
        let at = find(line, separator)?;
        line = &line[at + separator.len()..];
    }
    Some(find(line, separator).map_or(line, |at| &line[..at]))
}

fn progress() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_one() {
        let line = b"a,bb,,d";
        assert_eq!(field(line, b",", 1), Some(&b"a"[..]));
        assert_eq!(field(line, b",", 2), Some(&b"bb"[..]));
        assert_eq!(field(line, b",", 3), Some(&b""[..]));
        assert_eq!(field(line, b",", 4), Some(&b"d"[..]));
        assert_eq!(field(line, b",", 5), None);
        assert_eq!(find(b"a::b", b"::"), Some(1));
    }

    #[test]
    fn lines_are_bytes_and_the_last_needs_no_end() {
        let mut input: &[u8] = b"a\n\xff\xfe\n\nlast";
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read_line(&mut input, &mut line).expect("reads") {
            lines.push(line.clone());
        }
        assert_eq!(lines, [&b"a"[..], b"\xff\xfe", b"", b"last"]);
    }
}
