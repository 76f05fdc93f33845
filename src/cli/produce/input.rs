//! Bytes that come in become records.

use std::io::{self, BufRead, Read};

use anyhow::{anyhow, bail, Context};
use serde_json::Value;

use super::Args;
use crate::cli::base64;
use crate::cli::consume::format::escaped;

/// More than this is no record that a broker would take.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// A record to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outgoing<'a> {
    pub key: Option<std::borrow::Cow<'a, [u8]>>,
    pub value: Option<std::borrow::Cow<'a, [u8]>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub partition: Option<i32>,
    pub timestamp: Option<i64>,
}

enum Key {
    None,
    Fixed(Vec<u8>),
    Separator(Vec<u8>),
    Field(usize, Vec<u8>),
}

/// How records are told apart and read.
pub struct Parser {
    /// `None`: all there is is one record.
    delimiter: Option<Vec<u8>>,
    json: bool,
    key: Key,
    empty_is_null: bool,
    headers: Vec<(String, Option<Vec<u8>>)>,
    partition: Option<i32>,
    keep_partition: bool,
    keep_timestamp: bool,
}

impl Parser {
    /// # Errors
    /// An option makes no sense.
    pub fn new(args: &Args) -> anyhow::Result<Parser> {
        let delimiter = match &args.delimiter {
            Some(text) => unescaped(text).with_context(|| format!("--delimiter {text}"))?,
            None => b"\n".to_vec(),
        };
        if delimiter.is_empty() {
            bail!("--delimiter: it may not be empty; see --whole");
        }
        let header = |pair: &String| {
            let (key, value) = pair
                .split_once('=')
                .with_context(|| format!("--header {pair}: KEY=VALUE is wanted"))?;
            Ok((key.to_string(), Some(value.as_bytes().to_vec())))
        };
        let separator = args.keys.key_separator.as_deref().map(unescaped).transpose()?;
        let key = match (&args.keys.key, separator, args.keys.key_field) {
            (Some(key), _, _) => Key::Fixed(key.clone().into_bytes()),
            (_, Some(separator), _) => Key::Separator(separator),
            (_, _, Some(number)) => {
                Key::Field(usize::from(number), unescaped(&args.field_separator)?)
            }
            _ => Key::None,
        };
        Ok(Parser {
            delimiter: (!args.whole).then_some(delimiter),
            json: args.json,
            key,
            empty_is_null: args.empty_is_null,
            headers: args.headers.iter().map(header).collect::<anyhow::Result<_>>()?,
            partition: args.partition,
            keep_partition: args.keep_partition,
            keep_timestamp: args.keep_timestamp,
        })
    }

    fn record<'a>(&'a self, bytes: &'a [u8]) -> anyhow::Result<Outgoing<'a>> {
        let mut record = match self.json {
            true => self.of_json(bytes)?,
            false => {
                let (key, value) = self.split(bytes);
                Outgoing {
                    key: key.map(Into::into),
                    value: Some(value.into()),
                    ..Default::default()
                }
            }
        };
        record.headers.extend(self.headers.iter().cloned());
        record.partition = self.partition.or(record.partition.filter(|_| self.keep_partition));
        record.timestamp = record.timestamp.filter(|_| self.keep_timestamp);
        if self.empty_is_null {
            record.key = record.key.filter(|key| !key.is_empty());
            record.value = record.value.filter(|value| !value.is_empty());
        }
        Ok(record)
    }

    fn split<'a>(&'a self, line: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
        match &self.key {
            Key::None => (None, line),
            Key::Fixed(key) => (Some(key), line),
            Key::Separator(separator) => match find(line, separator) {
                Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
                None => (None, line),
            },
            Key::Field(number, separator) => (field(line, separator, *number), line),
        }
    }

    fn of_json<'a>(&self, line: &[u8]) -> anyhow::Result<Outgoing<'a>> {
        let value: Value = serde_json::from_slice(line).context("no JSON")?;
        let Value::Object(mut object) = value else { bail!("a JSON object is wanted") };
        let mut headers = Vec::new();
        match object.remove("headers") {
            None | Some(Value::Null) => (),
            Some(Value::Object(found)) => {
                for (key, value) in found {
                    match value {
                        Value::Array(all) => {
                            for value in all {
                                headers.push((key.clone(), bytes(value)?));
                            }
                        }
                        value => headers.push((key, bytes(value)?)),
                    }
                }
            }
            Some(_) => bail!("headers: an object is wanted"),
        }
        let number = |value: Option<&Value>, name: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_i64().map(Some).ok_or_else(|| anyhow!("{name}: a whole number is wanted"))
            }
        };
        let partition = number(object.get("partition"), "partition")?;
        let timestamp = number(object.get("timestamp"), "timestamp")?;
        Ok(Outgoing {
            key: object.remove("key").map(bytes).transpose()?.flatten().map(Into::into),
            value: object.remove("value").map(bytes).transpose()?.flatten().map(Into::into),
            headers,
            partition: partition.map(i32::try_from).transpose().context("partition")?,
            timestamp,
        })
    }
}

/// The bytes that a JSON value stands for.
fn bytes(value: Value) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.into_bytes()),
        Value::Object(object) if object.len() == 1 && object.contains_key("base64") => {
            let text = object["base64"].as_str().and_then(base64::decode);
            Some(text.context("base64: it is none")?)
        }
        other => Some(other.to_string().into_bytes()),
    })
}

fn unescaped(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(escaped(&mut chars).map_err(|why| anyhow!(why))?),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(out)
}

/// Records out of one file.
pub struct Input<'p> {
    reader: Box<dyn BufRead>,
    parser: &'p Parser,
    buffer: Vec<u8>,
    has_read_all: bool,
}

impl<'p> Input<'p> {
    pub fn new(reader: Box<dyn BufRead>, parser: &'p Parser) -> Input<'p> {
        Input { reader, parser, buffer: Vec::new(), has_read_all: false }
    }

    /// `None` at the end.
    pub fn next(&mut self) -> anyhow::Result<Option<Outgoing<'_>>> {
        let has_more = match &self.parser.delimiter {
            Some(delimiter) => read_to(self.reader.as_mut(), delimiter, &mut self.buffer)?,
            None if self.has_read_all => false,
            None => {
                self.has_read_all = true;
                self.reader.by_ref().take(MAX_RECORD_BYTES).read_to_end(&mut self.buffer)?;
                true
            }
        };
        match has_more {
            true => self.parser.record(&self.buffer).map(Some),
            false => Ok(None),
        }
    }
}

/// What there is up to a delimiter, without it; bytes, not text. `false` at the end of the input.
fn read_to(input: &mut dyn BufRead, delimiter: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    out.clear();
    let Some(&last) = delimiter.last() else { return Ok(false) };
    loop {
        let left = MAX_RECORD_BYTES.saturating_sub(out.len() as u64);
        let read = input.take(left).read_until(last, out)?;
        if read as u64 == left {
            return Err(io::Error::other("a record of more than a gigabyte"));
        }
        if out.ends_with(delimiter) {
            out.truncate(out.len() - delimiter.len());
            return Ok(true);
        }
        if read == 0 {
            return Ok(!out.is_empty());
        }
    }
}

fn find(line: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return None;
    }
    line.windows(what.len()).position(|window| window == what)
}

/// Field number `number`, from 1.
fn field<'a>(mut line: &'a [u8], separator: &[u8], number: usize) -> Option<&'a [u8]> {
    for _ in 1..number {
        let at = find(line, separator)?;
        line = &line[at + separator.len()..];
    }
    Some(find(line, separator).map_or(line, |at| &line[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> Parser {
        Parser {
            delimiter: Some(b"\n".to_vec()),
            json: false,
            key: Key::None,
            empty_is_null: false,
            headers: Vec::new(),
            partition: None,
            keep_partition: false,
            keep_timestamp: false,
        }
    }

    #[test]
    fn fields_are_counted_from_one() {
        let line = b"a,bb,,d";
        assert_eq!(field(line, b",", 1), Some(&b"a"[..]));
        assert_eq!(field(line, b",", 2), Some(&b"bb"[..]));
        assert_eq!(field(line, b",", 3), Some(&b""[..]));
        assert_eq!(field(line, b",", 4), Some(&b"d"[..]));
        assert_eq!(field(line, b",", 5), None);
        assert_eq!(find(b"a::b", b"::"), Some(1));
    }

    #[test]
    fn records_are_bytes_and_the_last_needs_no_end() {
        let read = |mut input: &[u8], delimiter: &[u8]| {
            let (mut record, mut all) = (Vec::new(), Vec::new());
            while read_to(&mut input, delimiter, &mut record).expect("reads") {
                all.push(record.clone());
            }
            all
        };
        assert_eq!(read(b"a\n\xff\xfe\n\nlast", b"\n"), [&b"a"[..], b"\xff\xfe", b"", b"last"]);
        assert_eq!(read(b"a;b--;c---;", b"--;"), [&b"a;b"[..], b"c-"]);
    }

    #[test]
    fn json_objects_are_taken_back_as_they_are_printed() {
        let parser = Parser { json: true, keep_partition: true, ..parser() };
        let line = br#"{"key": {"base64": "/w=="}, "value": {"a": [1]}, "partition": 3,
            "timestamp": 5, "headers": {"h": ["1", null]}, "offset": 7}"#;
        let record = parser.record(line).expect("valid");
        assert_eq!(record.key.as_deref(), Some(&[0xff][..]));
        assert_eq!(record.value.as_deref(), Some(&br#"{"a":[1]}"#[..]));
        assert_eq!((record.partition, record.timestamp), (Some(3), None));
        let headers = [("h".to_string(), Some(b"1".to_vec())), ("h".to_string(), None)];
        assert_eq!(record.headers, headers);
        assert_eq!(parser.record(b"{}").expect("valid").value, None);
        for wrong in [&b"x"[..], b"[]", br#"{"partition": "a"}"#, br#"{"headers": 1}"#] {
            assert!(parser.record(wrong).is_err());
        }
    }

    #[test]
    fn empty_texts_may_stand_for_null() {
        let key = || Key::Separator(b":".to_vec());
        let record = |empty_is_null| {
            let parser = Parser { key: key(), empty_is_null, ..parser() };
            let record = parser.record(b"k:").expect("valid");
            (record.key.map(|key| key.into_owned()), record.value.map(|value| value.into_owned()))
        };
        assert_eq!(record(false), (Some(b"k".to_vec()), Some(Vec::new())));
        assert_eq!(record(true), (Some(b"k".to_vec()), None));
    }
}
