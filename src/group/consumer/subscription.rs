//! Which topics members read: those that they name, and those that a pattern stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Group, Key, Matched, Metadata, Refused, Topic, Value};
use crate::metadata::MetadataImage;
use crate::pattern::{self, PatternError};
use crate::wire::ErrorCode;

/// Most patterns of a group: each holds the names of its topics.
const MOST_PATTERNS: usize = 64;
/// Time between two looks for new topics that patterns match.
const MATCH_PAUSE_MS: i64 = 1_000;

/// What patterns stand for in a change of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    pub image: u64,
    pub patterns: Vec<(String, BTreeSet<String>)>,
}

/// # Errors
/// It is not a pattern, or one that is too large.
pub fn check_pattern(text: &str) -> Result<(), Refused> {
    let refused = |why: PatternError| {
        let message = match why {
            PatternError::Long => {
                format!("SubscribedTopicRegex is longer than {} bytes.", pattern::MOST_BYTES)
            }
            _ => format!("SubscribedTopicRegex `{text}` is not a valid regular expression: {why}."),
        };
        Refused::new(ErrorCode::InvalidRegularExpression, message)
    };
    pattern::whole(text).map(drop).map_err(refused)
}

/// Matches all topics; takes time where there are many.
pub fn resolve(patterns: Vec<String>, image: &MetadataImage) -> Resolved {
    let matching = |text: &str| -> BTreeSet<String> {
        // They were checked when they came.
        let Ok(regex) = pattern::whole(text) else { return BTreeSet::new() };
        let names = image.topics.keys().map(|name| name.as_str());
        names.filter(|name| regex.is_match(name)).map(str::to_string).collect()
    };
    let patterns = patterns.into_iter().map(|pattern| {
        let topics = matching(&pattern);
        (pattern, topics)
    });
    Resolved { image: image.epoch, patterns: patterns.collect() }
}

impl Group {
    /// Patterns that have to be [resolved](resolve) before a heartbeat that says `said`.
    ///
    /// # Errors
    /// The group has too many.
    pub fn unresolved(
        &self,
        now_ms: i64,
        said: Option<&String>,
        image: &MetadataImage,
    ) -> Result<Vec<String>, Refused> {
        let mut used: BTreeSet<&String> =
            self.members.values().filter_map(|member| member.metadata.regex.as_ref()).collect();
        used.extend(said.filter(|said| !said.is_empty()));
        if used.len() > MOST_PATTERNS {
            let message = format!("A group has no more than {MOST_PATTERNS} regular expressions.");
            return Err(Refused::new(ErrorCode::InvalidRegularExpression, message));
        }
        let old = self.matched_image != Some(image.epoch)
            && now_ms.saturating_sub(self.matched_ms) >= MATCH_PAUSE_MS;
        used.retain(|pattern| old || !self.patterns.contains_key(*pattern));
        Ok(used.into_iter().cloned().collect())
    }

    /// Whether that changes what somebody reads.
    pub(super) fn put_resolved(&mut self, now_ms: i64, resolved: Option<Resolved>) -> bool {
        let Some(resolved) = resolved else { return false };
        let mut changed = false;
        let used = |group: &Group, pattern: &String| {
            group.members.values().any(|member| member.metadata.regex.as_ref() == Some(pattern))
        };
        for (pattern, topics) in resolved.patterns {
            let known = self.patterns.get(&pattern);
            if known.is_some_and(|known| known.topics == topics) || !used(self, &pattern) {
                continue;
            }
            changed = true;
            let matched = Matched { topics, version: resolved.image as i64, at_ms: now_ms };
            self.write(Key::Pattern(pattern), Some(Value::Pattern(matched)));
        }
        self.matched_image = Some(resolved.image);
        self.matched_ms = now_ms;
        changed
    }

    /// Names that a member reads.
    fn reads<'a>(&'a self, metadata: &'a Metadata) -> impl Iterator<Item = &'a String> {
        let matched = metadata.regex.as_ref().and_then(|pattern| self.patterns.get(pattern));
        metadata.topics.iter().chain(matched.into_iter().flat_map(|matched| &matched.topics))
    }

    /// Topics among `known` that a member reads.
    pub(super) fn topics_of(&self, metadata: &Metadata) -> BTreeSet<crate::wire::Uuid> {
        self.reads(metadata).filter_map(|name| self.topics.get(name)).map(|t| t.id).collect()
    }

    /// Begins a new epoch if somebody reads something else (`changed`), or a topic that is read has
    /// come, grown or gone.
    pub(super) fn follow_topics(&mut self, mut changed: bool, image: &MetadataImage) {
        if changed {
            self.forget_unread();
        }
        if changed || self.epoch > self.target_epoch || self.seen_image != Some(image.epoch) {
            let mut topics = BTreeMap::new();
            for name in self.members.values().flat_map(|member| self.reads(&member.metadata)) {
                if topics.contains_key(name) {
                    continue;
                }
                if let Some(topic) = image.by_name(name) {
                    let partitions = topic.partitions.len() as i32;
                    topics.insert(name.clone(), Topic { id: topic.id, partitions });
                }
            }
            if topics != self.topics {
                changed = true;
                self.write(Key::Topics, Some(Value::Topics(topics)));
            }
            self.seen_image = Some(image.epoch);
        }
        if changed {
            self.write(Key::Group, Some(Value::Epoch(self.epoch + 1)));
        }
    }

    /// Forgets topics and patterns that nobody reads any more.
    pub(super) fn forget_unread(&mut self) {
        let used: BTreeSet<&String> =
            self.members.values().filter_map(|member| member.metadata.regex.as_ref()).collect();
        let unused = self.patterns.keys().filter(|pattern| !used.contains(pattern));
        for pattern in unused.cloned().collect::<Vec<_>>() {
            self.write(Key::Pattern(pattern), None);
        }
        let read: BTreeSet<&String> =
            self.members.values().flat_map(|member| self.reads(&member.metadata)).collect();
        if self.topics.keys().any(|name| !read.contains(name)) {
            let mut topics = self.topics.clone();
            topics.retain(|name, _| read.contains(name));
            self.write(Key::Topics, Some(Value::Topics(topics)));
        }
    }
}
