//! ShareFetch (key 78), version 1 (KIP-932): a member of a share group gets records that nobody else has,
//! and may say what became of those that it had. Share sessions, long poll. Records are copied once, into
//! the answer. Knowingly missing: versions 2 and later (renewed locks), leaders of other nodes.

use bytes::Bytes;
use kafka_protocol::messages::share_fetch_response::{
    AcquiredRecords, PartitionData, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::{ShareFetchRequest, ShareFetchResponse};

use super::share::{ask_all, note, release, Asked, Limits, Who};
use super::share_session::{Place, FINAL, INITIAL};
use super::{find_coordinator, RequestContext};
use crate::partition::share::ShareOutcome;
use crate::wire::ErrorCode;

/// One fetch gets no more than this part of the memory left for answers...
const ROOM_PART: usize = 4;
/// ...but as many bytes as this, where it asks for them.
const LEAST_MAX_BYTES: usize = 64 << 10;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: ShareFetchRequest,
) -> ShareFetchResponse {
    match serve(cx, request).await {
        Ok(response) => response,
        Err(code) => ShareFetchResponse::default().with_error_code(code.code()),
    }
}

async fn serve(
    cx: &RequestContext,
    request: ShareFetchRequest,
) -> Result<ShareFetchResponse, ErrorCode> {
    let group = request.group_id.as_ref().map(|group| group.0.as_str());
    let who = Who::new(cx, group, request.member_id.as_ref())?;
    let (name, epoch) = (who.name(), request.share_session_epoch);
    let lock_ms = cx.shard.share_limits(group.unwrap_or_default()).lock_ms;
    let limits = limits(cx, &request).await;
    let mut asked = Asked::new();
    let mut is_said = false;
    for topic in request.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter();
            is_said |= batches.len() > 0;
            let batches = batches.map(|b| (b.first_offset, b.last_offset, b.acknowledge_types));
            note(&mut asked, (topic.topic_id, partition.partition_index), batches);
        }
    }
    let sessions = &cx.shard.share_sessions;
    match epoch {
        INITIAL if is_said => return Err(ErrorCode::InvalidRequest),
        INITIAL => {
            find_coordinator::make_share_topic(cx).await?;
            sessions.begin(name.clone(), cx.connection)?;
        }
        epoch => sessions.next(&name, epoch)?,
    }
    let forgotten = request.forgotten_topics_data.iter();
    let forgotten = forgotten.flat_map(|t| t.partitions.iter().map(|index| (t.topic_id, *index)));
    let said: Vec<Place> = asked.keys().copied().collect();
    let mut places: Vec<(Place, bool)> = match epoch {
        FINAL => Vec::new(),
        _ => {
            let wanted = sessions.update(&name, said.iter().copied(), forgotten);
            wanted.into_iter().map(|place| (place, limits.max_records > 0)).collect()
        }
    };
    // Those that are only spoken of.
    let others = said.iter().filter(|said| !places.iter().any(|(place, _)| place == *said));
    let others: Vec<(Place, bool)> = others.map(|place| (*place, false)).collect();
    places.extend(others);
    let is_spoken_of: Vec<bool> = places
        .iter()
        .map(|(place, _)| asked.get(place).is_some_and(|said| said != &Ok(Vec::new())))
        .collect();
    let outcomes = ask_all(cx, &who, &places, asked, limits).await;
    if epoch == FINAL {
        if let Some(closed) = sessions.end(&name) {
            release(cx, closed, true).await;
        }
    }
    let mut topics: Vec<ShareFetchableTopicResponse> = Vec::new();
    for ((((topic, index), _), outcome), spoken_of) in
        places.into_iter().zip(outcomes).zip(is_spoken_of)
    {
        if !spoken_of && outcome.error.is_none() && outcome.acquired.is_empty() {
            continue;
        }
        let partition = answer(index, outcome);
        match topics.iter_mut().find(|known| known.topic_id == topic) {
            Some(known) => known.partitions.push(partition),
            None => topics.push(
                ShareFetchableTopicResponse::default()
                    .with_topic_id(topic)
                    .with_partitions(vec![partition]),
            ),
        }
    }
    Ok(ShareFetchResponse::default()
        .with_acquisition_lock_timeout_ms(lock_ms)
        .with_responses(topics))
}

async fn limits(cx: &RequestContext, request: &ShareFetchRequest) -> Limits {
    // Clients that are slow to read hold memory: others wait for some, and get less at a time.
    let room = cx.shard.answer_memory.room().await;
    let max_bytes = (request.max_bytes.max(0) as usize)
        .min(cx.shard.config().fetch_max_bytes)
        .min((room / ROOM_PART).max(LEAST_MAX_BYTES));
    Limits {
        max_wait_ms: match request.share_session_epoch {
            FINAL => 0,
            _ => request.max_wait_ms.max(0) as u64,
        },
        max_bytes,
        max_records: request.max_records.max(0) as usize,
        batch_size: request.batch_size.max(1) as usize,
    }
}

fn answer(index: i32, mut outcome: ShareOutcome) -> PartitionData {
    let code = |error: Option<ErrorCode>| error.map_or(0, |code| code.code());
    let records = match outcome.records.len() {
        1 => outcome.records.remove(0),
        // None at all is empty, too: Java's client does not take null.
        _ => Bytes::from(outcome.records.concat()),
    };
    let acquired = outcome.acquired.iter().map(|part| {
        AcquiredRecords::default()
            .with_first_offset(part.first)
            .with_last_offset(part.last)
            .with_delivery_count(part.deliveries)
    });
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(code(outcome.error))
        .with_acknowledge_error_code(code(outcome.verdict_error))
        .with_acquired_records(acquired.collect())
        .with_records(Some(records))
}
