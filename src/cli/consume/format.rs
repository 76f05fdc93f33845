//! How a record is printed: kcat's escapes, a JSON object, or bytes in hexadecimal.

use std::io::{self, Write};

use serde_json::{json, Map, Value};

use super::shown::Shown;
use crate::cli::base64;
use crate::cli::moment;

/// How all records are printed.
pub enum Format {
    Pieces(Vec<Piece>),
    Json,
    Hex,
}

/// A piece of a `--format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLen,
    Value,
    ValueLen,
    /// Four bytes, the most significant one first.
    ValueLenBinary,
    Headers,
    Timestamp,
    Time,
}

/// Reads a `--format`: `%t %p %o %k %K %s %S %R %h %T %D`, `%%`, and `\n \t \r \0 \xNN \\`.
///
/// # Errors
/// An escape that does not exist.
pub fn parse(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match piece(chars.next())? {
                Some(piece) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(piece);
                }
                None => text.push(b'%'),
            },
            '\\' => text.push(escaped(&mut chars)?),
            other => text.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// What a letter behind a percent sign stands for; `None`: itself.
fn piece(letter: Option<char>) -> Result<Option<Piece>, String> {
    Ok(Some(match letter {
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLen,
        Some('s') => Piece::Value,
        Some('S') => Piece::ValueLen,
        Some('R') => Piece::ValueLenBinary,
        Some('h') => Piece::Headers,
        Some('T') => Piece::Timestamp,
        Some('D') => Piece::Time,
        Some('%') => return Ok(None),
        other => {
            let known = "t p o k K s S R h T D % are";
            return Err(format!("%{} is not known: {known}", shown(other)));
        }
    }))
}

/// The byte that an escape behind a backslash stands for.
pub fn escaped(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match chars.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            let two = Some(&digits).filter(|digits| digits.len() == 2);
            two.and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or_else(|| format!("\\x{digits}: two hexadecimal digits are wanted"))?
        }
        other => return Err(format!("\\{} is not known: n t r 0 xNN \\ are", shown(other))),
    })
}

fn shown(c: Option<char>) -> String {
    c.map(String::from).unwrap_or_default()
}

impl Format {
    pub fn write(&self, out: &mut impl Write, record: &Shown<'_>) -> io::Result<()> {
        match self {
            Format::Pieces(pieces) => {
                pieces.iter().try_for_each(|piece| write_piece(out, piece, record))
            }
            Format::Json => writeln!(out, "{}", as_json(record)),
            Format::Hex => write_hex(out, record),
        }
    }
}

fn write_piece(out: &mut impl Write, piece: &Piece, record: &Shown<'_>) -> io::Result<()> {
    // As in kcat, a length of -1 is that of null.
    let len = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    match piece {
        Piece::Text(text) => out.write_all(text),
        Piece::Topic => out.write_all(record.topic.as_bytes()),
        Piece::Partition => write!(out, "{}", record.partition),
        Piece::Offset => write!(out, "{}", record.offset),
        Piece::Key => out.write_all(record.key.unwrap_or_default()),
        Piece::KeyLen => write!(out, "{}", len(record.key)),
        Piece::Value => out.write_all(record.value.unwrap_or_default()),
        Piece::ValueLen => write!(out, "{}", len(record.value)),
        Piece::ValueLenBinary => out.write_all(&(len(record.value) as i32).to_be_bytes()),
        Piece::Timestamp => write!(out, "{}", record.timestamp),
        Piece::Time => out.write_all(moment::shown(record.timestamp).as_bytes()),
        Piece::Headers => write_headers(out, record),
    }
}

fn write_headers(out: &mut impl Write, record: &Shown<'_>) -> io::Result<()> {
    for (index, (key, value)) in record.headers.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(key)?;
        out.write_all(b"=")?;
        out.write_all(value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// Text as it is, other bytes as `{"base64": …}`: nothing is lost.
fn text(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => Value::Null,
        Some((Ok(text), _)) => Value::String(text.to_string()),
        Some((Err(_), bytes)) => json!({"base64": base64::encode(bytes)}),
    }
}

fn as_json(record: &Shown<'_>) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (key, value) in &record.headers {
        let key = String::from_utf8_lossy(key).into_owned();
        // A header may be there more than once.
        match headers.get_mut(&key) {
            None => drop(headers.insert(key, text(*value))),
            Some(Value::Array(all)) => all.push(text(*value)),
            Some(first) => *first = json!([first.take(), text(*value)]),
        }
    }
    json!({
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": (record.timestamp >= 0).then_some(record.timestamp),
        "key": text(record.key),
        "value": text(record.value),
        "headers": headers,
    })
}

/// Where it is from, and the bytes of key and value, sixteen a line.
fn write_hex(out: &mut impl Write, record: &Shown<'_>) -> io::Result<()> {
    let Shown { topic, partition, offset, timestamp, .. } = record;
    writeln!(out, "{topic}-{partition} @{offset}  {}", moment::shown(*timestamp))?;
    for (key, value) in &record.headers {
        write!(out, "  header {}: ", String::from_utf8_lossy(key))?;
        writeln!(out, "{}", value.map_or("null".into(), String::from_utf8_lossy))?;
    }
    for (name, bytes) in [("key", record.key), ("value", record.value)] {
        let Some(bytes) = bytes else {
            writeln!(out, "  {name}: null")?;
            continue;
        };
        writeln!(out, "  {name}: {} bytes", bytes.len())?;
        for (line, chunk) in bytes.chunks(16).enumerate() {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let printable = |byte: &u8| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            };
            let text: String = chunk.iter().map(printable).collect();
            writeln!(out, "    {:08x}  {:<47}  |{text}|", line * 16, hex.join(" "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &Format) -> String {
        let record = Shown {
            topic: "t",
            partition: 1,
            offset: 2,
            timestamp: 3,
            key: None,
            value: Some(b"a\xff"),
            headers: vec![(b"h", Some(b"1")), (b"h", None)],
        };
        let mut out = Vec::new();
        format.write(&mut out, &record).expect("writes");
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn formats_are_kcats() {
        let pieces = parse("%k\\t%s %%\\n\\x41").expect("valid");
        let text = |t: &str| Piece::Text(t.as_bytes().to_vec());
        assert_eq!(pieces, [Piece::Key, text("\t"), Piece::Value, text(" %\nA")]);
        for wrong in ["%x", "100%", "\\q", "\\x4", "\\xgg"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let pieces = parse("%t/%p/%o %K %S %T %h é").expect("valid");
        assert_eq!(printed(&Format::Pieces(pieces)), "t/1/2 -1 2 3 h=1,h=NULL é");
    }

    #[test]
    fn json_loses_nothing() {
        let object: Value = serde_json::from_str(&printed(&Format::Json)).expect("JSON");
        assert_eq!(object["value"], json!({"base64": "Yf8="}));
        assert_eq!((&object["key"], &object["timestamp"]), (&Value::Null, &json!(3)));
        assert_eq!(object["headers"], json!({"h": ["1", null]}));
    }

    #[test]
    fn bytes_are_shown_in_hexadecimal() {
        let shown = printed(&Format::Hex);
        assert!(shown.contains("t-1 @2") && shown.contains("key: null"), "{shown}");
        assert!(shown.contains("61 ff") && shown.contains("|a.|"), "{shown}");
    }
}
