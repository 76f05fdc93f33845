//! DescribeLogDirs (key 35), versions 1–4 (KIP-113, KIP-827): what each log directory holds, and
//! how large its disk is. A partition that is
//! being moved is in two: where it is served from, and, as a future one, where it goes.

use std::path::{Path, PathBuf};

use corelane_shards::log::MovingSize;
use corelane_shards::runtime::{spawn_blocking, ShardId};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use super::route::Groups;
use super::RequestContext;
use crate::config::Advertise;
use crate::metadata::TopicImage;
use crate::partition::{LogSize, Operation, Outcome, PartitionKey};
use crate::wire::{ErrorCode, StrBytes};

/// One partition that is asked about.
struct Asked {
    topic: StrBytes,
    index: i32,
    log_dir: usize,
    size: Option<u64>,
    /// Whether this is a copy on its way, and the offsets that it has still to catch up with.
    future: bool,
    offset_lag: i64,
}

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let mut asked = Vec::new();
    let mut groups = Groups::new();
    let mut ask = |topic: &TopicImage, index: usize| {
        let place = topic.partitions[index];
        if !is_ours(cx, place.shard) {
            return;
        }
        let index = index as i32;
        groups.add(place.shard, asked.len(), PartitionKey { topic: topic.id, index });
        let topic = StrBytes::from_string(topic.name.to_string());
        let log_dir = place.log_dir;
        asked.push(Asked { topic, index, log_dir, size: None, future: false, offset_lag: 0 });
    };
    let image = cx.shard.image();
    match &request.topics {
        None => {
            for topic in image.topics.values() {
                (0..topic.partitions.len()).for_each(|index| ask(topic, index));
            }
        }
        Some(topics) => {
            for DescribableLogDirTopic { topic, partitions, .. } in topics {
                let Some(topic) = image.by_name(topic) else { continue };
                let there = |index: &i32| usize::try_from(*index).ok();
                let indexes = partitions.iter().filter_map(there);
                indexes.filter(|i| *i < topic.partitions.len()).for_each(|i| ask(topic, i));
            }
        }
    }
    for (owner, places, keys) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Sizes(keys)).await else { continue };
        if let Some(Outcome::Sizes(sizes)) = routed.outcome().await {
            for (place, size) in places.into_iter().zip(sizes) {
                let Some(LogSize { bytes, moving }) = size else { continue };
                asked[place].size = Some(bytes);
                if let Some(moving) = moving {
                    note_future(cx, &mut asked, place, &moving);
                }
            }
        }
    }
    let mut results = Vec::with_capacity(cx.shard.config().log_dirs.len());
    for (number, path) in cx.shard.config().log_dirs.iter().enumerate() {
        let held = asked.iter().filter(|a| a.log_dir == number);
        results.push(match cx.shard.env.is_offline(path) {
            true => failed(DescribeLogDirsResult::default(), path),
            false => describe(path.clone(), held).await,
        });
    }
    for path in &cx.shard.config().failed_log_dirs {
        results.push(failed(DescribeLogDirsResult::default(), path));
    }
    DescribeLogDirsResponse::default().with_results(results)
}

/// Adds the copy of a partition that is being moved.
fn note_future(cx: &RequestContext, asked: &mut Vec<Asked>, of: usize, moving: &MovingSize) {
    let log_dirs = &cx.shard.config().log_dirs;
    let log_dir = log_dirs.iter().position(|dir| Some(dir.as_path()) == moving.future.parent());
    let Some(log_dir) = log_dir else { return };
    let (topic, index) = (asked[of].topic.clone(), asked[of].index);
    let (size, offset_lag) = (Some(moving.bytes), moving.offset_lag);
    asked.push(Asked { topic, index, log_dir, size, future: true, offset_lag });
}

/// Where each shard is shown as a node of its own, each tells of its own partitions.
fn is_ours(cx: &RequestContext, owner: ShardId) -> bool {
    cx.shard.config().advertise == Advertise::Single || owner == cx.shard.id
}

fn failed(result: DescribeLogDirsResult, path: &Path) -> DescribeLogDirsResult {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    result
        .with_log_dir(StrBytes::from_string(absolute.display().to_string()))
        .with_error_code(ErrorCode::KafkaStorageError.code())
}

async fn describe(path: PathBuf, held: impl Iterator<Item = &Asked>) -> DescribeLogDirsResult {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for Asked { topic, index, size, future, offset_lag, .. } in held {
        let Some(size) = size else { continue };
        if topics.last().is_none_or(|last| last.name.0 != *topic) {
            topics.push(DescribeLogDirsTopic::default().with_name(TopicName(topic.clone())));
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(
                DescribeLogDirsPartition::default()
                    .with_partition_index(*index)
                    .with_partition_size(*size as i64)
                    .with_offset_lag(*offset_lag)
                    .with_is_future_key(*future),
            );
        }
    }
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let name = StrBytes::from_string(absolute.display().to_string());
    let result = DescribeLogDirsResult::default().with_log_dir(name).with_topics(topics);
    match spawn_blocking(move || rustix::fs::statvfs(&path)).await {
        Ok(disk) => result
            .with_total_bytes((disk.f_blocks * disk.f_frsize) as i64)
            .with_usable_bytes((disk.f_bavail * disk.f_frsize) as i64),
        Err(error) => {
            tracing::warn!("log directory {}: {error}", absolute.display());
            result.with_error_code(ErrorCode::KafkaStorageError.code())
        }
    }
}
