//! What coordinators know of transactional ids.

use std::time::Duration;

use anyhow::{anyhow, bail, Context};
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::ResponseError;
use serde_json::json;

use crate::cli::client::Connect;
use crate::cli::nodes::{check, Cluster};
use crate::cli::print::{note, say, table};
use crate::cli::Failure;
use crate::clock::now_ms;

/// FindCoordinator's type of a key that is a transactional id.
const TRANSACTION: i8 = 1;

/// An id in a list.
pub struct Listed {
    pub id: String,
    pub state: String,
    pub producer_id: i64,
}

pub fn list(
    connect: &Connect,
    states: &[String],
    longer_than: Option<Duration>,
    as_json: bool,
) -> Result<(), Failure> {
    let states = states.iter().map(|state| StrBytes::from_string(state.clone())).collect();
    let request = ListTransactionsRequest::default().with_state_filters(states);
    // The filter by duration came with version 1.
    let (version, request) = match longer_than {
        None => (0, request),
        Some(duration) => (1, request.with_duration_filter(i64::try_from(duration.as_millis())?)),
    };
    let listed = listed(&Cluster::connect(connect)?, version, &request)?;
    if as_json {
        let rows = listed.iter().map(|listed| {
            json!({"id": listed.id, "state": listed.state, "producer_id": listed.producer_id})
        });
        say(serde_json::Value::Array(rows.collect()));
        return Ok(());
    }
    if listed.is_empty() {
        note("no transactional ids");
        return Ok(());
    }
    let rows = listed
        .into_iter()
        .map(|Listed { id, state, producer_id }| vec![id, state, producer_id.to_string()]);
    table(&["ID", "STATE", "PRODUCER"], rows.collect());
    Ok(())
}

/// What all nodes know, by id.
pub fn listed(
    cluster: &Cluster,
    version: i16,
    request: &ListTransactionsRequest,
) -> anyhow::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for id in cluster.ids() {
        let answer: ListTransactionsResponse =
            cluster.node(id)?.ask(ApiKey::ListTransactions, version, request)?;
        check(answer.error_code).with_context(|| format!("node {id}"))?;
        if let Some(unknown) = answer.unknown_state_filters.first() {
            bail!("'{unknown}' is no state of a transaction");
        }
        listed.extend(answer.transaction_states.into_iter().map(|state| Listed {
            id: state.transactional_id.to_string(),
            state: state.transaction_state.to_string(),
            producer_id: state.producer_id.0,
        }));
    }
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(listed)
}

/// The ids that stand for a producer id.
pub fn of_producer(cluster: &Cluster, producer_id: i64) -> anyhow::Result<Vec<Listed>> {
    let producers = vec![ProducerId(producer_id)];
    let request = ListTransactionsRequest::default().with_producer_id_filters(producers);
    listed(cluster, 0, &request)
}

/// What its coordinator knows of an id; `None`: nothing.
pub fn described(cluster: &mut Cluster, id: &str) -> anyhow::Result<Option<TransactionState>> {
    let id = StrBytes::from_string(id.to_string());
    let request = FindCoordinatorRequest::default()
        .with_key_type(TRANSACTION)
        .with_coordinator_keys(vec![id.clone()]);
    let found: FindCoordinatorResponse =
        cluster.first().ask(ApiKey::FindCoordinator, 4, &request)?;
    let coordinator = found.coordinators.first().context("no coordinator is answered")?;
    check(coordinator.error_code).context("the coordinator")?;
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(id)]);
    let mut node = cluster.node(coordinator.node_id.0)?;
    let answer: DescribeTransactionsResponse =
        node.ask(ApiKey::DescribeTransactions, 0, &request)?;
    let state = answer.transaction_states.into_iter().next().context("nothing is answered")?;
    if state.error_code == ResponseError::TransactionalIdNotFound.code() {
        return Ok(None);
    }
    check(state.error_code)?;
    Ok(Some(state))
}

pub fn describe(connect: &Connect, id: &str, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let state = described(&mut cluster, id)?.ok_or_else(|| {
        anyhow!("the transactional id '{id}' is not known; see `corelane txn list`")
    })?;
    let started = state.transaction_start_time_ms;
    let age_ms = (started >= 0).then(|| now_ms().saturating_sub(started));
    let partitions = state.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition))
    });
    if as_json {
        let partitions = partitions
            .map(|(topic, partition)| json!({"topic": topic, "partition": partition}))
            .collect::<Vec<_>>();
        let shown = json!({
            "id": id,
            "state": &*state.transaction_state,
            "producer_id": state.producer_id.0,
            "producer_epoch": state.producer_epoch,
            "timeout_ms": state.transaction_timeout_ms,
            "started_ms": started,
            "partitions": partitions,
        });
        say(shown);
        return Ok(());
    }
    let begun = age_ms.map_or(String::new(), |age| format!(", begun {} s ago", age / 1_000));
    say(format_args!(
        "{id} is {}: producer {} epoch {}, timeout {} ms{begun}",
        &*state.transaction_state,
        state.producer_id.0,
        state.producer_epoch,
        state.transaction_timeout_ms
    ));
    let rows: Vec<Vec<String>> =
        partitions.map(|(topic, partition)| vec![topic, partition.to_string()]).collect();
    if !rows.is_empty() {
        table(&["TOPIC", "PARTITION"], rows);
    }
    Ok(())
}
