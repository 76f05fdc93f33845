//! Defaults of topics' settings (`log.*`).

use crate::config::setting::{put, read, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::{topic, BrokerConfig};

const HOUR_MS: i64 = 3_600_000;

settings! {
    pub const TOPIC_DEFAULTS for BrokerConfig;

    "compression.type": String "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, Honoured(|c, v| of_topics(c, "compression.type", v)),
        "producer: batches are kept as they are sent; otherwise they are compressed anew.";
    "compression.gzip.level": Int "-1", GzipLevel, ClusterWide, Honoured(|c, v| of_topics(c, "compression.gzip.level", v)),
        "How hard gzip tries, where the broker compresses.";
    "compression.lz4.level": Int "9", Between(1, 17), ClusterWide, Honoured(|c, v| of_topics(c, "compression.lz4.level", v)),
        "How hard lz4 tries, where the broker compresses.";
    "compression.zstd.level": Int "3", Between(-131_072, 22), ClusterWide, Honoured(|c, v| of_topics(c, "compression.zstd.level", v)),
        "How hard zstd tries, where the broker compresses.";
    "log.segment.bytes": Int "1073741824", AtLeast(14), ClusterWide, Honoured(|c, v| of_topics(c, "segment.bytes", v)),
        "A segment file is closed when it would grow past this many bytes.",
        "Kafka 4.1 wants 1 MiB at least; 4.0 and Corelane take 14 bytes.";
    "log.roll.hours": Int "168", AtLeast(1), ReadOnly, Honoured(|c, v| { c.topic_defaults.log.segment_ms = read::<i64>(v)? * HOUR_MS; Ok(()) }),
        "log.roll.ms in hours; that counts where both are set.";
    "log.roll.ms": Long, Any, ClusterWide, Honoured(|c, v| of_topics(c, "segment.ms", v)),
        "A segment file is closed when its first batch is older than this; unset: as log.roll.hours says.";
    "log.roll.jitter.hours": Int "0", AtLeast(0), ReadOnly, Honoured(|c, v| { c.topic_defaults.log.segment_jitter_ms = read::<i64>(v)? * HOUR_MS; Ok(()) }),
        "log.roll.jitter.ms in hours; that counts where both are set.";
    "log.roll.jitter.ms": Long, Any, ClusterWide, Honoured(|c, v| of_topics(c, "segment.jitter.ms", v)),
        "Spread of the time at which segments are closed.";
    "log.retention.hours": Int "168", Any, ReadOnly, Honoured(|c, v| { c.topic_defaults.log.retention_ms = unlimited(read::<i64>(v)? * HOUR_MS); Ok(()) }),
        "log.retention.ms in hours; minutes and ms count where they are set; -1: for ever.";
    "log.retention.minutes": Int, Any, ReadOnly, Honoured(|c, v| { c.topic_defaults.log.retention_ms = unlimited(read::<i64>(v)? * 60_000); Ok(()) }),
        "log.retention.ms in minutes; that counts where both are set.";
    "log.retention.ms": Long, Any, ClusterWide, Honoured(|c, v| { c.topic_defaults.log.retention_ms = unlimited(read::<i64>(v)?); Ok(()) }),
        "How long records are kept; below zero: for ever; unset: as log.retention.minutes or .hours says.";
    "log.retention.bytes": Long "-1", Any, ClusterWide, Honoured(|c, v| of_topics(c, "retention.bytes", v)),
        "How many bytes of a partition are kept; below zero: all.";
    "log.cleanup.policy": List "delete", SomeOf(&["compact", "delete"]), ClusterWide, Honoured(|c, v| of_topics(c, "cleanup.policy", v)),
        "delete: old records go; compact: of each key the last record stays; or both.";
    "log.index.interval.bytes": Int "4096", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "index.interval.bytes", v)),
        "Bytes between two entries of the sparse index.";
    "log.index.size.max.bytes": Int "10485760", AtLeast(4), ClusterWide, Honoured(|c, v| of_topics(c, "segment.index.bytes", v)),
        "Largest index file; a segment is closed when it would be larger.";
    "message.max.bytes": Int "1048588", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "max.message.bytes", v)),
        "Largest record batch, as it is sent.";
    "log.message.timestamp.type": String "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Honoured(|c, v| of_topics(c, "message.timestamp.type", v)),
        "CreateTime: the producer's timestamps. LogAppendTime: the broker's.";
    "log.message.timestamp.before.max.ms": Long "9223372036854775807", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "message.timestamp.before.max.ms", v)),
        "How far a timestamp may lie before the broker's clock.";
    "log.message.timestamp.after.max.ms": Long "3600000", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "message.timestamp.after.max.ms", v)),
        "How far a timestamp may lie after the broker's clock.",
        "Of a compressed batch the last time that it claims counts, unless the topic has it undone: by a finite \
         message.timestamp.before.max.ms, compaction or another compression.type. Kafka always undoes it.";
    "log.cleaner.delete.retention.ms": Long "86400000", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "delete.retention.ms", v)),
        "How long a deletion's marker is kept when compacting.";
    "log.cleaner.min.cleanable.ratio": Double "0.5", Fraction, ClusterWide, Honoured(|c, v| of_topics(c, "min.cleanable.dirty.ratio", v)),
        "Share of not yet compacted bytes that starts a compaction.";
    "log.cleaner.min.compaction.lag.ms": Long "0", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "min.compaction.lag.ms", v)),
        "Records younger than this are not compacted.";
    "log.cleaner.max.compaction.lag.ms": Long "9223372036854775807", AtLeast(1), ClusterWide, Honoured(|c, v| of_topics(c, "max.compaction.lag.ms", v)),
        "Records older than this are compacted.";
    "min.insync.replicas": Int "1", AtLeast(1), ClusterWide, Honoured(|c, v| of_topics(c, "min.insync.replicas", v)),
        "Replicas that must have a record before acks=all is answered.";
    "log.flush.interval.messages": Long "9223372036854775807", AtLeast(1), ClusterWide, Honoured(|c, v| of_topics(c, "flush.messages", v)),
        "Records after which a partition is made durable in any case.";
    "log.flush.scheduler.interval.ms": Long "9223372036854775807", Any, ReadOnly, Honoured(|c, v| put(&mut c.topic_defaults.log.flush_ms, v)),
        "log.flush.interval.ms by another name; that counts where both are set.",
        "In Kafka also the time between two looks for what is to be flushed.";
    "log.flush.interval.ms": Long, AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "flush.ms", v)),
        "Time after which a partition is made durable in any case; unset: as log.flush.scheduler.interval.ms says.";
    "log.segment.delete.delay.ms": Long "60000", AtLeast(0), ClusterWide, Honoured(|c, v| of_topics(c, "file.delete.delay.ms", v)),
        "How long a deleted segment's file stays.";
    "log.preallocate": Boolean "false", Any, ClusterWide, Honoured(|c, v| of_topics(c, "preallocate", v)),
        "Whether a segment's space is reserved at once.";
    "unclean.leader.election.enable": Boolean "false", Any, ClusterWide, Honoured(|c, v| of_topics(c, "unclean.leader.election.enable", v)),
        "Whether a replica that lags may become leader.";
    "log.local.retention.bytes": Long "-2", AtLeast(-2), ClusterWide, Honoured(|c, v| of_topics(c, "local.retention.bytes", v)),
        "Bytes kept here of what remote storage has, too; -2: as log.retention.bytes.";
    "log.local.retention.ms": Long "-2", AtLeast(-2), ClusterWide, Honoured(|c, v| of_topics(c, "local.retention.ms", v)),
        "How long records are kept here that remote storage has, too; -2: as log.retention.ms.";
    "corelane.write.caching": Boolean "false", Any, ClusterWide, Honoured(|c, v| of_topics(c, "corelane.write.caching", v)),
        "true: batches are answered from memory and written behind; a crash may take them back.",
        "Corelane's own; Kafka always does it.";
}

fn unlimited(ms: i64) -> i64 {
    ms.max(-1)
}

/// Puts a default of topics in force, by the topics' name of it.
fn of_topics(config: &mut BrokerConfig, name: &str, text: &str) -> Result<(), String> {
    match topic::SETTINGS.iter().find(|setting| setting.name == name) {
        Some(setting) => setting.put(&mut config.topic_defaults, text),
        None => Err(format!("there is no topic config {name}")),
    }
}
