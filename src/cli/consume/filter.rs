//! Which records are printed.

use anyhow::{ensure, Context};
use regex::bytes::Regex;

use super::shown::Shown;

#[derive(clap::Args)]
#[command(next_help_heading = "Filters: only records for which all of them hold")]
pub struct Asked {
    /// With this key.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// In whose keys this regular expression is found.
    #[arg(long, value_name = "REGEX")]
    key_regex: Option<String>,
    /// With this value.
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// In whose values this regular expression is found.
    #[arg(long, value_name = "REGEX", visible_alias = "grep")]
    value_regex: Option<String>,
    /// With this header, of any value unless one is given; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "KEY[=VALUE]")]
    headers: Vec<String>,
}

/// What is asked of a record.
pub struct Filter {
    key: Option<Vec<u8>>,
    key_regex: Option<Regex>,
    value: Option<Vec<u8>>,
    value_regex: Option<Regex>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// From a time on, and before another one.
    from_ms: Option<i64>,
    until_ms: Option<i64>,
}

impl Filter {
    /// # Errors
    /// A regular expression is none, or no time is in the range.
    pub fn new(
        args: &Asked,
        from_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> anyhow::Result<Filter> {
        if let (Some(from), Some(until)) = (from_ms, until_ms) {
            ensure!(from < until, "--until is not after --from: no record can be between them");
        }
        let regex = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(Regex::new).transpose();
            parsed.with_context(|| format!("{name}: no regular expression"))
        };
        let bytes = |text: &String| text.clone().into_bytes();
        let header = |text: &String| match text.split_once('=') {
            Some((key, value)) => (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec())),
            None => (bytes(text), None),
        };
        Ok(Filter {
            key: args.key.as_ref().map(bytes),
            key_regex: regex("--key-regex", &args.key_regex)?,
            value: args.value.as_ref().map(bytes),
            value_regex: regex("--value-regex", &args.value_regex)?,
            headers: args.headers.iter().map(header).collect(),
            from_ms,
            until_ms,
        })
    }

    pub fn passes(&self, record: &Shown<'_>) -> bool {
        let equals = |wanted: &Option<Vec<u8>>, found: Option<&[u8]>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let matches = |regex: &Option<Regex>, found: Option<&[u8]>| {
            regex.as_ref().is_none_or(|regex| found.is_some_and(|found| regex.is_match(found)))
        };
        let has = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            record.headers.iter().any(|(found, its)| {
                found == key && value.as_deref().is_none_or(|value| *its == Some(value))
            })
        };
        equals(&self.key, record.key)
            && matches(&self.key_regex, record.key)
            && equals(&self.value, record.value)
            && matches(&self.value_regex, record.value)
            && self.headers.iter().all(has)
            && self.from_ms.is_none_or(|from| record.timestamp >= from)
            && self.until_ms.is_none_or(|until| record.timestamp < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Asked {
        Asked { key: None, key_regex: None, value: None, value_regex: None, headers: Vec::new() }
    }

    #[test]
    fn all_filters_must_hold() {
        let record = Shown {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 100,
            key: Some(b"order-17"),
            value: None,
            headers: vec![(b"a", Some(b"1")), (b"b", None)],
        };
        let text = |text: &str| Some(text.to_string());
        for (args, expected) in [
            (args(), true),
            (Asked { key: text("order-17"), ..args() }, true),
            (Asked { key: text("order"), ..args() }, false),
            (Asked { key_regex: text("^order-"), ..args() }, true),
            (Asked { value_regex: text(""), ..args() }, false),
            (Asked { headers: vec!["a".into(), "b".into()], ..args() }, true),
            (Asked { headers: vec!["a=1".into()], ..args() }, true),
            (Asked { headers: vec!["a=2".into()], ..args() }, false),
            (Asked { key: text("order-17"), headers: vec!["c".into()], ..args() }, false),
        ] {
            let filter = Filter::new(&args, None, None).expect("valid");
            assert_eq!(filter.passes(&record), expected);
        }
        let at = |from, until| Filter::new(&args(), from, until).expect("valid").passes(&record);
        assert!(at(Some(100), Some(101)) && !at(Some(101), None) && !at(None, Some(100)));
        assert!(Filter::new(&Asked { key_regex: text("("), ..args() }, None, None).is_err());
        assert!(Filter::new(&args(), Some(5), Some(5)).is_err(), "no time is between them");
    }
}
