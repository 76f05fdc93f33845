//! Transactions that hang (KIP-664): open in a partition, unknown to every coordinator.

use std::time::Duration;

use anyhow::{anyhow, bail, Context};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, TopicName, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;

use super::show::{described, of_producer};
use crate::cli::client::Connect;
use crate::cli::duration::duration;
use crate::cli::moment::shown;
use crate::cli::nodes::{check, Cluster, Node};
use crate::cli::print::{say, table};
use crate::cli::Failure;
use crate::clock::now_ms;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The topic in which it hangs.
    topic: String,
    #[arg(long)]
    partition: i32,
    /// First offset of the transaction to end, where several hang.
    #[arg(long, value_name = "OFFSET")]
    start_offset: Option<i64>,
    /// Leave alone what was written to later than this ago: the longest timeout that the brokers
    /// allow (`transaction.max.timeout.ms`).
    #[arg(long, value_name = "AGO", value_parser = duration, default_value = "15m")]
    older_than: Duration,
    /// Only show what hangs.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let mut leader = cluster.leader(&args.topic, args.partition)?;
    let open = open_transactions(&mut leader, args)?;
    let mut hanging = Vec::new();
    for producer in open {
        if is_hanging(&mut cluster, args, &producer)? {
            hanging.push(producer);
        }
    }
    if let Some(offset) = args.start_offset {
        hanging.retain(|producer| producer.current_txn_start_offset == offset);
    }
    if args.dry_run {
        show(&hanging, args.json);
        return Ok(());
    }
    let place = format!("{}-{}", args.topic, args.partition);
    match &hanging[..] {
        [] => Err(anyhow!("no transaction hangs in {place}").into()),
        [one] => {
            end(&mut leader, args, one).with_context(|| format!("the marker in {place}"))?;
            match args.json {
                true => show(&hanging, true),
                false => say(format_args!(
                    "aborted in {place}: producer {}, from offset {}",
                    one.producer_id.0, one.current_txn_start_offset
                )),
            }
            Ok(())
        }
        several => Err(anyhow!(
            "{} transactions hang in {place}: say which by --start-offset, see --dry-run",
            several.len()
        )
        .into()),
    }
}

fn topic_name(args: &Args) -> TopicName {
    TopicName(StrBytes::from_string(args.topic.clone()))
}

/// Producers that have a transaction open in the partition.
fn open_transactions(leader: &mut Node, args: &Args) -> anyhow::Result<Vec<ProducerState>> {
    let topic = TopicRequest::default()
        .with_name(topic_name(args))
        .with_partition_indexes(vec![args.partition]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let answer: DescribeProducersResponse = leader.ask(ApiKey::DescribeProducers, 0, &request)?;
    let mut partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    let partition = partitions.next().context("the partition is not answered")?;
    check(partition.error_code)?;
    let mut open = partition.active_producers;
    open.retain(|producer| producer.current_txn_start_offset >= 0);
    open.sort_by_key(|producer| producer.current_txn_start_offset);
    Ok(open)
}

/// Whether nobody will end a producer's transaction.
fn is_hanging(
    cluster: &mut Cluster,
    args: &Args,
    producer: &ProducerState,
) -> anyhow::Result<bool> {
    let age_ms = now_ms().saturating_sub(producer.last_timestamp);
    if age_ms < i64::try_from(args.older_than.as_millis())? {
        return Ok(false);
    }
    for listed in of_producer(cluster, producer.producer_id.0)? {
        let Some(state) = described(cluster, &listed.id)? else { continue };
        let is_in = state.topics.iter().any(|topic| {
            *topic.topic.0 == *args.topic && topic.partitions.contains(&args.partition)
        });
        if is_in {
            return Ok(false);
        }
    }
    Ok(true)
}

fn end(leader: &mut Node, args: &Args, producer: &ProducerState) -> anyhow::Result<()> {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(args))
        .with_partition_indexes(vec![args.partition]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(producer.producer_id)
        .with_producer_epoch(i16::try_from(producer.producer_epoch)?)
        .with_transaction_result(false)
        // None has spoken there yet: any may.
        .with_coordinator_epoch(producer.coordinator_epoch.max(0))
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer: WriteTxnMarkersResponse = leader.ask(ApiKey::WriteTxnMarkers, 1, &request)?;
    let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
    match topics.flat_map(|topic| &topic.partitions).next() {
        Some(partition) => check(partition.error_code),
        None => bail!("it is not answered"),
    }
}

fn show(producers: &[ProducerState], as_json: bool) {
    if as_json {
        let rows = producers.iter().map(|producer| {
            json!({
                "producer_id": producer.producer_id.0,
                "producer_epoch": producer.producer_epoch,
                "start_offset": producer.current_txn_start_offset,
                "last_write_ms": producer.last_timestamp,
            })
        });
        say(serde_json::Value::Array(rows.collect()));
        return;
    }
    let rows = producers.iter().map(|producer| {
        vec![
            producer.producer_id.0.to_string(),
            producer.producer_epoch.to_string(),
            producer.current_txn_start_offset.to_string(),
            shown(producer.last_timestamp),
        ]
    });
    table(&["PRODUCER", "EPOCH", "START OFFSET", "LAST WRITE"], rows.collect());
}
