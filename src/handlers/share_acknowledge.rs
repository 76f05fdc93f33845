//! ShareAcknowledge (key 79), version 1 (KIP-932): a member of a share group says what became of records
//! that it had. It is answered when that is durable.

use kafka_protocol::messages::share_acknowledge_response::{
    PartitionData, ShareAcknowledgeTopicResponse,
};
use kafka_protocol::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};

use super::share::{ask_all, note, release, Asked, Limits, Who};
use super::share_session::{Place, FINAL, INITIAL};
use super::RequestContext;
use crate::wire::ErrorCode;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: ShareAcknowledgeRequest,
) -> ShareAcknowledgeResponse {
    match serve(cx, request).await {
        Ok(topics) => ShareAcknowledgeResponse::default().with_responses(topics),
        Err(code) => ShareAcknowledgeResponse::default().with_error_code(code.code()),
    }
}

async fn serve(
    cx: &RequestContext,
    request: ShareAcknowledgeRequest,
) -> Result<Vec<ShareAcknowledgeTopicResponse>, ErrorCode> {
    let group = request.group_id.as_ref().map(|group| group.0.as_str());
    let who = Who::new(cx, group, request.member_id.as_ref())?;
    let (name, epoch) = (who.name(), request.share_session_epoch);
    let mut asked = Asked::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter();
            let batches = batches.map(|b| (b.first_offset, b.last_offset, b.acknowledge_types));
            note(&mut asked, (topic.topic_id, partition.partition_index), batches);
        }
    }
    match epoch {
        INITIAL => return Err(ErrorCode::InvalidShareSessionEpoch),
        epoch => cx.shard.share_sessions.next(&name, epoch)?,
    }
    // Of what nothing is said nothing is answered.
    let said = asked.iter().filter(|(_, said)| **said != Ok(Vec::new()));
    let places: Vec<(Place, bool)> = said.map(|(place, _)| (*place, false)).collect();
    let outcomes = ask_all(cx, &who, &places, asked, Limits::default()).await;
    if epoch == FINAL {
        if let Some(closed) = cx.shard.share_sessions.end(&name) {
            release(cx, closed, true).await;
        }
    }
    let mut topics: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for (((topic, index), _), outcome) in places.into_iter().zip(outcomes) {
        let partition = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(outcome.verdict_error.or(outcome.error).map_or(0, |code| code.code()));
        match topics.iter_mut().find(|known| known.topic_id == topic) {
            Some(known) => known.partitions.push(partition),
            None => topics.push(
                ShareAcknowledgeTopicResponse::default()
                    .with_topic_id(topic)
                    .with_partitions(vec![partition]),
            ),
        }
    }
    Ok(topics)
}
