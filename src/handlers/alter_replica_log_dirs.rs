//! AlterReplicaLogDirs (key 34), versions 1–2 (KIP-113): begins to move partitions between log
//! directories. The answer says that a move has begun; DescribeLogDirs tells how far it is.

use std::path::Path;

use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use super::route::{locate, Groups};
use super::RequestContext;
use crate::partition::{MoveOrder, Operation, Outcome};
use crate::wire::{ErrorCode, TopicRef};

/// As long as the name of a file or directory may be.
const MAX_NAME_BYTES: usize = 255;

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let image = cx.shard.image();
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    // Of each partition that is asked for, where its answer is in `results`.
    let mut places = Vec::new();
    let mut groups = Groups::new();
    for dir in &request.dirs {
        let to = log_dir(cx, Path::new(&*dir.path));
        for topic in &dir.topics {
            let name = TopicRef::Name(topic.name.0.clone());
            let mut answers = Vec::with_capacity(topic.partitions.len());
            for &index in &topic.partitions {
                let order = may_move(&topic.name, index).and(to).and_then(|to| {
                    let (owner, key) = locate(&image, &name, index)?;
                    Ok((owner, MoveOrder { key, to }))
                });
                let mut answer =
                    AlterReplicaLogDirPartitionResult::default().with_partition_index(index);
                match order {
                    Ok((owner, order)) => groups.add(owner, places.len(), order),
                    Err(code) => answer.error_code = code.code(),
                }
                places.push((results.len(), answers.len()));
                answers.push(answer);
            }
            results.push(
                AlterReplicaLogDirTopicResult::default()
                    .with_topic_name(topic.name.clone())
                    .with_partitions(answers),
            );
        }
    }
    for (owner, asked, orders) in groups.into_parts() {
        let Ok(routed) = cx.shard.route(owner, Operation::Move(orders)).await else { continue };
        if let Some(Outcome::Move(codes)) = routed.outcome().await {
            for (asked, code) in asked.into_iter().zip(codes) {
                let (topic, partition) = places[asked];
                results[topic].partitions[partition].error_code = code;
            }
        }
    }
    AlterReplicaLogDirsResponse::default().with_results(results)
}

/// Whether a partition on its way can have a directory of its own: `<topic>-<n>.<32 digits>-future`.
fn may_move(topic: &str, index: i32) -> Result<(), ErrorCode> {
    match format!("{topic}-{index}.{:032}-future", 0).len() {
        0..=MAX_NAME_BYTES => Ok(()),
        _ => Err(ErrorCode::InvalidTopicException),
    }
}

/// The number of a log directory, given as DescribeLogDirs shows it.
fn log_dir(cx: &RequestContext, asked: &Path) -> Result<usize, ErrorCode> {
    let is_asked = |path: &Path| std::path::absolute(path).is_ok_and(|path| path == asked);
    let config = &cx.shard.config();
    if config.failed_log_dirs.iter().any(|path| is_asked(path)) {
        return Err(ErrorCode::KafkaStorageError);
    }
    let found = config.log_dirs.iter().position(|path| is_asked(path));
    let found = found.ok_or(ErrorCode::LogDirNotFound)?;
    match cx.shard.env.is_offline(&config.log_dirs[found]) {
        true => Err(ErrorCode::KafkaStorageError),
        false => Ok(found),
    }
}
