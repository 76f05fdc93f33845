//! The settings of topics, and which of the broker's settings are their defaults.

use corelane_shards::log::batch::Codec;

use super::near::nearest;
use super::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use super::topic_config::{TimestampType, TopicConfig};

const ONE_REPLICA: &str = "each partition has one replica, on this broker";
const NO_REMOTE: &str =
    "Tiered Storage functionality is disabled in the broker: Corelane has no remote storage";
const ONE_LEVEL: &str = "the codec's usual level is used";

settings! {
    /// All settings of topics.
    pub const SETTINGS for TopicConfig;

    "cleanup.policy": List "delete", SomeOf(&["compact", "delete"]), ClusterWide, Honoured(cleanup),
        "delete: old records go; compact: of each key the last record stays; or both; empty: all stay.";
    "compression.gzip.level": Int "-1", GzipLevel, ClusterWide, NoEffect(ONE_LEVEL),
        "How hard gzip tries, where the broker compresses.";
    "compression.lz4.level": Int "9", Between(1, 17), ClusterWide, NoEffect(ONE_LEVEL),
        "How hard lz4 tries, where the broker compresses.";
    "compression.type": String "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, Honoured(compression),
        "producer: batches are kept as they are sent; otherwise they are compressed anew.";
    "compression.zstd.level": Int "3", Between(-131_072, 22), ClusterWide, NoEffect(ONE_LEVEL),
        "How hard zstd tries, where the broker compresses.";
    "corelane.write.caching": Boolean "false", Any, ClusterWide, Honoured(|c, v| put(&mut c.log.write_caching, v)),
        "true: batches are answered from memory and written behind; a crash may take them back.",
        "Corelane's own; Kafka always does it.";
    "delete.retention.ms": Long "86400000", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.delete_retention_ms, v)),
        "How long a deletion's marker is kept when compacting.";
    "file.delete.delay.ms": Long "60000", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.delete_delay_ms, v)),
        "How long a deleted segment's file stays.";
    "flush.messages": Long "9223372036854775807", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.log.flush_messages, v)),
        "Records after which a partition is made durable in any case.";
    "flush.ms": Long "9223372036854775807", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.flush_ms, v)),
        "Time after which a partition is made durable in any case.";
    "follower.replication.throttled.replicas": List "", Replicas, ClusterWide, NoEffect(ONE_REPLICA),
        "Followers that are throttled.";
    "index.interval.bytes": Int "4096", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.index_interval_bytes, v)),
        "Bytes between two entries of the sparse index.";
    "leader.replication.throttled.replicas": List "", Replicas, ClusterWide, NoEffect(ONE_REPLICA),
        "Replicas that leaders throttle.";
    "local.retention.bytes": Long "-2", AtLeast(-2), ClusterWide, NoEffect("without remote storage everything is local"),
        "Bytes kept here of what remote storage has, too; -2: as retention.bytes.";
    "local.retention.ms": Long "-2", AtLeast(-2), ClusterWide, NoEffect("without remote storage everything is local"),
        "How long records are kept here that remote storage has, too; -2: as retention.ms.";
    "max.compaction.lag.ms": Long "9223372036854775807", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.log.max_compaction_lag_ms, v)),
        "Records older than this are compacted.";
    "max.message.bytes": Int "1048588", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.max_message_bytes, v)),
        "Largest record batch, as it is sent.";
    "message.timestamp.after.max.ms": Long "3600000", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.timestamp_after_max_ms, v)),
        "How far a timestamp may lie after the broker's clock.",
        "Of a compressed batch the last time that it claims counts, unless the topic has it undone: by a finite \
         message.timestamp.before.max.ms, compaction or another compression.type. Kafka always undoes it.";
    "message.timestamp.before.max.ms": Long "9223372036854775807", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.timestamp_before_max_ms, v)),
        "How far a timestamp may lie before the broker's clock.";
    "message.timestamp.type": String "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, Honoured(timestamps),
        "CreateTime: the producer's timestamps. LogAppendTime: the broker's.";
    "min.cleanable.dirty.ratio": Double "0.5", Fraction, ClusterWide, Honoured(|c, v| put(&mut c.log.min_cleanable_dirty_ratio, v)),
        "Share of not yet compacted bytes that starts a compaction.";
    "min.compaction.lag.ms": Long "0", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.min_compaction_lag_ms, v)),
        "Records younger than this are not compacted.";
    "min.insync.replicas": Int "1", AtLeast(1), ClusterWide, NoEffect(ONE_REPLICA),
        "Replicas that must have a record before acks=all is answered.",
        "With more than 1, Kafka on one node refuses records with acks=all.";
    "preallocate": Boolean "false", Any, ClusterWide, Honoured(|c, v| put(&mut c.log.preallocate, v)),
        "Whether a segment's space is reserved at once.";
    "remote.log.copy.disable": Boolean "false", Any, ClusterWide, Refused(NO_REMOTE),
        "Whether nothing more is copied to remote storage.";
    "remote.log.delete.on.disable": Boolean "false", Any, ClusterWide, Refused(NO_REMOTE),
        "Whether what is in remote storage goes when that is switched off.";
    "remote.storage.enable": Boolean "false", Any, ClusterWide, Refused(NO_REMOTE),
        "Whether old segments go to remote storage.";
    "retention.bytes": Long "-1", Any, ClusterWide, Honoured(|c, v| put(&mut c.log.retention_bytes, v)),
        "How many bytes of a partition are kept; below zero: all.";
    "retention.ms": Long "604800000", AtLeast(-1), ClusterWide, Honoured(|c, v| put(&mut c.log.retention_ms, v)),
        "How long records are kept; -1: for ever.";
    "segment.bytes": Int "1073741824", AtLeast(14), ClusterWide, Honoured(|c, v| put(&mut c.log.segment_bytes, v)),
        "A segment file is closed when it would grow past this many bytes.",
        "Kafka 4.1 wants 1 MiB at least; 4.0 and Corelane take 14 bytes.";
    "segment.index.bytes": Int "10485760", AtLeast(4), ClusterWide, Honoured(|c, v| put(&mut c.log.segment_index_bytes, v)),
        "Largest index file; a segment is closed when it would be larger.";
    "segment.jitter.ms": Long "0", AtLeast(0), ClusterWide, Honoured(|c, v| put(&mut c.log.segment_jitter_ms, v)),
        "Spread of the time at which segments are closed.";
    "segment.ms": Long "604800000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.log.segment_ms, v)),
        "A segment file is closed when its first batch is older than this.";
    "unclean.leader.election.enable": Boolean "false", Any, ClusterWide, NoEffect(ONE_REPLICA),
        "Whether a replica that lags may become leader.";
}

/// The setting of topics of that name.
pub fn find(name: &str) -> Option<&'static Setting<TopicConfig>> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Kafka's words for a name that is not in the table, and which one may be meant.
fn unknown(name: &str) -> String {
    let near = nearest(name, SETTINGS.iter().map(|setting| setting.name));
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    format!("Unknown topic config name: {name}{near}")
}

/// The broker's settings that are a topic setting's default; the first that is set counts.
pub fn synonyms(name: &str) -> &'static [&'static str] {
    match name {
        "cleanup.policy" => &["log.cleanup.policy"],
        "compression.gzip.level" => &["compression.gzip.level"],
        "compression.lz4.level" => &["compression.lz4.level"],
        "compression.type" => &["compression.type"],
        "compression.zstd.level" => &["compression.zstd.level"],
        "corelane.write.caching" => &["corelane.write.caching"],
        "delete.retention.ms" => &["log.cleaner.delete.retention.ms"],
        "file.delete.delay.ms" => &["log.segment.delete.delay.ms"],
        "flush.messages" => &["log.flush.interval.messages"],
        "flush.ms" => &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "index.interval.bytes" => &["log.index.interval.bytes"],
        "local.retention.bytes" => &["log.local.retention.bytes"],
        "local.retention.ms" => &["log.local.retention.ms"],
        "max.compaction.lag.ms" => &["log.cleaner.max.compaction.lag.ms"],
        "max.message.bytes" => &["message.max.bytes"],
        "message.timestamp.after.max.ms" => &["log.message.timestamp.after.max.ms"],
        "message.timestamp.before.max.ms" => &["log.message.timestamp.before.max.ms"],
        "message.timestamp.type" => &["log.message.timestamp.type"],
        "min.cleanable.dirty.ratio" => &["log.cleaner.min.cleanable.ratio"],
        "min.compaction.lag.ms" => &["log.cleaner.min.compaction.lag.ms"],
        "min.insync.replicas" => &["min.insync.replicas"],
        "preallocate" => &["log.preallocate"],
        "retention.bytes" => &["log.retention.bytes"],
        "retention.ms" => &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        "segment.bytes" => &["log.segment.bytes"],
        "segment.index.bytes" => &["log.index.size.max.bytes"],
        "segment.jitter.ms" => &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "segment.ms" => &["log.roll.ms", "log.roll.hours"],
        "unclean.leader.election.enable" => &["unclean.leader.election.enable"],
        _ => &[],
    }
}

fn cleanup(config: &mut TopicConfig, text: &str) -> Result<(), String> {
    config.log.delete = super::entries(text).any(|entry| entry == "delete");
    config.log.compact = super::entries(text).any(|entry| entry == "compact");
    Ok(())
}

fn compression(config: &mut TopicConfig, text: &str) -> Result<(), String> {
    config.compression = match text {
        "uncompressed" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "snappy" => Some(Codec::Snappy),
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    };
    Ok(())
}

fn timestamps(config: &mut TopicConfig, text: &str) -> Result<(), String> {
    config.timestamp_type = match text {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    };
    Ok(())
}

impl TopicConfig {
    /// [`TopicConfig::with`], of settings that are new: they must not contradict each other.
    ///
    /// # Errors
    /// As there, or the contradiction, in words.
    pub fn with_new<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<TopicConfig, String> {
        let config = self.with(overrides)?;
        config.check()?;
        Ok(config)
    }

    /// These settings with a topic's own over them.
    ///
    /// # Errors
    /// An unknown setting or a bad value, in words.
    pub fn with<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<TopicConfig, String> {
        let mut config = self.clone();
        for (name, value) in overrides {
            let setting = find(name).ok_or_else(|| unknown(name))?;
            setting
                .put(&mut config, value)
                .map_err(|why| format!("Invalid value {value} for configuration {name}: {why}"))?;
        }
        Ok(config)
    }

    /// # Errors
    /// Two settings contradict each other.
    pub fn check(&self) -> Result<(), String> {
        let (least, most) = (self.log.min_compaction_lag_ms, self.log.max_compaction_lag_ms);
        match least > most {
            true => Err(format!(
                "conflict topic config setting min.compaction.lag.ms ({least}) > \
                 max.compaction.lag.ms ({most})"
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Kind;

    #[test]
    fn every_default_is_valid_and_is_the_default() {
        let mut config = TopicConfig::default();
        for setting in SETTINGS {
            let default = setting.default.expect("topics' settings have defaults");
            setting.put(&mut config, default).expect(setting.name);
            let checked = setting.check("nonsense").is_err();
            assert!(checked || setting.kind == Kind::List, "{}", setting.name);
        }
        assert_eq!(config, TopicConfig::default());
    }

    #[test]
    fn what_contradicts_itself_or_misleads_is_refused() {
        let with = |settings: &[(&str, &str)]| {
            let all: std::collections::BTreeMap<String, String> =
                settings.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            TopicConfig::default().with_new(&all).err()
        };
        let lags = [("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")];
        assert!(with(&lags).expect("contradicts").contains("min.compaction.lag.ms (9)"));
        let remote = with(&[("remote.storage.enable", "true")]).expect("is not there");
        assert!(remote.contains("Tiered Storage functionality is disabled"), "{remote}");
        assert_eq!(with(&[("remote.storage.enable", "false")]), None);
        let unknown = "Unknown topic config name: ";
        for (name, expected) in
            [("retention.byte", "retention.byte; did you mean retention.bytes?"), ("x", "x")]
        {
            assert_eq!(with(&[(name, "5")]), Some(format!("{unknown}{expected}")));
        }
        for (name, value, why) in [
            ("retention.ms", "soon", "Not a number of type LONG"),
            ("retention.ms", "-5", "Value must be at least -1"),
            ("cleanup.policy", "x", "String must be one of: compact, delete"),
            ("preallocate", "maybe", "Expected value to be either true or false"),
        ] {
            let expected = format!("Invalid value {value} for configuration {name}: {why}");
            assert_eq!(with(&[(name, value)]), Some(expected));
        }
    }
}
