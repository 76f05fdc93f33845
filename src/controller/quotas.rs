//! Decisions about quotas of clients (KIP-546). They are kept; nothing enforces them yet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::record::MetadataRecord;
use super::state::{ApiError, Controller};
use crate::metadata::{QuotaEntity, Quotas};
use crate::wire::ErrorCode;

/// Changes of one entity's quotas, of which all or none are made.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaChange {
    pub entity: QuotaEntity,
    /// Names of quotas, with what becomes of each; `None`: there is none any more.
    pub ops: Vec<(String, Option<f64>)>,
}

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";
/// Entities that may have quotas.
const MOST_ENTITIES: usize = 100_000;

/// A quota, whether it is for addresses (else users and clients), and the most it may be where it is a
/// whole number.
const KEYS: &[(&str, bool, Option<f64>)] = &[
    ("producer_byte_rate", false, Some(i64::MAX as f64)),
    ("consumer_byte_rate", false, Some(i64::MAX as f64)),
    ("request_percentage", false, None),
    ("controller_mutation_rate", false, None),
    ("connection_creation_rate", true, Some(i32::MAX as f64)),
];

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

impl Controller {
    /// Decides about other quotas of an entity.
    ///
    /// # Errors
    /// Kafka's code, and words.
    pub fn alter_quota(&self, change: &QuotaChange) -> Result<MetadataRecord, ApiError> {
        let by_address = check_entity(&change.entity)?;
        let known = self.image().quotas.of(&change.entity);
        if known.is_none() && self.image().quotas.len() >= MOST_ENTITIES {
            let message = format!("More than {MOST_ENTITIES} entities cannot have quotas.");
            return Err(ApiError::new(ErrorCode::PolicyViolation, message));
        }
        let mut quotas = known.cloned().unwrap_or_default();
        for (at, (name, value)) in change.ops.iter().enumerate() {
            if change.ops[..at].iter().any(|(before, _)| before == name) {
                return Err(invalid(format!("The quota {name} is named twice.")));
            }
            match value {
                None => drop(quotas.remove(name)),
                Some(value) => {
                    check_value(name, *value, by_address)?;
                    quotas.insert(name.clone(), *value);
                }
            }
        }
        Ok(record(&change.entity, &quotas))
    }
}

/// What is kept of an entity's quotas: those it has from now on.
pub(super) fn record(entity: &QuotaEntity, quotas: &Quotas) -> MetadataRecord {
    MetadataRecord::ClientQuotas {
        entity: entity.clone().into_iter().collect(),
        quotas: quotas.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect(),
    }
}

/// Whether the quotas are for addresses.
fn check_entity(entity: &QuotaEntity) -> Result<bool, ApiError> {
    if entity.is_empty() {
        return Err(invalid("A quota is for a user, a client-id or an ip.".to_string()));
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(invalid(format!("There is no kind of entity {kind} with quotas.")));
        }
        if name.as_ref().is_some_and(String::is_empty) {
            return Err(invalid(format!("The name of a {kind} cannot be empty.")));
        }
    }
    let Some(address) = entity.get(IP) else { return Ok(false) };
    if entity.len() > 1 {
        return Err(invalid("An ip has quotas by itself, without user or client-id.".to_string()));
    }
    match address {
        Some(address) if address.parse::<IpAddr>().is_err() => {
            Err(invalid(format!("{address} is not an IP address; host names are not looked up.")))
        }
        _ => Ok(true),
    }
}

fn check_value(name: &str, value: f64, by_address: bool) -> Result<(), ApiError> {
    let known = KEYS.iter().find(|(key, of_address, _)| *key == name && *of_address == by_address);
    let Some((_, _, whole)) = known else {
        let keys: BTreeMap<_, _> =
            KEYS.iter().filter(|key| key.1 == by_address).map(|key| (key.0, ())).collect();
        let keys: Vec<&str> = keys.into_keys().collect();
        return Err(invalid(format!("There is no quota {name} here, but {}.", keys.join(", "))));
    };
    // Not a number is not greater than anything.
    if value.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return Err(invalid(format!("The quota {name} must be greater than 0.")));
    }
    match whole {
        Some(most) if value > *most => Err(invalid(format!("The quota {name} is too large."))),
        Some(_) if value % 1.0 > 1e-6 => Err(invalid(format!("{name} must be a whole number."))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_values_are_kafkas() {
        let entity = |parts: &[(&str, Option<&str>)]| -> QuotaEntity {
            parts.iter().map(|(kind, name)| (kind.to_string(), name.map(str::to_string))).collect()
        };
        type Parts<'a> = &'a [(&'a str, Option<&'a str>)];
        let cases: &[(Parts<'_>, Option<bool>)] = &[
            (&[("user", Some("u"))], Some(false)),
            (&[("user", None), ("client-id", Some("c"))], Some(false)),
            (&[("ip", Some("10.0.0.1"))], Some(true)),
            (&[("ip", Some("::1"))], Some(true)),
            (&[("ip", None)], Some(true)),
            (&[], None),
            (&[("ip", Some("nonsense"))], None),
            (&[("ip", None), ("user", None)], None),
            (&[("user", Some(""))], None),
            (&[("topic", Some("t"))], None),
        ];
        for (parts, expected) in cases {
            assert_eq!(check_entity(&entity(parts)).ok(), *expected, "{parts:?}");
        }
        let cases = [
            ("producer_byte_rate", 1.0, false, true),
            ("producer_byte_rate", 1.5, false, false),
            ("producer_byte_rate", 0.0, false, false),
            ("producer_byte_rate", f64::NAN, false, false),
            ("producer_byte_rate", f64::INFINITY, false, false),
            ("producer_byte_rate", 1.0, true, false),
            ("request_percentage", 0.5, false, true),
            ("connection_creation_rate", 10.0, true, true),
            ("connection_creation_rate", 3e9, true, false),
            ("nonsense", 1.0, false, false),
        ];
        for (name, value, by_address, good) in cases {
            assert_eq!(check_value(name, value, by_address).is_ok(), good, "{name}={value}");
        }
    }
}
