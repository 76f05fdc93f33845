//! Single settings that are set, deleted, or changed as lists (KIP-339).

use super::state::ApiError;
use crate::config::entries;
use crate::config::layers::Values;
use crate::config::setting::Kind;
use crate::wire::ErrorCode;

/// What is to become of one setting (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    Set,
    /// What stands behind it holds again.
    Delete,
    /// Entries of a list are added, or taken out.
    Append,
    Subtract,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub op: ConfigOp,
    pub value: Option<String>,
}

/// What values become by changes; `replace_all`: what is not named goes. `known`: a setting's type, and the value that holds without one.
///
/// # Errors
/// Kafka's code and words.
pub fn altered(
    now: &Values,
    replace_all: bool,
    changes: &[ConfigChange],
    known: impl Fn(&str) -> Option<(Kind, String)>,
) -> Result<Values, ApiError> {
    let mut values = if replace_all { Values::new() } else { now.clone() };
    for ConfigChange { name, op, value } in changes {
        if *op == ConfigOp::Delete {
            values.remove(name);
            continue;
        }
        let Some(value) = value else {
            let message = format!("Null value not supported for : {name}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        };
        let value = match op {
            ConfigOp::Set | ConfigOp::Delete => value.trim().to_string(),
            ConfigOp::Append | ConfigOp::Subtract => {
                let list = known(name).filter(|(kind, _)| *kind == Kind::List);
                let Some((_, default)) = list else {
                    let op = format!("{op:?}").to_uppercase();
                    let why = format!("Can't {op} to key {name} because its type is not LIST.");
                    return Err(ApiError::new(ErrorCode::InvalidConfig, why));
                };
                other_list(values.get(name).unwrap_or(&default), *op, value)
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn other_list(now: &str, op: ConfigOp, value: &str) -> String {
    let mut list: Vec<&str> = entries(now).collect();
    for entry in entries(value) {
        match op {
            ConfigOp::Subtract => list.retain(|there| *there != entry),
            _ if list.contains(&entry) => {}
            _ => list.push(entry),
        }
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic;

    type Change<'a> = (&'a str, ConfigOp, Option<&'a str>);
    use ConfigOp::{Append, Delete, Set, Subtract};

    #[test]
    fn settings_are_set_deleted_and_lists_changed() {
        let now = Values::from([
            ("retention.ms".to_string(), "5".to_string()),
            ("cleanup.policy".to_string(), "compact".to_string()),
        ]);
        let known = |name: &str| Some((topic::find(name)?.kind, "delete".to_string()));
        let cases: &[(&[Change<'_>], Result<&str, ErrorCode>)] = &[
            (&[("retention.ms", Set, Some("9"))], Ok("cleanup.policy=compact retention.ms=9")),
            (&[("retention.ms", Delete, None)], Ok("cleanup.policy=compact")),
            (
                &[("cleanup.policy", Append, Some("delete,compact"))],
                Ok("cleanup.policy=compact,delete retention.ms=5"),
            ),
            (
                &[("cleanup.policy", Subtract, Some("compact"))],
                Ok("cleanup.policy= retention.ms=5"),
            ),
            (&[("retention.ms", Append, Some("9"))], Err(ErrorCode::InvalidConfig)),
            (&[("retention.ms", Set, None)], Err(ErrorCode::InvalidRequest)),
            (&[("no.such", Append, Some("1"))], Err(ErrorCode::InvalidConfig)),
        ];
        for (asked, expected) in cases {
            let change = |(name, op, value): &Change<'_>| {
                let (name, value) = (name.to_string(), value.map(str::to_string));
                ConfigChange { name, op: *op, value }
            };
            let asked: Vec<_> = asked.iter().map(change).collect();
            let after = altered(&now, false, &asked, known);
            let told = after.map(|values| {
                let all = values.iter().map(|(name, value)| format!("{name}={value}"));
                all.collect::<Vec<_>>().join(" ")
            });
            let told = told.as_deref().map_err(|error| error.code);
            assert_eq!(told, *expected, "{asked:?}");
        }
    }
}
