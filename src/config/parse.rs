//! Configuration files: ours in TOML, and Kafka's `server.properties`.

use std::collections::BTreeMap;
use std::path::Path;

use java_properties::{LineContent, PropertiesIter};
use toml::de::{DeTable, DeValue};

use super::setting::Standing;
use super::{broker, BrokerConfig};

/// What is wrong with a configuration file: where, which setting and value, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{file}: {message}")]
    File { file: String, message: String },
    #[error("{file}:{line}: {key} = {value}: {why}")]
    Value { file: String, line: usize, key: String, value: String, why: String },
    #[error("{file}:{line}: {message}")]
    Line { file: String, line: usize, message: String },
}

/// A setting as a file has it.
struct Entry {
    name: String,
    value: String,
    line: usize,
}

/// Reads a configuration file over the defaults: as its name ends, `.toml` or `.properties`; another one
/// as TOML where it is that, else as properties.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_file(path: &Path) -> Result<BrokerConfig, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| ConfigError::File { file: file.clone(), message: e.to_string() })?;
    let is_toml = match path.extension().and_then(|e| e.to_str()) {
        Some("toml") => true,
        Some("properties") => false,
        _ => DeTable::parse(&text).is_ok(),
    };
    match is_toml {
        true => parse_toml(&text, &file),
        false => parse_properties(&text, &file),
    }
}

/// Reads TOML; `file` names it in errors.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse_toml(text: &str, file: &str) -> Result<BrokerConfig, ConfigError> {
    let table = DeTable::parse(text).map_err(|e| ConfigError::File {
        file: file.to_string(),
        message: e.to_string().trim_end().to_string(),
    })?;
    let mut found = Vec::new();
    flatten(table.get_ref(), "", &mut found);
    let entries = found.into_iter().map(|(name, value, at)| {
        let line = text[..at].matches('\n').count() + 1;
        Entry { name, value, line }
    });
    configured(entries.collect(), file)
}

/// Reads Java's properties, as Kafka does: of a name that is there twice the last one counts.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse_properties(text: &str, file: &str) -> Result<BrokerConfig, ConfigError> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for line in PropertiesIter::new(text.as_bytes()) {
        let line = line.map_err(|e| ConfigError::File {
            file: file.to_string(),
            message: format!("this is neither TOML nor Java's properties: {e}"),
        })?;
        if let LineContent::KVPair(name, value) = line.content() {
            let value = value.trim().to_string();
            let entry = Entry { name: name.clone(), value, line: line.line_number() };
            entries.insert(name.clone(), entry);
        }
    }
    configured(entries.into_values().collect(), file)
}

fn configured(entries: Vec<Entry>, file: &str) -> Result<BrokerConfig, ConfigError> {
    let mut config = BrokerConfig::default();
    let file = file.to_string();
    if let Some(Entry { name, line, .. }) =
        entries.iter().find(|entry| broker::find(&entry.name).is_none())
    {
        let message = format!("{name}: {}", broker::unknown(name));
        return Err(ConfigError::Line { file, line: *line, message });
    }
    let stated = |entry: &Entry| (entry.name.clone(), entry.value.clone());
    config.stated = entries.iter().map(stated).collect();
    // In the tables' order, not the file's: which synonym counts does not depend on that.
    for setting in broker::all() {
        let Some(entry) = entries.iter().find(|entry| entry.name == setting.name) else { continue };
        setting.put(&mut config, &entry.value).map_err(|why| ConfigError::Value {
            file: file.clone(),
            line: entry.line,
            key: entry.name.clone(),
            value: entry.value.clone(),
            why,
        })?;
    }
    match config.finish() {
        Ok(()) => Ok(config),
        Err(message) => {
            let named = |entry: &&Entry| {
                message.starts_with(&format!("{} ", entry.name))
                    || message.starts_with(&format!("{}:", entry.name))
            };
            Err(match entries.iter().find(named) {
                Some(Entry { line, .. }) => ConfigError::Line { file, line: *line, message },
                None => ConfigError::File { file, message },
            })
        }
    }
}

impl BrokerConfig {
    /// Sets one setting as a file would; [`BrokerConfig::finish`] has to follow.
    ///
    /// # Errors
    /// What is wrong with the name or the value.
    pub fn state(&mut self, name: &str, value: &str) -> Result<(), String> {
        let setting = broker::find(name).ok_or_else(|| broker::unknown(name))?;
        setting.put(self, value)?;
        self.stated.insert(name.to_string(), value.to_string());
        Ok(())
    }

    /// What is set and changes nothing, each with the reason.
    pub fn in_vain(&self) -> Vec<String> {
        let of = |name: &String| broker::find(name);
        let none = self.stated.keys().filter_map(of).filter_map(|setting| match setting.standing {
            Standing::NoEffect(why) => Some(format!("{} has no effect: {why}", setting.name)),
            Standing::Honoured(_) | Standing::Refused(_) => None,
        });
        none.collect()
    }
}

/// `[log] dirs = …`, `log.dirs = …` and `"log.dirs" = …` are the same key.
fn flatten(table: &DeTable<'_>, prefix: &str, out: &mut Vec<(String, String, usize)>) {
    for (key, value) in table {
        let name = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, &name, out),
            other => out.push((name, as_text(other), key.span().start)),
        }
    }
}

fn as_text(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().replace('_', ""),
        DeValue::Float(number) => number.as_str().to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(entries) => {
            let parts: Vec<String> = entries.iter().map(|e| as_text(e.get_ref())).collect();
            parts.join(",")
        }
        DeValue::Table(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Advertise;
    use super::*;

    #[test]
    fn quoted_dotted_and_tabled_keys_are_the_same() {
        for text in
            ["\"log.dirs\" = [\"/a\", \"/b\"]", "log.dirs = \"/a,/b\"", "[log]\ndirs='/a, /b'"]
        {
            let config = parse_toml(text, "f").expect(text);
            assert_eq!(config.log_dirs.len(), 2, "{text}");
        }
        let config = parse_toml("advertise='per-shard'\nmemory='1GiB'\ncores='0,2-3'", "f");
        let config = config.expect("valid");
        assert_eq!(config.advertise, Advertise::PerShard);
        assert_eq!(config.memory_bytes, Some(1 << 30));
        assert_eq!(config.cores, Some(vec![0, 2, 3]));
    }

    #[test]
    fn errors_name_file_line_key_value_and_what_is_allowed() {
        let cases = [
            ("\n\nshards=0", "f:3: shards = 0: Value must be at least 1"),
            (
                "auto.create.topics.enable=yes",
                "f:1: auto.create.topics.enable = yes: Expected value to be either true or false",
            ),
            ("lisseners=x", "f:1: lisseners: this is not known; did you mean listeners?"),
            ("listeners=SSL://h:1", "f:1: listeners: the protocol 'SSL' of SSL is not served yet"),
            ("log.segment.bytes=x", "f:1: log.segment.bytes = x: Not a number of type INT"),
            ("ssl.keystore.location=/x", "f:1: ssl.keystore.location = /x: this is not supported"),
            ("a.b=1\nnode.id=2", "f:1: a.b: this is not known"),
            ("controller.quorum.voters=2@h:1", "f:1: controller.quorum.voters = 2@h:1: it has to"),
            (
                "group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8",
                "f:1: group.min.session.timeout.ms = 9 is more than",
            ),
            ("advertised.listeners=PLAINTEXT://0.0.0.0:1", "f:1: advertised.listeners: clients"),
            ("process.roles=broker", "f:1: process.roles = broker: broker,controller is allowed"),
        ];
        for (text, expected) in cases {
            let error = parse_properties(text, "f").expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(parse_toml("a = ", "f").is_err());
        let error = parse_toml("\n[auto.create.topics]\nenable = 'yes'", "f").expect_err("no");
        assert!(error.to_string().starts_with("f:3: auto.create.topics.enable = yes"), "{error}");
    }

    #[test]
    fn a_synonym_counts_by_its_rank_not_by_its_line() {
        for text in [
            "log.retention.ms=5\nlog.retention.hours=1\nnode.id=4\nbroker.id=3",
            "broker.id=3\nnode.id=4\nlog.retention.hours=1\nlog.retention.ms=5",
        ] {
            let config = parse_properties(text, "f").expect(text);
            assert_eq!((config.node_id, config.topic_defaults.log.retention_ms), (4, 5));
        }
        let config = parse_properties("log.retention.minutes=2\nlog.retention.hours=1", "f");
        assert_eq!(config.expect("valid").topic_defaults.log.retention_ms, 120_000);
        let config = parse_properties("log.retention.hours=-1", "f").expect("for ever");
        assert_eq!(config.topic_defaults.log.retention_ms, -1);
    }

    #[test]
    fn kafkas_own_file_is_taken_as_it_is() {
        let text = "process.roles=broker,controller\nnode.id=1\n\
                    controller.quorum.bootstrap.servers=localhost:9093\n\
                    listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
                    inter.broker.listener.name=PLAINTEXT\n\
                    advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
                    controller.listener.names=CONTROLLER\n\
                    listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
                    SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
                    num.network.threads=3\nlog.dirs=/tmp/kraft-combined-logs\n\
                    transaction.state.log.min.isr=1\nlog.retention.hours=168\n";
        let config = parse_properties(text, "server.properties").expect("valid");
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.advertised_listeners[0].to_string(), "localhost:9092");
        let in_vain = ["num.network.threads has no effect: one thread a shard does it; set shards"];
        assert_eq!(config.in_vain(), in_vain);
    }

    #[test]
    fn the_shipped_files_are_valid_and_show_the_defaults() {
        let unstated = |text: &str, file| {
            let config = parse_toml(text, file).expect("valid");
            BrokerConfig { stated: Default::default(), ..config }
        };
        let shipped = include_str!("../../config/corelane.toml");
        assert_eq!(unstated(shipped, "corelane.toml"), BrokerConfig::default());
        let uncommented = shipped.replace("\n#\"", "\n\"");
        let config = unstated(&uncommented, "corelane.toml");
        assert_eq!(config, BrokerConfig::default(), "what is shown is the default");
        let production = include_str!("../../config/production.toml");
        assert!(!unstated(production, "production.toml").auto_create_topics);
    }
}
