//! The settings of single groups, over the broker's `group.*`.

use std::collections::BTreeMap;

use super::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use super::{within, BrokerConfig, ConsumerLimits, ShareLimits};

const NO_STREAMS: &str = "groups of the streams protocol (KIP-1071) are not served";

/// What may be different for a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupConfig {
    pub consumer: ConsumerLimits,
    pub share: ShareLimits,
}

settings! {
    /// All settings of groups.
    pub const SETTINGS for GroupConfig;

    "consumer.heartbeat.interval.ms": Int "5000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.consumer.heartbeat_interval_ms, v)),
        "Time between two heartbeats that the group's consumers are told; else group.consumer.heartbeat.interval.ms.";
    "consumer.session.timeout.ms": Int "45000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.consumer.session_timeout_ms, v)),
        "A consumer that is silent for so long is out of the group; else group.consumer.session.timeout.ms.";
    "share.auto.offset.reset": String "latest", Any, ClusterWide, Honoured(reset),
        "Where a share group begins in a partition that is new to it: latest or earliest; else corelane.share.auto.offset.reset.",
        "by_duration is not there.";
    "share.heartbeat.interval.ms": Int "5000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.share.heartbeat_interval_ms, v)),
        "Time between two heartbeats that the share group's members are told; else group.share.heartbeat.interval.ms.";
    "share.isolation.level": String "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), ClusterWide, Honoured(|c, v| { c.share.read_committed = v == "read_committed"; Ok(()) }),
        "Whether records of open and of aborted transactions are delivered; else corelane.share.isolation.level.";
    "share.record.lock.duration.ms": Int "30000", AtLeast(1_000), ClusterWide, Honoured(|c, v| put(&mut c.share.lock_ms, v)),
        "How long a member has a record to itself; else group.share.record.lock.duration.ms.";
    "share.session.timeout.ms": Int "45000", AtLeast(1), ClusterWide, Honoured(|c, v| put(&mut c.share.session_timeout_ms, v)),
        "A member that is silent for so long is out of the share group; else group.share.session.timeout.ms.";
    "streams.heartbeat.interval.ms": Int "5000", AtLeast(1), ClusterWide, Refused(NO_STREAMS),
        "Time between two heartbeats of a streams group's members.";
    "streams.num.standby.replicas": Int "0", AtLeast(0), ClusterWide, Refused(NO_STREAMS),
        "Standby replicas of each task.";
    "streams.session.timeout.ms": Int "45000", AtLeast(1), ClusterWide, Refused(NO_STREAMS),
        "A member that is silent for so long is out of the streams group.";
}

fn reset(config: &mut GroupConfig, text: &str) -> Result<(), String> {
    config.share.from_earliest = match text {
        "earliest" => true,
        "latest" => false,
        _ => {
            return Err("it must be either 'earliest' or 'latest'; by_duration is not supported \
                        here yet"
                .to_string())
        }
    };
    Ok(())
}

/// The setting of groups of that name.
pub fn find(name: &str) -> Option<&'static Setting<GroupConfig>> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The broker's setting that counts where a group has none.
pub fn synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "consumer.heartbeat.interval.ms" => "group.consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms" => "group.consumer.session.timeout.ms",
        "share.auto.offset.reset" => "corelane.share.auto.offset.reset",
        "share.heartbeat.interval.ms" => "group.share.heartbeat.interval.ms",
        "share.isolation.level" => "corelane.share.isolation.level",
        "share.record.lock.duration.ms" => "group.share.record.lock.duration.ms",
        "share.session.timeout.ms" => "group.share.session.timeout.ms",
        _ => return None,
    })
}

impl GroupConfig {
    /// What holds for a group: the broker's limits with the group's own settings over them.
    ///
    /// # Errors
    /// An unknown setting or a bad value, in words.
    pub fn new(
        broker: &BrokerConfig,
        own: &BTreeMap<String, String>,
    ) -> Result<GroupConfig, String> {
        let (consumer, share) = (broker.consumer_limits.clone(), broker.share_limits);
        let mut config = GroupConfig { consumer, share };
        for (name, value) in own {
            let setting = find(name).ok_or_else(|| format!("Unknown group config name: {name}"))?;
            setting
                .put(&mut config, value)
                .map_err(|why| format!("Invalid value {value} for configuration {name}: {why}"))?;
        }
        Ok(config)
    }

    /// # Errors
    /// The group's settings do not fit the broker's bounds, or each other.
    pub fn check(&self) -> Result<(), String> {
        let (consumer, share) = (&self.consumer, &self.share);
        let cases = [
            (
                "consumer.session.timeout.ms",
                consumer.session_timeout_ms,
                consumer.session_timeouts_ms,
            ),
            (
                "consumer.heartbeat.interval.ms",
                consumer.heartbeat_interval_ms,
                consumer.heartbeat_intervals_ms,
            ),
            ("share.session.timeout.ms", share.session_timeout_ms, share.session_timeouts_ms),
            (
                "share.heartbeat.interval.ms",
                share.heartbeat_interval_ms,
                share.heartbeat_intervals_ms,
            ),
            ("share.record.lock.duration.ms", share.lock_ms, share.lock_bounds_ms),
        ];
        cases.into_iter().try_for_each(|(name, value, bounds)| within(name, value, bounds))?;
        for (kind, interval, timeout) in [
            ("consumer", consumer.heartbeat_interval_ms, consumer.session_timeout_ms),
            ("share", share.heartbeat_interval_ms, share.session_timeout_ms),
        ] {
            if interval >= timeout {
                return Err(format!(
                    "{kind}.session.timeout.ms must be greater than {kind}.heartbeat.interval.ms"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_brokers() {
        let broker = BrokerConfig::default();
        let plain = GroupConfig::new(&broker, &BTreeMap::new()).expect("nothing is set");
        let of = |setting: &Setting<_>| {
            let default = setting.default.expect("there is one").to_string();
            (setting.name.to_string(), default)
        };
        let all: BTreeMap<String, String> = SETTINGS.iter().map(of).collect();
        assert_eq!(GroupConfig::new(&broker, &all).expect("valid"), plain);
        plain.check().expect("fits");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let broker = BrokerConfig::default();
        let with = |name: &str, value: &str| {
            let own = BTreeMap::from([(name.to_string(), value.to_string())]);
            GroupConfig::new(&broker, &own).and_then(|config| config.check())
        };
        assert_eq!(with("consumer.session.timeout.ms", "50000"), Ok(()));
        assert_eq!(with("share.auto.offset.reset", "earliest"), Ok(()));
        for (name, value) in [
            ("consumer.session.timeout.ms", "5"),
            ("consumer.heartbeat.interval.ms", "50000"),
            ("share.record.lock.duration.ms", "1000"),
            ("share.auto.offset.reset", "x"),
            ("streams.num.standby.replicas", "1"),
            ("nonsense", "1"),
        ] {
            assert!(with(name, value).is_err(), "{name}");
        }
    }
}
