//! Every setting of a broker that Kafka 4.1 knows, and our own, by subject. A setting that is another's
//! synonym stands before it where the other one counts if both are set.

mod cluster;
mod groups;
mod identity;
mod network;
mod remote;
mod security;
mod share;
mod storage;
mod topic_defaults;
mod transactions;

use super::setting::{Setting, Standing};
use super::BrokerConfig;

/// All tables, with the names of their subjects.
pub const TABLES: &[(&str, &[Setting<BrokerConfig>])] = &[
    ("The broker and its controller", identity::IDENTITY),
    ("Network", network::NETWORK),
    ("Storage", storage::STORAGE),
    ("Defaults of topics", topic_defaults::TOPIC_DEFAULTS),
    ("Groups", groups::GROUPS),
    ("Share groups", share::SHARE),
    ("Transactions", transactions::TRANSACTIONS),
    ("Replication, quotas, metrics", cluster::CLUSTER),
    ("Security", security::SECURITY),
    ("Remote storage", remote::REMOTE),
];

/// What Kafka 4.0 has taken out.
const REMOVED: &[&str] = &[
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "delegation.token.master.key",
    "inter.broker.protocol.version",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "offsets.commit.required.acks",
    "reserved.broker.max.id",
];
const REMOVED_PREFIXES: &[&str] = &["zookeeper.", "password.encoder."];
/// Settings of one listener, or of Java classes.
const REFUSED_PREFIXES: &[(&str, &str)] = &[
    ("listener.name.", "listeners have no settings of their own: TLS and SASL are not served yet"),
    ("rlmm.config.", "there is no remote storage"),
    ("rsm.config.", "there is no remote storage"),
    ("config.providers", "values are written as they are"),
];

/// All settings, by subject.
pub fn all() -> impl Iterator<Item = &'static Setting<BrokerConfig>> {
    TABLES.iter().flat_map(|(_, table)| table.iter())
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Setting<BrokerConfig>> {
    all().find(|setting| setting.name == name)
}

/// Why a name is not in the table.
pub fn unknown(name: &str) -> String {
    let removed = REMOVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if removed || REMOVED.contains(&name) {
        return "Kafka 4.0 has removed it: take it out".to_string();
    }
    if let Some((_, why)) = REFUSED_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return format!("this is not supported: {why}");
    }
    let near = all().map(|setting| (strsim::damerau_levenshtein(name, setting.name), setting.name));
    let near = near.min().filter(|(distance, _)| *distance <= 1 + name.len() / 4);
    let near = near.map_or_else(String::new, |(_, near)| format!("; did you mean {near}?"));
    format!("this is not known{near} (all are in config/REFERENCE.md)")
}

/// Whether Kafka shows a setting to nobody unless it is set: it is there for its tests, or not in its table.
pub fn is_hidden(setting: &Setting<BrokerConfig>) -> bool {
    !matches!(setting.standing, Standing::Honoured(_))
        && (setting.name.starts_with("internal.")
            || setting.name.starts_with("unstable.")
            || HIDDEN.contains(&setting.name))
}

const HIDDEN: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "follower.replication.throttled.rate",
    "group.consumer.regex.refresh.interval.ms",
    "group.share.persister.class.name",
    "leader.replication.throttled.rate",
    "log.initial.task.delay.ms",
    "producer.id.expiration.check.interval.ms",
    "remote.log.manager.task.retry.backoff.max.ms",
    "remote.log.manager.task.retry.backoff.ms",
    "remote.log.manager.task.retry.jitter",
    "server.max.startup.time.ms",
    "share.coordinator.cold.partition.snapshot.interval.ms",
    "share.coordinator.state.topic.prune.interval.ms",
    "super.users",
    "unclean.leader.election.interval.ms",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_there_once_and_defaults_are_what_is_done() {
        let mut seen = BTreeSet::new();
        let mut config = BrokerConfig::default();
        for setting in all() {
            assert!(seen.insert(setting.name), "{} is there twice", setting.name);
            if let Some(default) = setting.default {
                setting.put(&mut config, default).expect(setting.name);
            }
        }
        config.finish().expect("defaults do not contradict each other");
        assert_eq!(config, BrokerConfig::default());
    }

    #[test]
    fn an_unknown_name_is_told_the_nearest_or_what_became_of_it() {
        for (name, expected) in [
            ("num.partition", "did you mean num.partitions?"),
            ("log.retention.hour", "did you mean log.retention.hours?"),
            ("zookeeper.connect", "Kafka 4.0 has removed it"),
            ("listener.name.a.ssl.keystore.type", "TLS and SASL are not served yet"),
            ("a", "this is not known (all"),
        ] {
            assert!(unknown(name).contains(expected), "{name}: {}", unknown(name));
        }
    }
}
