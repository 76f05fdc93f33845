//! Which name was meant by one that does not exist.

use std::cmp::Reverse;

/// The name with the most of its parts in common with `name`, the fewest others and, of those, the fewest
/// letters to change. Where none has a part in common: one with a letter or few to change.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let parts: Vec<&str> = parts(name).collect();
    let ranked = names.filter_map(|other| {
        let common = self::parts(other).filter(|part| parts.contains(part)).count();
        let foreign = self::parts(other).count() - common;
        let distance = strsim::damerau_levenshtein(name, other);
        let is_near = common > 0 || distance <= 1 + name.len() / 4;
        is_near.then_some((Reverse(common), foreign, distance, other))
    });
    ranked.min().map(|(_, _, _, other)| other)
}

fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', '-', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic::SETTINGS;

    #[test]
    fn the_nearest_name_shares_most_parts_and_then_most_letters() {
        for (name, expected) in [
            ("retention.byte", Some("retention.bytes")),
            ("retention_bytes", Some("retention.bytes")),
            ("retention", Some("retention.ms")),
            ("log.retention.ms", Some("retention.ms")),
            ("message.max.bytes", Some("max.message.bytes")),
            ("max.mesage.bytes", Some("max.message.bytes")),
            ("flush.message", Some("flush.messages")),
            ("cleanup.polcy", Some("cleanup.policy")),
            ("compresion.type", Some("compression.type")),
            ("segmentbytes", Some("segment.bytes")),
            ("min.insync.replica", Some("min.insync.replicas")),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, SETTINGS.iter().map(|one| one.name)), expected, "{name}");
        }
    }
}
