//! Where values of settings come from (KIP-226), and how they are shown.

use std::collections::BTreeMap;

use super::setting::{Kind, Setting, Update};
use super::{broker, client_metrics, group, topic};

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// Where a value comes from, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Topic = 1,
    Broker = 2,
    AllBrokers = 3,
    File = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

/// A value that a setting has, or would have without those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub value: String,
    pub source: Source,
}

/// A setting as DescribeConfigs tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: &'static str,
    /// `None`: there is none, or it is a secret.
    pub value: Option<String>,
    pub source: Source,
    pub read_only: bool,
    pub sensitive: bool,
    pub kind: Kind,
    pub doc: &'static str,
    /// The first is in force.
    pub synonyms: Vec<Synonym>,
}

/// A broker's values: those before count.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// Set for this broker while it runs.
    pub own: &'a Values,
    /// Set for all brokers.
    pub all: &'a Values,
    /// In the file.
    pub stated: &'a Values,
}

/// Settings of brokers that stand in for each other; the first that is set counts.
const FAMILIES: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

impl Layers<'_> {
    /// All settings of the broker that Kafka shows, or that are set.
    pub fn broker(&self) -> Vec<Described> {
        let shown = |setting: &&Setting<_>| {
            !broker::is_hidden(setting) || self.find(setting.name).is_some()
        };
        let describe = |setting: &Setting<_>| {
            let synonyms = self.synonyms(setting.name);
            let own = synonyms.first().filter(|first| first.name == setting.name);
            let source = own.map_or(Source::Default, |own| own.source);
            let value = own.map(|own| own.value.clone());
            described(setting, value, source, setting.update == Update::ReadOnly, synonyms)
        };
        broker::all().filter(shown).map(describe).collect()
    }

    /// What is set for all brokers while they run.
    pub fn all_brokers(&self) -> Vec<Described> {
        let describe = |setting: &Setting<_>| {
            let value = self.all.get(setting.name)?.clone();
            let source = Source::AllBrokers;
            let synonyms = vec![Synonym { name: setting.name, value: value.clone(), source }];
            Some(described(setting, Some(value), source, false, synonyms))
        };
        broker::all().filter_map(describe).collect()
    }

    /// All settings of a topic that has `own`.
    pub fn topic(&self, own: &Values) -> Vec<Described> {
        let describe = |setting: &Setting<_>| {
            let mut synonyms = match topic::synonyms(setting.name).first() {
                Some(first) => self.synonyms(first),
                None => Vec::new(),
            };
            let value = own.get(setting.name).cloned();
            if let Some(value) = value.clone() {
                synonyms.insert(0, Synonym { name: setting.name, value, source: Source::Topic });
            }
            let source = synonyms.first().map_or(Source::Default, |first| first.source);
            let value = value.or_else(|| self.in_force(topic::synonyms(setting.name)));
            let value = value.or_else(|| setting.default.map(str::to_string));
            described(setting, value, source, false, synonyms)
        };
        topic::SETTINGS.iter().map(describe).collect()
    }

    /// All settings of a group that has `own`.
    pub fn group(&self, own: &Values) -> Vec<Described> {
        let describe = |setting: &Setting<_>| {
            let brokers = group::synonym(setting.name).and_then(|name| self.in_force(&[name]));
            let default = brokers.or_else(|| setting.default.map(str::to_string));
            let mut synonyms = Vec::new();
            let mut add = |value: &String, source| {
                synonyms.push(Synonym { name: setting.name, value: value.clone(), source });
            };
            own.get(setting.name).iter().for_each(|value| add(value, Source::Group));
            default.iter().for_each(|value| add(value, Source::Default));
            let first = synonyms.first();
            let source = first.map_or(Source::Default, |first| first.source);
            let value = first.map(|first| first.value.clone());
            described(setting, value, source, false, synonyms)
        };
        group::SETTINGS.iter().map(describe).collect()
    }

    /// A setting's own value, if it has one that is not the default.
    fn find(&self, name: &str) -> Option<(&String, Source)> {
        let layers = [
            (self.own, Source::Broker),
            (self.all, Source::AllBrokers),
            (self.stated, Source::File),
        ];
        layers.into_iter().find_map(|(values, source)| Some((values.get(name)?, source)))
    }

    /// The value in force of the first of some settings that has one; times in milliseconds.
    pub fn in_force(&self, names: &[&'static str]) -> Option<String> {
        let set = names.iter().find_map(|name| Some((*name, self.find(name)?.0.clone())));
        let (name, value) = set.or_else(|| {
            let default = |name: &&'static str| Some((*name, broker::find(name)?.default?));
            names.iter().find_map(default).map(|(name, value)| (name, value.to_string()))
        })?;
        let factor = match name.rsplit('.').next() {
            Some("hours") => 3_600_000,
            Some("minutes") if name != "offsets.retention.minutes" => 60_000,
            // Anything below zero is for ever.
            Some("ms") if name == "log.retention.ms" => 1,
            _ => return Some(value),
        };
        let ms = value.trim().parse::<i64>().ok()?.saturating_mul(factor);
        Some(ms.max(-1).to_string())
    }

    /// All values of a setting and of those that stand in for it, from its own first one on (as Kafka
    /// tells them).
    fn synonyms(&self, name: &'static str) -> Vec<Synonym> {
        let single = [name];
        let family = FAMILIES.iter().find(|family| family.contains(&name));
        let family = family.map_or(&single[..], |family| family);
        let layers = [
            (self.own, Source::Broker),
            (self.all, Source::AllBrokers),
            (self.stated, Source::File),
        ];
        let mut out = Vec::new();
        for (values, source) in layers {
            for name in family {
                if let Some(value) = values.get(*name) {
                    out.push(Synonym { name, value: value.clone(), source });
                }
            }
        }
        for name in family {
            if let Some(default) = broker::find(name).and_then(|setting| setting.default) {
                let (value, source) = (default.to_string(), Source::Default);
                out.push(Synonym { name, value, source });
            }
        }
        let skipped = out.iter().position(|synonym| synonym.name == name);
        out.split_off(skipped.unwrap_or(out.len()))
    }
}

/// All settings of a subscription to clients' metrics that has `own`.
pub fn client_metrics(own: &Values) -> Vec<Described> {
    let describe = |setting: &Setting<_>| {
        let value = own.get(setting.name).cloned();
        let source = Source::ClientMetrics;
        let synonym = |value: &String| Synonym { name: setting.name, value: value.clone(), source };
        let synonyms: Vec<_> = value.iter().map(synonym).collect();
        let source = if value.is_some() { source } else { Source::Default };
        let value = value.or_else(|| setting.default.map(str::to_string));
        described(setting, value, source, false, synonyms)
    };
    client_metrics::SETTINGS.iter().map(describe).collect()
}

fn described<C>(
    setting: &Setting<C>,
    value: Option<String>,
    source: Source,
    read_only: bool,
    synonyms: Vec<Synonym>,
) -> Described {
    let sensitive = setting.kind == Kind::Password;
    Described {
        name: setting.name,
        value: value.filter(|_| !sensitive),
        source,
        read_only,
        sensitive,
        kind: setting.kind,
        doc: setting.doc,
        synonyms: if sensitive { Vec::new() } else { synonyms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn shown(all: &[Described], name: &str) -> String {
        let one = all.iter().find(|one| one.name == name).expect(name);
        let synonyms: Vec<String> = one
            .synonyms
            .iter()
            .map(|synonym| format!("{}={}@{}", synonym.name, synonym.value, synonym.source as i8))
            .collect();
        let value = one.value.clone().unwrap_or("null".to_string());
        format!("{value}@{} {}", one.source as i8, synonyms.join(" "))
    }

    #[test]
    fn values_and_synonyms_are_as_kafka_tells_them() {
        let (own, all, stated) = (
            values(&[("log.retention.ms", "9"), ("ssl.key.password", "x")]),
            values(&[("log.retention.ms", "8"), ("num.io.threads", "9")]),
            values(&[("log.retention.hours", "24"), ("node.id", "1")]),
        );
        let layers = Layers { own: &own, all: &all, stated: &stated };
        let broker = layers.broker();
        let ms = "log.retention.ms=9@2 log.retention.ms=8@3 log.retention.hours=24@4 \
                  log.retention.hours=168@5";
        assert_eq!(shown(&broker, "log.retention.ms"), format!("9@2 {ms}"));
        let hours = "24@4 log.retention.hours=24@4 log.retention.hours=168@5";
        assert_eq!(shown(&broker, "log.retention.hours"), hours);
        assert_eq!(shown(&broker, "log.retention.minutes"), "null@5 ");
        assert_eq!(shown(&broker, "num.io.threads"), "9@3 num.io.threads=9@3 num.io.threads=8@5");
        assert_eq!(shown(&broker, "ssl.key.password"), "null@2 ");
        assert_eq!(layers.all_brokers().len(), 2);
        let topic = layers.topic(&values(&[("retention.bytes", "5")]));
        assert_eq!(shown(&topic, "retention.ms"), format!("9@2 {ms}"));
        let bytes = "5@1 retention.bytes=5@1 log.retention.bytes=-1@5";
        assert_eq!(shown(&topic, "retention.bytes"), bytes);
        assert_eq!(shown(&topic, "segment.ms"), "604800000@5 ");
    }

    #[test]
    fn a_topic_without_settings_has_those_of_the_file() {
        let (none, stated) = (Values::new(), values(&[("log.retention.hours", "1")]));
        let layers = Layers { own: &none, all: &none, stated: &stated };
        assert_eq!(shown(&layers.topic(&none), "retention.ms"), "3600000@5 ");
        let for_ever = values(&[("log.retention.ms", "-5")]);
        let broker = Layers { own: &none, all: &for_ever, stated: &none };
        assert!(shown(&broker.topic(&none), "retention.ms").starts_with("-1@3 "));
        let group = layers.group(&values(&[("consumer.session.timeout.ms", "50000")]));
        let timeout = "50000@8 consumer.session.timeout.ms=50000@8 \
                       consumer.session.timeout.ms=45000@5";
        assert_eq!(shown(&group, "consumer.session.timeout.ms"), timeout);
        assert_eq!(shown(&client_metrics(&none), "interval.ms"), "300000@5 ");
    }
}
