//! The one table of topic settings: how each is called, read and checked, and what it means.

use corelane_shards::log::batch::Codec;

use super::topic_config::{TimestampType, TopicConfig};

/// Kafka's type numbers in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

type Set = fn(&mut TopicConfig, &str) -> Result<(), String>;

/// One topic setting.
pub struct TopicKey {
    pub name: &'static str,
    /// The broker's setting that is its default.
    pub broker_name: &'static str,
    pub value_type: ValueType,
    pub default: &'static str,
    pub doc: &'static str,
    pub set: Set,
    /// Whether the broker acts on it yet; the others are checked and kept.
    pub in_force: bool,
}

fn long(text: &str, low: i64, high: i64) -> Result<i64, String> {
    match text.parse() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("a whole number from {low} to {high} is allowed")),
    }
}

fn one_of(text: &str, allowed: &[&str]) -> Result<(), String> {
    match allowed.contains(&text) {
        true => Ok(()),
        false => Err(format!("one of {} is allowed", allowed.join(", "))),
    }
}

fn some_of(text: &str, allowed: &[&str]) -> Result<(), String> {
    text.split(',').map(str::trim).try_for_each(|part| one_of(part, allowed))
}

fn boolean(_: &mut TopicConfig, text: &str) -> Result<(), String> {
    one_of(text, &["true", "false"])
}

macro_rules! key {
    ($name:literal, $broker:literal, $kind:ident, $default:literal, $doc:literal, $set:expr) => {
        TopicKey {
            name: $name,
            broker_name: $broker,
            value_type: ValueType::$kind,
            default: $default,
            doc: $doc,
            set: $set,
            in_force: true,
        }
    };
    (later $name:literal, $broker:literal, $kind:ident, $default:literal, $doc:literal, $set:expr) => {
        TopicKey { in_force: false, ..key!($name, $broker, $kind, $default, $doc, $set) }
    };
}

/// All topic settings that are known.
pub const TOPIC_KEYS: &[TopicKey] = &[
    key!(
        "segment.bytes",
        "log.segment.bytes",
        Int,
        "1073741824",
        "A segment file is closed when it would grow past this many bytes.",
        |c, v| {
            c.log.segment_bytes = long(v, 14, i64::from(i32::MAX))? as u64;
            Ok(())
        }
    ),
    key!(
        "segment.ms",
        "log.roll.ms",
        Long,
        "604800000",
        "A segment file is closed when its first batch is older than this.",
        |c, v| {
            c.log.segment_ms = long(v, 1, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "index.interval.bytes",
        "log.index.interval.bytes",
        Int,
        "4096",
        "Bytes between two entries of the sparse index.",
        |c, v| {
            c.log.index_interval_bytes = long(v, 0, i64::from(i32::MAX))? as u64;
            Ok(())
        }
    ),
    key!(
        "max.message.bytes",
        "message.max.bytes",
        Int,
        "1048588",
        "Largest record batch, as it is sent.",
        |c, v| {
            c.max_message_bytes = long(v, 0, i64::from(i32::MAX))? as usize;
            Ok(())
        }
    ),
    key!(
        "message.timestamp.type",
        "log.message.timestamp.type",
        String,
        "CreateTime",
        "CreateTime: the producer's timestamps. LogAppendTime: the broker's.",
        |c, v| {
            one_of(v, &["CreateTime", "LogAppendTime"])?;
            c.timestamp_type = match v {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            };
            Ok(())
        }
    ),
    key!(
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
        Long,
        "9223372036854775807",
        "How far a timestamp may lie before the broker's clock.",
        |c, v| {
            c.timestamp_before_max_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
        Long,
        "3600000",
        "How far a timestamp may lie after the broker's clock.",
        |c, v| {
            c.timestamp_after_max_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "cleanup.policy",
        "log.cleanup.policy",
        List,
        "delete",
        "delete: old records go; compact: of each key the last record stays; or both.",
        |c, v| {
            some_of(v, &["delete", "compact"])?;
            c.log.delete = v.split(',').any(|part| part.trim() == "delete");
            c.log.compact = v.split(',').any(|part| part.trim() == "compact");
            Ok(())
        }
    ),
    key!(
        "retention.ms",
        "log.retention.ms",
        Long,
        "604800000",
        "How long records are kept; -1: for ever.",
        |c, v| {
            c.log.retention_ms = long(v, -1, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "retention.bytes",
        "log.retention.bytes",
        Long,
        "-1",
        "How many bytes of a partition are kept; -1: all.",
        |c, v| {
            c.log.retention_bytes = long(v, -1, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "delete.retention.ms",
        "log.cleaner.delete.retention.ms",
        Long,
        "86400000",
        "How long a deletion's marker is kept when compacting.",
        |c, v| {
            c.log.delete_retention_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "compression.type",
        "compression.type",
        String,
        "producer",
        "producer: batches are kept as they are sent; otherwise they are compressed anew.",
        |c, v| {
            c.compression = match v {
                "producer" => None,
                "uncompressed" => Some(Codec::None),
                "gzip" => Some(Codec::Gzip),
                "snappy" => Some(Codec::Snappy),
                "lz4" => Some(Codec::Lz4),
                "zstd" => Some(Codec::Zstd),
                _ => {
                    return one_of(
                        v,
                        &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
                    )
                }
            };
            Ok(())
        }
    ),
    key!(later "min.insync.replicas", "min.insync.replicas", Int, "1",
        "Replicas that must have a record before acks=all is answered.",
        |_, v| long(v, 1, i64::from(i32::MAX)).map(|_| ())),
    key!(
        "flush.messages",
        "log.flush.interval.messages",
        Long,
        "9223372036854775807",
        "Records after which a partition is made durable in any case.",
        |c, v| {
            c.log.flush_messages = long(v, 1, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "flush.ms",
        "log.flush.interval.ms",
        Long,
        "9223372036854775807",
        "Time after which a partition is made durable in any case.",
        |c, v| {
            c.log.flush_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "corelane.write.caching",
        "corelane.write.caching",
        Boolean,
        "false",
        "true: batches are answered from memory and written behind; a crash may take them back.",
        |c, v| {
            one_of(v, &["true", "false"])?;
            c.log.write_caching = v == "true";
            Ok(())
        }
    ),
    key!(
        "file.delete.delay.ms",
        "log.segment.delete.delay.ms",
        Long,
        "60000",
        "How long a deleted segment's file stays.",
        |c, v| {
            c.log.delete_delay_ms = long(v, 0, i64::MAX)? as u64;
            Ok(())
        }
    ),
    key!(
        "segment.jitter.ms",
        "log.roll.jitter.ms",
        Long,
        "0",
        "Spread of the time at which segments are closed.",
        |c, v| {
            c.log.segment_jitter_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "segment.index.bytes",
        "log.index.size.max.bytes",
        Int,
        "10485760",
        "Largest index file; a segment is closed when it would be larger.",
        |c, v| {
            c.log.segment_index_bytes = long(v, 4, i64::from(i32::MAX))? as u64;
            Ok(())
        }
    ),
    key!(
        "min.cleanable.dirty.ratio",
        "log.cleaner.min.cleanable.ratio",
        Double,
        "0.5",
        "Share of not yet compacted bytes that starts a compaction.",
        |c, v| match v.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => {
                c.log.min_cleanable_dirty_ratio = ratio;
                Ok(())
            }
            _ => Err("a number from 0 to 1 is allowed".to_string()),
        }
    ),
    key!(
        "min.compaction.lag.ms",
        "log.cleaner.min.compaction.lag.ms",
        Long,
        "0",
        "Records younger than this are not compacted.",
        |c, v| {
            c.log.min_compaction_lag_ms = long(v, 0, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "max.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
        Long,
        "9223372036854775807",
        "Records older than this are compacted.",
        |c, v| {
            c.log.max_compaction_lag_ms = long(v, 1, i64::MAX)?;
            Ok(())
        }
    ),
    key!(
        "preallocate",
        "log.preallocate",
        Boolean,
        "false",
        "Whether a segment's space is reserved at once.",
        |c, v| {
            one_of(v, &["true", "false"])?;
            c.log.preallocate = v == "true";
            Ok(())
        }
    ),
    key!(later "unclean.leader.election.enable", "unclean.leader.election.enable", Boolean,
        "false", "Whether a replica that lags may become leader.", boolean),
];

impl TopicConfig {
    /// These settings with a topic's own over them.
    ///
    /// # Errors
    /// An unknown key or a bad value, in words.
    pub fn with<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<TopicConfig, String> {
        let mut config = self.clone();
        for (name, value) in overrides {
            let key = TOPIC_KEYS.iter().find(|key| key.name == name);
            let key = key.ok_or_else(|| format!("Unknown topic config name: {name}"))?;
            (key.set)(&mut config, value)
                .map_err(|why| format!("Invalid value {value} for configuration {name}: {why}"))?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_is_the_default() {
        let mut config = TopicConfig::default();
        for key in TOPIC_KEYS {
            (key.set)(&mut config, key.default).expect(key.name);
            assert!((key.set)(&mut config, "nonsense").is_err(), "{}", key.name);
        }
        assert_eq!(config, TopicConfig::default());
    }
}
