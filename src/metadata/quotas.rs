//! Quotas of clients (KIP-546), as they are stored: whom each is for, and its values.

use std::collections::BTreeMap;

/// Whom quotas are for: of each kind of entity (`user`, `client-id`, `ip`) a name, or the default of that
/// kind.
pub type QuotaEntity = BTreeMap<String, Option<String>>;

/// The values of one entity's quotas.
pub type Quotas = BTreeMap<String, f64>;

/// What an entity has of one kind, for it to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaMatch {
    /// This name, or the default.
    Exactly(Option<String>),
    Anything,
}

/// All quotas of clients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientQuotas {
    entities: BTreeMap<QuotaEntity, Quotas>,
}

impl ClientQuotas {
    pub fn of(&self, entity: &QuotaEntity) -> Option<&Quotas> {
        self.entities.get(entity)
    }

    pub fn len(&self) -> usize {
        self.entities.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &Quotas)> {
        self.entities.iter()
    }

    /// Puts an entity's quotas in the place of those it had; without any it is forgotten.
    pub fn set(&mut self, entity: QuotaEntity, quotas: Quotas) {
        match quotas.is_empty() {
            true => self.entities.remove(&entity),
            false => self.entities.insert(entity, quotas),
        };
    }

    /// The entities that have what is asked for of each kind; where `strict`, nothing else beside it.
    pub fn find<'a>(
        &'a self,
        asked: &'a BTreeMap<String, QuotaMatch>,
        strict: bool,
    ) -> impl Iterator<Item = (&'a QuotaEntity, &'a Quotas)> {
        let fits = move |entity: &QuotaEntity| {
            let has = |(kind, wanted): (&String, &QuotaMatch)| match wanted {
                QuotaMatch::Exactly(name) => entity.get(kind) == Some(name),
                QuotaMatch::Anything => entity.contains_key(kind),
            };
            (!strict || entity.len() == asked.len()) && asked.iter().all(has)
        };
        self.entities.iter().filter(move |(entity, _)| fits(entity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(parts: &[(&str, Option<&str>)]) -> QuotaEntity {
        parts.iter().map(|(kind, name)| (kind.to_string(), name.map(str::to_string))).collect()
    }

    #[test]
    fn entities_are_found_by_what_they_have() {
        use QuotaMatch::{Anything, Exactly};
        let mut quotas = ClientQuotas::default();
        let all = [
            entity(&[("user", Some("u")), ("client-id", Some("c"))]),
            entity(&[("user", Some("u"))]),
            entity(&[("user", None)]),
            entity(&[("client-id", None)]),
        ];
        for (at, entity) in all.iter().enumerate() {
            quotas.set(entity.clone(), BTreeMap::from([("rate".to_string(), at as f64)]));
        }
        let found = |asked: &[(&str, QuotaMatch)], strict| {
            let asked: BTreeMap<String, QuotaMatch> =
                asked.iter().map(|(kind, wanted)| (kind.to_string(), wanted.clone())).collect();
            let mut found: Vec<i32> =
                quotas.find(&asked, strict).map(|(_, values)| values["rate"] as i32).collect();
            found.sort_unstable();
            found
        };
        let named = |name: &str| Exactly(Some(name.to_string()));
        assert_eq!(found(&[], false), [0, 1, 2, 3]);
        assert!(found(&[], true).is_empty());
        assert_eq!(found(&[("user", named("u"))], false), [0, 1]);
        assert_eq!(found(&[("user", named("u"))], true), [1]);
        assert_eq!(found(&[("user", Exactly(None))], false), [2]);
        assert_eq!(found(&[("user", Anything)], false), [0, 1, 2]);
        assert_eq!(found(&[("user", Anything), ("client-id", named("c"))], true), [0]);
        quotas.set(all[1].clone(), BTreeMap::new());
        assert_eq!(quotas.len(), 3);
    }
}
