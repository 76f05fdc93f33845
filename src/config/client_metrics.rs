//! The settings of subscriptions to clients' metrics (KIP-714).

use super::setting::{settings, Setting, Standing::*, Update::*, Valid::*};

const NOT_COLLECTED: &str = "subscriptions are kept, clients are asked for no metrics yet";

settings! {
    /// All settings of a subscription.
    pub const SETTINGS for ();

    "interval.ms": Int "300000", Between(100, 3_600_000), ClusterWide, NoEffect(NOT_COLLECTED),
        "Time between two pushes of a client's metrics.";
    "match": List "", Any, ClusterWide, NoEffect(NOT_COLLECTED),
        "Which clients are meant: name=pattern for client_id, client_instance_id, client_software_name, client_software_version, client_source_address or client_source_port.";
    "metrics": List "", Any, ClusterWide, NoEffect(NOT_COLLECTED),
        "Which metrics are meant, by the beginnings of their names; *: all.";
}

/// The setting of subscriptions of that name.
pub fn find(name: &str) -> Option<&'static Setting<()>> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const CLIENT_PARTS: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Whether each entry of `match` names a part of what is known of clients, and a pattern.
pub fn is_match(text: &str) -> bool {
    super::entries(text).all(|entry| {
        entry.split_once('=').is_some_and(|(part, pattern)| {
            CLIENT_PARTS.contains(&part.trim()) && regex::Regex::new(pattern.trim()).is_ok()
        })
    })
}
