//! Patterns that clients send for names: RE2's syntax as far as the `regex` crate has it, matched against
//! whole names in linear time, bounded in length and in what they compile to.

use regex::{Regex, RegexBuilder};

/// Most bytes of a pattern.
pub const MOST_BYTES: usize = 1_024;
/// Most bytes that a compiled pattern takes; bounds the time for a name, too.
const MOST_COMPILED_BYTES: usize = 128 << 10;

/// Why there is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("it is longer than {MOST_BYTES} bytes")]
    Long,
    #[error("it is too large")]
    Large,
    #[error("its syntax is not RE2's")]
    Syntax,
}

/// The pattern for whole names.
///
/// # Errors
/// See [`PatternError`].
pub fn whole(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.len() > MOST_BYTES {
        return Err(PatternError::Long);
    }
    // One that is a pattern by itself cannot close our parenthesis.
    compile(pattern)?;
    compile(&format!("^(?:{pattern})$"))
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .size_limit(MOST_COMPILED_BYTES)
        .dfa_size_limit(MOST_COMPILED_BYTES)
        .nest_limit(64)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::Large,
            _ => PatternError::Syntax,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match_and_nothing_breaks_out() {
        let tx = whole("tx-[0-9]+").expect("a pattern");
        assert!(tx.is_match("tx-17") && !tx.is_match("atx-17") && !tx.is_match("tx-17b"));
        let either = whole("a|b").expect("a pattern");
        assert!(either.is_match("a") && !either.is_match("ac"));
        for (pattern, error) in [
            ("(", PatternError::Syntax),
            ("a)|(b", PatternError::Syntax),
            ("(?=x)", PatternError::Syntax),
            ("(a{1000}){1000}", PatternError::Large),
            (&"a".repeat(2_000), PatternError::Long),
        ] {
            assert_eq!(whole(pattern).err(), Some(error), "{pattern}");
        }
    }
}
