//! Log directories, cleaning and compaction.

use std::path::PathBuf;

use crate::config::setting::{put, read, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::{entries, BrokerConfig};

const BY_RECOVERY_POINT: &str = "recovery points are written as bytes are, beside each log";

settings! {
    pub const STORAGE for BrokerConfig;

    "log.dir": String, Any, ReadOnly, Honoured(|c, v| { c.log_dirs = dirs(v)?; Ok(()) }),
        "Another name of log.dirs, which counts where both are set.",
        "Kafka's default is /tmp/kafka-logs.";
    "log.dirs": String "./data", Any, ReadOnly, Honoured(|c, v| { c.log_dirs = dirs(v)?; Ok(()) }),
        "Where partitions are kept; several, separated by commas, are spread over.";
    "log.dir.failure.timeout.ms": Long "30000", AtLeast(1), ReadOnly, NoEffect("a log directory that failed is offline at once"),
        "How long the controller may take to hear of a log directory that failed.";
    "log.retention.check.interval.ms": Long "300000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.retention_check_ms, v)),
        "Time between two looks for records that are too old or too many.";
    "log.flush.offset.checkpoint.interval.ms": Int "60000", AtLeast(0), ReadOnly, NoEffect(BY_RECOVERY_POINT),
        "Time between two records of what is durable.";
    "log.flush.start.offset.checkpoint.interval.ms": Int "60000", AtLeast(0), ReadOnly, NoEffect(BY_RECOVERY_POINT),
        "Time between two records of where logs start.";
    "replica.high.watermark.checkpoint.interval.ms": Long "5000", Any, ReadOnly, NoEffect(BY_RECOVERY_POINT),
        "Time between two records of what is replicated.";
    "log.initial.task.delay.ms": Long "30000", AtLeast(0), ReadOnly, NoEffect("work in the background begins at once"),
        "Wait before work in the background begins.";
    "num.recovery.threads.per.data.dir": Int "2", AtLeast(1), ClusterWide, NoEffect("each shard opens its own partitions"),
        "Threads that open logs at the start.";
    "num.replica.alter.log.dirs.threads": Int, Any, ReadOnly, NoEffect("each shard moves its own partitions"),
        "Threads that move partitions between log directories.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long "0", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.move_bytes_per_second, v)),
        "Bytes that moves between log directories read and write a second, on each shard; 0: not bounded.",
        "Kafka counts for the whole broker, and takes it only while it runs.";
    "corelane.journal.batch.max.bytes": Int "16384", Between(0, 1_048_576), ReadOnly, Honoured(|c, v| put(&mut c.journal_batch_bytes, v)),
        "Batches with acks=all up to this many bytes of a partition share one durable write with those of other partitions and reach their segments later; 0: each is written to its own segment at once.",
        "Corelane's own.";
    "corelane.clear.ahead.bytes": Int "262144", Between(0, 1_048_576), ReadOnly, Honoured(|c, v| put(&mut c.clear_ahead_bytes, v)),
        "Bytes of a segment that is written in small pieces (at most 64 KiB with pauses, 16 KiB without) which are written with zeros before they are needed: a write to blocks that were written before takes half as long. Such segments are so written twice; 0: nothing is.",
        "Corelane's own.";
    "log.cleaner.enable": Boolean "true", Any, ReadOnly, Honoured(|c, v| put(&mut c.cleaner, v)),
        "Whether topics with cleanup.policy=compact are compacted.";
    "log.cleaner.backoff.ms": Long "15000", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.cleaner_backoff_ms, v)),
        "Time between two looks for partitions to compact.";
    "log.cleaner.threads": Int "1", AtLeast(0), ClusterWide, NoEffect("each shard compacts its own partitions"),
        "Threads that compact.";
    "log.cleaner.dedupe.buffer.size": Long "134217728", AtLeast(1_048_576), ClusterWide, Honoured(|c, v| put(&mut c.cleaner_key_bytes, v)),
        "Memory for the keys that compactions remember, of all shards; taken as it is needed, 48 bytes a key.",
        "Kafka takes all of it at the start, 24 bytes a key.";
    "log.cleaner.io.max.bytes.per.second": Double "1.7976931348623157E308", Any, ClusterWide, Honoured(|c, v| { let rate: f64 = read(v)?; c.cleaner_bytes_per_second = if (1.0..1e18).contains(&rate) { rate as u64 } else { 0 }; Ok(()) }),
        "Bytes that a shard's compaction reads and writes a second; 0 or the default: as many as its share of the core allows.",
        "Kafka counts for all threads together.";
    "log.cleaner.io.buffer.size": Int "524288", AtLeast(0), ClusterWide, NoEffect("compaction reads in blocks of its own size"),
        "Memory for compaction's reads and writes.";
    "log.cleaner.io.buffer.load.factor": Double "0.9", Any, ClusterWide, NoEffect("the map of keys grows as it is needed"),
        "How full compaction's map of keys may be.";
    "auto.create.topics.enable": Boolean "true", Any, ReadOnly, Honoured(|c, v| put(&mut c.auto_create_topics, v)),
        "Whether asking for an unknown topic creates it.";
    "delete.topic.enable": Boolean "true", Any, ReadOnly, Honoured(|c, v| put(&mut c.delete_topics, v)),
        "Whether topics can be deleted.";
    "num.partitions": Int "1", Between(1, 100_000), ReadOnly, Honoured(|c, v| put(&mut c.num_partitions, v)),
        "Partitions of a topic created without a number.";
    "default.replication.factor": Int "1", Between(1, 1), ReadOnly, Honoured(|c, v| put(&mut c.default_replication_factor, v)),
        "Replicas of a topic created without a number.",
        "More than one replica is not there yet.";
    "create.topic.policy.class.name": Class, Any, ReadOnly, Refused("Java classes are not loaded"),
        "A Java class that judges new topics.";
    "alter.config.policy.class.name": Class, Any, ReadOnly, Refused("Java classes are not loaded"),
        "A Java class that judges changes of settings.";
    "producer.id.expiration.ms": Int "86400000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.topic_defaults.log.producer_expiration_ms, v)),
        "Producers silent for longer than this are forgotten by their partitions.";
    "producer.id.expiration.check.interval.ms": Int "600000", AtLeast(1), ReadOnly, NoEffect("looked for with log.retention.check.interval.ms"),
        "Time between two looks for producers that are silent.";
}

fn dirs(text: &str) -> Result<Vec<PathBuf>, String> {
    let dirs: Vec<PathBuf> = entries(text).map(PathBuf::from).collect();
    match dirs.is_empty() {
        true => Err("one directory or more is allowed".to_string()),
        false => Ok(dirs),
    }
}
