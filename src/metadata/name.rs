use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Kafka's limit: the name and a partition's number must fit a directory name.
const MAX_LEN: usize = 249;

/// A topic's name, known to be valid. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// # Errors
    /// Why the name is not allowed.
    pub fn parse(text: &str) -> Result<TopicName, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() {
            Err("a topic's name cannot be empty".to_string())
        } else if text == "." || text == ".." {
            Err("a topic's name cannot be \".\" or \"..\"".to_string())
        } else if text.len() > MAX_LEN {
            Err(format!("a topic's name is at most {MAX_LEN} characters long: {}", text.len()))
        } else if !text.chars().all(allowed) {
            Err("a topic's name has only letters, digits, '.', '_' and '-'".to_string())
        } else {
            Ok(TopicName(Arc::from(text)))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another name could have the same [`TopicName::collision_key`].
    pub fn may_collide(&self) -> bool {
        self.0.contains(['.', '_'])
    }

    /// Two names with the same key would collide in metric names, as Kafka sees it.
    pub fn collision_key(&self) -> String {
        self.0.replace('.', "_")
    }
}

/// Ordered and hashed as its text is: maps are asked by what a request says.
impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        for good in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert!(TopicName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(250)] {
            assert!(TopicName::parse(bad).is_err(), "{bad}");
        }
    }
}
