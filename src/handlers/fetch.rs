//! Fetch (key 1), versions 4–18: long poll, incremental sessions (KIP-227), topic ids (KIP-516),
//! leader epochs (KIP-320), at least one whole batch (KIP-74), read_committed (KIP-98). Knowingly
//! missing: fetches by followers, rack awareness.

use std::time::Instant;

use corelane_shards::runtime::ShardId;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::fetch_session::{Merged, SessionPartition};
use super::list_offsets::{ISOLATION_LEVELS, READ_COMMITTED};
use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{FetchEntry, FetchGroup, FetchOutcome, Operation, Outcome};
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchResponse, PartitionData, TopicData};
use crate::wire::{ErrorCode, TopicRef};

/// One fetch gets no more than this part of the memory left for answers...
const ROOM_PART: usize = 4;
/// ...but as many bytes as this, where it asks for them.
const LEAST_MAX_BYTES: usize = 64 << 10;
/// Versions from here on do not tell of each partition what is wrong with the whole request.
const ERROR_OF_WHOLE_FROM: i16 = 13;

pub async fn handle(cx: &RequestContext, version: i16, request: FetchRequest) -> FetchResponse {
    if !ISOLATION_LEVELS.contains(&request.isolation_level) {
        return refused_whole(version, request);
    }
    let merged = match cx.shard.sessions.merge(&request, Instant::now()) {
        Ok(merged) => merged,
        Err(code) => {
            return FetchResponse { error_code: code.code(), ..FetchResponse::default() };
        }
    };
    let answers = read(cx, &request, &merged.partitions).await;
    respond(cx, merged, answers)
}

/// What Kafka gives where it cannot read a request, as one with an isolation level that does not exist:
/// to read what is not committed instead would be wrong.
fn refused_whole(version: i16, request: FetchRequest) -> FetchResponse {
    let code = ErrorCode::UnknownServerError.code();
    let refused = |partition: i32| PartitionData {
        aborted: Some(Vec::new()),
        ..PartitionData::error(partition, code)
    };
    let topics = request.topics.into_iter().filter(|_| version < ERROR_OF_WHOLE_FROM);
    let topics = topics.map(|topic| TopicData {
        topic: topic.topic,
        partitions: topic.partitions.iter().map(|ask| refused(ask.partition)).collect(),
    });
    FetchResponse {
        throttle_time_ms: 0,
        error_code: code,
        session_id: request.session_id,
        topics: topics.collect(),
    }
}

/// Whether a partition that is here is read for who asks.
fn readable(request: &FetchRequest, ask: &FetchPartition) -> Result<(), ErrorCode> {
    match ask.max_bytes.min(request.max_bytes) {
        // Nobody follows.
        _ if request.replica_id >= 0 => Err(ErrorCode::NotLeaderOrFollower),
        ..0 => Err(ErrorCode::UnknownServerError),
        _ => Ok(()),
    }
}

/// One answer per partition, in the order of `partitions`.
async fn read(
    cx: &RequestContext,
    request: &FetchRequest,
    partitions: &[SessionPartition],
) -> Vec<PartitionData> {
    let image = cx.shard.image();
    let mut answers = Vec::with_capacity(partitions.len());
    let mut groups = Groups::new();
    for (place, partition) in partitions.iter().enumerate() {
        let ask = &partition.ask;
        let located = locate(&image, &partition.topic, ask.partition);
        let is_here = located.is_ok();
        let located = located.and_then(|found| {
            readable(request, ask)?;
            Ok(found)
        });
        let code = located.as_ref().err().map_or(0, |code| code.code());
        let mut answer = PartitionData::error(ask.partition, code);
        // Kafka tells none here and, from where the log is, null.
        answer.aborted = (!is_here).then(Vec::new);
        answers.push(answer);
        if let Ok((owner, key)) = located {
            let entry = FetchEntry {
                key,
                offset: ask.fetch_offset,
                max_bytes: ask.max_bytes as usize,
                // Here, unlike in other requests, any negative one is none.
                leader_epoch: ask.current_leader_epoch.max(-1),
                last_fetched_epoch: ask.last_fetched_epoch,
            };
            groups.add(owner, place, entry);
        }
    }
    // Clients that are slow to read hold memory: others wait for some, and get less at a time.
    let room = cx.shard.answer_memory.room().await;
    // An error is answered at once: the client has something to do.
    let failed = answers.iter().any(|answer| answer.error_code != 0);
    let limits = Limits {
        read_committed: request.isolation_level == READ_COMMITTED,
        min_bytes: if failed { 0 } else { request.min_bytes.max(0) as usize },
        max_bytes: (request.max_bytes.max(0) as usize)
            .min(cx.shard.config().fetch_max_bytes)
            .min((room / ROOM_PART).max(LEAST_MAX_BYTES)),
        max_wait_ms: if failed { 0 } else { request.max_wait_ms.max(0) as u64 },
    };
    for (places, outcomes) in ask_all(cx, groups, &limits).await {
        for (place, outcome) in places.into_iter().zip(outcomes) {
            fill(&mut answers[place], outcome, limits.read_committed);
        }
    }
    limit_whole(&mut answers, limits.max_bytes);
    answers
}

struct Limits {
    read_committed: bool,
    min_bytes: usize,
    max_bytes: usize,
    max_wait_ms: u64,
}

/// Asks every shard concerned; as soon as one has enough, the others answer with what they have.
async fn ask_all(
    cx: &RequestContext,
    groups: Groups<FetchEntry>,
    limits: &Limits,
) -> Vec<(Vec<usize>, Vec<FetchOutcome>)> {
    let mut asked: Vec<(ShardId, u64)> = Vec::with_capacity(groups.len());
    let mut open = FuturesUnordered::new();
    for (owner, places, entries) in groups.into_parts() {
        let token = cx.shard.next_token();
        let group = FetchGroup {
            token,
            read_committed: limits.read_committed,
            min_bytes: limits.min_bytes,
            max_bytes: limits.max_bytes,
            max_wait_ms: limits.max_wait_ms,
            entries,
        };
        if let Ok(routed) = cx.shard.route(owner, Operation::Fetch(group)).await {
            asked.push((owner, token));
            open.push(async move { (token, places, routed.outcome().await) });
        }
    }
    let mut answers = Vec::with_capacity(asked.len());
    while let Some((token, places, outcome)) = open.next().await {
        asked.retain(|(_, other)| *other != token);
        if let Some(Outcome::Fetch(outcomes)) = outcome {
            answers.push((places, outcomes));
        }
        for (owner, token) in asked.drain(..) {
            cx.shard.answer_fetch_now(owner, token).await;
        }
    }
    answers
}

fn fill(answer: &mut PartitionData, outcome: FetchOutcome, read_committed: bool) {
    answer.error_code = outcome.error_code;
    answer.high_watermark = outcome.high_watermark;
    answer.last_stable_offset = outcome.last_stable_offset;
    answer.log_start_offset = outcome.log_start_offset;
    let told = read_committed && outcome.error_code == 0;
    answer.aborted = told.then_some(outcome.aborted);
    answer.diverging = outcome.diverging;
    answer.records = outcome.records;
}

/// Shards do not know of each other's bytes: what is over the limit of the whole is left for the
/// next fetch, but the first records are always sent.
fn limit_whole(answers: &mut [PartitionData], max_bytes: usize) {
    let mut total = 0;
    for answer in answers {
        let bytes = answer.record_bytes();
        if total > 0 && total + bytes > max_bytes {
            answer.records = Vec::new();
        } else {
            total += bytes;
        }
    }
}

fn respond(cx: &RequestContext, merged: Merged, answers: Vec<PartitionData>) -> FetchResponse {
    let mut topics: Vec<TopicData> = Vec::new();
    for (partition, answer) in merged.partitions.into_iter().zip(answers) {
        let news = merged.session_id == 0
            || cx.shard.sessions.has_news(merged.session_id, &partition.topic, &answer);
        if merged.incremental && !news {
            continue;
        }
        if answer.error_code == ErrorCode::NotLeaderOrFollower.code() {
            tracing::debug!(partition = answer.partition, "fetch of a partition not served here");
        }
        push(&mut topics, partition.topic, answer);
    }
    FetchResponse { throttle_time_ms: 0, error_code: 0, session_id: merged.session_id, topics }
}

fn push(topics: &mut Vec<TopicData>, topic: TopicRef, answer: PartitionData) {
    // Only with its neighbour: a session that was changed may name a topic twice, as in Kafka.
    match topics.last_mut().filter(|last| last.topic == topic) {
        Some(last) => last.partitions.push(answer),
        None => topics.push(TopicData { topic, partitions: vec![answer] }),
    }
}
