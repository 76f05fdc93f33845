//! Subscriptions to clients' metrics (KIP-714): their settings, which clients they mean and what those are
//! to report.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::layers::Values;
use super::setting::{entries, put, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::pattern;

/// What a client is told that no subscription means.
const DEFAULT_INTERVAL_MS: i32 = 300_000;
/// Stands for all metrics.
const ALL: &str = "*";

settings! {
    /// All settings of a subscription.
    pub const SETTINGS for Subscription;

    "interval.ms": Int "300000", Between(100, 3_600_000), ClusterWide, Honoured(|c, v| put(&mut c.interval_ms, v)),
        "Time between two pushes of a client's metrics.";
    "match": List "", Any, ClusterWide, Honoured(patterns),
        "Which clients are meant: name=pattern for client_id, client_instance_id, client_software_name, client_software_version, client_source_address or client_source_port; all of them have to match, as a whole.",
        "Patterns are in the syntax of RE2: without look-around and references back.";
    "metrics": List "", Any, ClusterWide, Honoured(|c, v| { c.metrics = entries(v).map(str::to_string).collect(); Ok(()) }),
        "Which metrics are meant, by the beginnings of their names; *: all.";
}

/// The setting of subscriptions of that name.
pub fn find(name: &str) -> Option<&'static Setting<Subscription>> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Id,
    Instance,
    SoftwareName,
    SoftwareVersion,
    Address,
    Port,
}

const PARTS: [(&str, Part); 6] = [
    ("client_id", Part::Id),
    ("client_instance_id", Part::Instance),
    ("client_software_name", Part::SoftwareName),
    ("client_software_version", Part::SoftwareVersion),
    ("client_source_address", Part::Address),
    ("client_source_port", Part::Port),
];

/// What is known of a client.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// `None`: it does not say.
    pub id: Option<String>,
    /// As Kafka prints it.
    pub instance: String,
    pub software_name: String,
    pub software_version: String,
    pub address: String,
    pub port: String,
}

impl Client {
    fn part(&self, part: Part) -> Option<&str> {
        match part {
            Part::Id => self.id.as_deref(),
            Part::Instance => Some(&self.instance),
            Part::SoftwareName => Some(&self.software_name),
            Part::SoftwareVersion => Some(&self.software_version),
            Part::Address => Some(&self.address),
            Part::Port => Some(&self.port),
        }
    }
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    metrics: Vec<String>,
    interval_ms: i32,
    /// All have to match.
    patterns: BTreeMap<Part, Regex>,
}

impl Default for Subscription {
    fn default() -> Self {
        let (metrics, patterns) = (Vec::new(), BTreeMap::new());
        Subscription { metrics, interval_ms: DEFAULT_INTERVAL_MS, patterns }
    }
}

/// A setting of a subscription that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("Unknown client metrics configuration: {0}")]
    Unknown(String),
    #[error("Invalid value {value} for {name}: {why}")]
    Value { name: String, value: String, why: String },
    #[error("Illegal client matching pattern: {0}")]
    Pattern(String),
}

impl Subscription {
    /// # Errors
    /// A setting is not known, or its value is none.
    pub fn new(values: &Values) -> Result<Subscription, SubscriptionError> {
        let mut subscription = Subscription::default();
        for (name, value) in values {
            let setting = find(name).ok_or_else(|| SubscriptionError::Unknown(name.to_string()))?;
            setting.put(&mut subscription, value).map_err(|why| match name.as_str() {
                "match" => SubscriptionError::Pattern(why),
                _ => SubscriptionError::Value { name: name.clone(), value: value.clone(), why },
            })?;
        }
        Ok(subscription)
    }

    fn means(&self, client: &Client) -> bool {
        self.patterns
            .iter()
            .all(|(part, pattern)| client.part(*part).is_some_and(|text| pattern.is_match(text)))
    }
}

/// Reads `match`; the error names the entry that is wrong.
fn patterns(subscription: &mut Subscription, text: &str) -> Result<(), String> {
    subscription.patterns = BTreeMap::new();
    for entry in entries(text) {
        let (part, pattern) = pattern_of(entry).ok_or_else(|| entry.to_string())?;
        subscription.patterns.insert(part, pattern);
    }
    Ok(())
}

fn pattern_of(entry: &str) -> Option<(Part, Regex)> {
    let (name, regex) = entry.split_once('=')?;
    let (name, regex) = (name.trim(), regex.trim());
    let (_, part) = PARTS.iter().find(|(of, _)| *of == name)?;
    Some((*part, pattern::whole(regex).ok()?))
}

/// What a client is to report, by all subscriptions that mean it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Beginnings of names; nothing: no metrics.
    pub metrics: BTreeSet<String>,
    pub interval_ms: i32,
}

/// All subscriptions.
#[derive(Debug, Clone, Default)]
pub struct Subscriptions(BTreeMap<String, Subscription>);

impl Subscriptions {
    /// Puts a subscription in the place of the one of that name; one without settings is none.
    ///
    /// # Errors
    /// As [`Subscription::new`]: nothing is changed.
    pub fn set(&mut self, name: &str, values: &Values) -> Result<(), SubscriptionError> {
        match values.is_empty() {
            true => self.0.remove(name),
            false => self.0.insert(name.to_string(), Subscription::new(values)?),
        };
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What that client is to report: all that is wanted by any, as often as the most frequent.
    pub fn wanted_of(&self, client: &Client) -> Wanted {
        let mut wanted = Wanted { metrics: BTreeSet::new(), interval_ms: DEFAULT_INTERVAL_MS };
        for subscription in self.0.values().filter(|one| one.means(client)) {
            wanted.metrics.extend(subscription.metrics.iter().cloned());
            wanted.interval_ms = wanted.interval_ms.min(subscription.interval_ms);
        }
        if wanted.metrics.contains(ALL) {
            wanted.metrics.retain(|name| name == ALL);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn client() -> Client {
        Client {
            id: Some("orders-7".to_string()),
            instance: "AAAAAAAAAAAAAAAAAAAAAQ".to_string(),
            software_name: "apache-kafka-java".to_string(),
            software_version: "4.1.1".to_string(),
            address: "10.0.0.9".to_string(),
            port: "40000".to_string(),
        }
    }

    #[test]
    fn a_client_is_meant_where_all_patterns_match_as_a_whole() {
        let means = |patterns: &str| {
            let subscription = Subscription::new(&values(&[("match", patterns)]));
            subscription.expect("valid").means(&client())
        };
        assert!(means(""), "all are");
        assert!(means("client_id=orders-.*"));
        assert!(!means("client_id=orders"));
        assert!(!means("client_id=rders-7"));
        assert!(means(
            "client_software_name = apache-kafka-java, client_software_version=4\\.1\\..*"
        ));
        assert!(!means("client_software_name=apache-kafka-java,client_software_version=3.*"));
        assert!(means("client_source_address=10\\.0\\.0\\..*,client_source_port=4.*"));
        assert!(means("client_instance_id=A+Q"));
        let nameless = Client { id: None, ..client() };
        let any = Subscription::new(&values(&[("match", "client_id=.*")])).expect("valid");
        assert!(!any.means(&nameless), "what is not said matches nothing");
    }

    #[test]
    fn what_is_wanted_is_all_that_any_subscription_wants() {
        let mut all = Subscriptions::default();
        let mut set = |name, pairs: &[(&str, &str)]| all.set(name, &values(pairs)).expect("valid");
        set("a", &[("metrics", "org.apache.b, org.apache.a"), ("interval.ms", "60000")]);
        set("b", &[("metrics", "org.apache.a,x"), ("match", "client_id=orders.*")]);
        set("c", &[("metrics", "*"), ("interval.ms", "100"), ("match", "client_id=other")]);
        let wanted = all.wanted_of(&client());
        let metrics: Vec<_> = wanted.metrics.iter().map(String::as_str).collect();
        assert_eq!(
            (&metrics[..], wanted.interval_ms),
            (&["org.apache.a", "org.apache.b", "x"][..], 60_000)
        );
        let other = Client { id: Some("other".to_string()), ..client() };
        let wanted = all.wanted_of(&other);
        assert_eq!((wanted.metrics.len(), wanted.interval_ms), (1, 100), "* alone stands for all");
        for name in ["a", "b", "c"] {
            all.set(name, &Values::new()).expect("no settings");
        }
        assert!(all.is_empty());
        let nothing = all.wanted_of(&client());
        assert_eq!((nothing.metrics.len(), nothing.interval_ms), (0, DEFAULT_INTERVAL_MS));
    }

    #[test]
    fn patterns_that_cannot_be_are_named() {
        for wrong in
            ["x=y", "client_id", "client_id=(", "client_id=a)|(b", "client_id=(a{1000}){1000}"]
        {
            let refused = Subscription::new(&values(&[("match", wrong)]));
            assert_eq!(refused.err(), Some(SubscriptionError::Pattern(wrong.to_string())));
        }
    }
}
