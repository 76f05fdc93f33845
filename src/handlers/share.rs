//! What ShareFetch and ShareAcknowledge have in common: verdicts as the wire has them, and the way to the
//! shards that own the partitions.

use corelane_shards::runtime::{spawn_guarded, ShardId};
use futures_util::stream::{FuturesUnordered, StreamExt};
use indexmap::IndexMap;

use super::route::{locate, Groups};
use super::share_session::{Closed, Place};
use super::RequestContext;
use crate::partition::share::{
    ShareEntry, ShareFetch, ShareOutcome, ShareRelease, Verdict, Verdicts,
};
use crate::partition::{Operation, Outcome, PartitionKey};
use crate::share::inflight;
use crate::wire::{ErrorCode, StrBytes, TopicRef};

/// What is asked of each partition: verdicts, or why they do not count.
pub type Asked = IndexMap<Place, Result<Vec<Verdicts>, ErrorCode>>;

/// What of a batch of verdicts is on the wire, in both requests.
pub type WireVerdicts = (i64, i64, Vec<i8>);

/// Who asks.
#[derive(Clone)]
pub struct Who {
    pub group: String,
    pub member: String,
}

impl Who {
    /// # Errors
    /// There are no share groups here, or it is not said who asks.
    pub fn new(
        cx: &RequestContext,
        group: Option<&str>,
        member: Option<&StrBytes>,
    ) -> Result<Who, ErrorCode> {
        if !cx.shard.config().share_limits.enabled {
            return Err(ErrorCode::UnsupportedVersion);
        }
        match (group, member) {
            (Some(group), Some(member)) if !group.is_empty() && !member.is_empty() => {
                Ok(Who { group: group.to_string(), member: member.to_string() })
            }
            _ => Err(ErrorCode::InvalidRequest),
        }
    }

    pub fn name(&self) -> (String, String) {
        (self.group.clone(), self.member.clone())
    }
}

/// Notes what is asked of a partition.
pub fn note(asked: &mut Asked, place: Place, batches: impl Iterator<Item = WireVerdicts>) {
    let verdicts = batches.map(|(first, last, types)| {
        let verdicts: Option<Vec<Verdict>> = types.into_iter().map(Verdict::of_number).collect();
        Some(Verdicts { first, last, verdicts: verdicts? })
    });
    let verdicts: Option<Vec<Verdicts>> = verdicts.collect();
    let checked = verdicts.ok_or(ErrorCode::InvalidRequest).and_then(|verdicts| {
        inflight::check(&verdicts)?;
        Ok(verdicts)
    });
    asked.insert(place, checked);
}

/// How much a member may get.
#[derive(Default, Clone, Copy)]
pub struct Limits {
    pub max_wait_ms: u64,
    pub max_bytes: usize,
    pub max_records: usize,
    pub batch_size: usize,
}

/// Asks the shards that own the partitions: one outcome for each, in order. `true` beside a place: it
/// wants records of it.
pub async fn ask_all(
    cx: &RequestContext,
    who: &Who,
    places: &[(Place, bool)],
    mut asked: Asked,
    mut limits: Limits,
) -> Vec<ShareOutcome> {
    let image = cx.shard.image();
    let mut outcomes = vec![ShareOutcome::default(); places.len()];
    let mut groups = Groups::new();
    for (at, ((topic, index), wants)) in places.iter().enumerate() {
        let said = asked.swap_remove(&(*topic, *index)).unwrap_or_else(|| Ok(Vec::new()));
        match locate(&image, &TopicRef::Id(*topic), *index) {
            Ok((owner, key)) => {
                outcomes[at].verdict_error = said.as_ref().err().copied();
                let (verdicts, wants) = (said.unwrap_or_default(), *wants);
                groups.add(owner, at, ShareEntry { key, verdicts, wants });
            }
            Err(code) => {
                outcomes[at].error = Some(code);
                outcomes[at].verdict_error = (said != Ok(Vec::new())).then_some(code);
                // The client has something to do.
                limits.max_wait_ms = 0;
            }
        }
    }
    // Shards do not know of each other's records.
    limits.max_records = limits.max_records.div_ceil(groups.len().max(1));
    limits.max_bytes = limits.max_bytes.div_ceil(groups.len().max(1));
    for (places, found) in send_all(cx, who, groups, limits).await {
        for (at, found) in places.into_iter().zip(found) {
            let verdict_error = outcomes[at].verdict_error.or(found.verdict_error);
            outcomes[at] = ShareOutcome { verdict_error, ..found };
        }
    }
    outcomes
}

/// As soon as one shard has something, the others answer with what they have.
async fn send_all(
    cx: &RequestContext,
    who: &Who,
    groups: Groups<ShareEntry>,
    limits: Limits,
) -> Vec<(Vec<usize>, Vec<ShareOutcome>)> {
    let mut waiting: Vec<(ShardId, u64)> = Vec::with_capacity(groups.len());
    let mut open = FuturesUnordered::new();
    for (owner, places, entries) in groups.into_parts() {
        let token = cx.shard.next_token();
        let Who { group, member } = who.clone();
        let Limits { max_wait_ms, max_bytes, max_records, batch_size } = limits;
        let fetch = ShareFetch {
            group,
            member,
            token,
            max_wait_ms,
            max_bytes,
            max_records,
            batch_size,
            entries,
        };
        if let Ok(routed) = cx.shard.route(owner, Operation::ShareFetch(fetch)).await {
            waiting.push((owner, token));
            open.push(async move { (token, places, routed.outcome().await) });
        }
    }
    let mut answers = Vec::with_capacity(waiting.len());
    while let Some((token, places, outcome)) = open.next().await {
        waiting.retain(|(_, other)| *other != token);
        let outcomes = match outcome {
            Some(Outcome::ShareFetch(outcomes)) => outcomes,
            _ => vec![gone(); places.len()],
        };
        answers.push((places, outcomes));
        for (owner, token) in waiting.drain(..) {
            cx.shard.answer_fetch_now(owner, token).await;
        }
    }
    answers
}

/// The owner has ended without an answer.
fn gone() -> ShareOutcome {
    let code = Some(ErrorCode::NotLeaderOrFollower);
    ShareOutcome { error: code, verdict_error: code, ..ShareOutcome::default() }
}

/// Gives what a member has to others. `unseen`: nobody has looked at it.
pub async fn release(cx: &RequestContext, closed: Closed, unseen: bool) {
    let image = cx.shard.image();
    let Closed { group, member, touched } = closed;
    let mut groups: Groups<PartitionKey> = Groups::new();
    for (at, (topic, index)) in touched.into_iter().enumerate() {
        if let Ok((owner, key)) = locate(&image, &TopicRef::Id(topic), index) {
            groups.add(owner, at, key);
        }
    }
    for (owner, _, keys) in groups.into_parts() {
        let (group, member) = (group.clone(), member.clone());
        let release = ShareRelease { group, member, keys, unseen };
        if let Ok(routed) = cx.shard.route(owner, Operation::ShareRelease(release)).await {
            routed.outcome().await;
        }
    }
}

/// A connection has ended: what its members have goes to others at once, and counts as delivered.
pub fn connection_ended(cx: &RequestContext) {
    for closed in cx.shard.share_sessions.end_all(cx.connection) {
        let of = cx.clone();
        spawn_guarded(&cx.shard.gate, "release shares", async move {
            release(&of, closed, false).await;
        });
    }
}
