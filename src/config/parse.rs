use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{keys, BrokerConfig};

/// What is wrong with a configuration file: where, which key and value, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{file}: {message}")]
    File { file: String, message: String },
    #[error("{file}:{line}: {key} = {value}: {allowed}")]
    Value { file: String, line: usize, key: String, value: String, allowed: String },
    #[error("{file}:{line}: the key '{key}' is not known; all keys are in config/corelane.toml")]
    Unknown { file: String, line: usize, key: String },
}

/// Reads a configuration file over the defaults.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_file(path: &Path) -> Result<BrokerConfig, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| ConfigError::File { file: file.clone(), message: e.to_string() })?;
    parse_text(&text, &file)
}

/// Reads the text of a configuration file; `file` names it in errors.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse_text(text: &str, file: &str) -> Result<BrokerConfig, ConfigError> {
    let mut config = BrokerConfig::default();
    let table = DeTable::parse(text).map_err(|e| ConfigError::File {
        file: file.to_string(),
        message: e.to_string().trim_end().to_string(),
    })?;
    let mut entries = Vec::new();
    flatten(table.get_ref(), "", &mut entries);
    for (key, value, at) in entries {
        let line = text[..at].matches('\n').count() + 1;
        let file = file.to_string();
        match keys::set(&mut config, &key, &value) {
            Some(Ok(())) => {}
            Some(Err(allowed)) => {
                return Err(ConfigError::Value { file, line, key, value, allowed })
            }
            None => return Err(ConfigError::Unknown { file, line, key }),
        }
    }
    let checked = config.consumer_limits.check().and_then(|()| config.share_limits.check());
    checked.map_err(|message| ConfigError::File { file: file.to_string(), message })?;
    Ok(config)
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
    use super::super::{Advertise, KEYS};
    use super::*;
    use crate::metadata::TOPIC_KEYS;

    #[test]
    fn quoted_dotted_and_tabled_keys_are_the_same() {
        for text in
            ["\"log.dirs\" = [\"/a\", \"/b\"]", "log.dirs = \"/a,/b\"", "[log]\ndirs='/a, /b'"]
        {
            let config = parse_text(text, "f").expect(text);
            assert_eq!(config.log_dirs.len(), 2, "{text}");
        }
        let config = parse_text("advertise='per-shard'\nmemory='1GiB'\ncores='0,2-3'", "f");
        let config = config.expect("valid");
        assert_eq!(config.advertise, Advertise::PerShard);
        assert_eq!(config.memory_bytes, Some(1 << 30));
        assert_eq!(config.cores, Some(vec![0, 2, 3]));
    }

    #[test]
    fn errors_name_file_line_key_value_and_what_is_allowed() {
        let cases = [
            ("\n\nshards = 0", "f:3: shards = 0: a whole number from 1 to 1024 is allowed"),
            (
                "[auto.create.topics]\nenable = 'yes'",
                "f:2: auto.create.topics.enable = yes: true or false is allowed",
            ),
            ("lisseners = 'x'", "f:1: the key 'lisseners' is not known"),
            ("listeners = 'SSL://h:1'", "f:1: listeners = SSL://h:1: the protocol 'SSL'"),
            ("log.segment.bytes = 'x'", "f:1: log.segment.bytes = x:"),
        ];
        for (text, expected) in cases {
            let error = parse_text(text, "f").expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(parse_text("a = ", "f").is_err());
    }

    #[test]
    fn the_shipped_files_hold_every_key_and_the_defaults() {
        let shipped = include_str!("../../config/corelane.toml");
        for name in KEYS.iter().map(|k| k.name).chain(TOPIC_KEYS.iter().map(|k| k.broker_name)) {
            assert!(shipped.contains(&format!("\"{name}\" = ")), "{name} is missing");
        }
        let config = parse_text(shipped, "corelane.toml").expect("valid");
        assert_eq!(config, BrokerConfig::default());
        let uncommented = shipped.replace("\n#\"", "\n\"");
        let config = parse_text(&uncommented, "corelane.toml").expect("every example is valid");
        assert_eq!(config, BrokerConfig::default(), "what is shown is the default");
        let production = include_str!("../../config/production.toml");
        let config = parse_text(production, "production.toml").expect("valid");
        assert!(!config.auto_create_topics);
    }
}
