//! How a record is printed: kcat's escapes, or a JSON object.

use std::io::{self, Write};

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde_json::{json, Map, Value};

/// A piece of a `--format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Timestamp,
}

/// Reads a `--format`: `%t %p %o %k %s %h %T`, `%%`, and `\n \t \r \\`.
///
/// # Errors
/// An escape that does not exist.
pub fn parse(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        let piece = match c {
            '%' => match chars.next() {
                Some('t') => Piece::Topic,
                Some('p') => Piece::Partition,
                Some('o') => Piece::Offset,
                Some('k') => Piece::Key,
                Some('s') => Piece::Value,
                Some('h') => Piece::Headers,
                Some('T') => Piece::Timestamp,
                Some('%') => {
                    text.push('%');
                    continue;
                }
                other => {
                    return Err(format!("%{} is not known: t p o k s h T % are", shown(other)))
                }
            },
            '\\' => {
                text.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some('\\') => '\\',
                    other => return Err(format!("\\{} is not known: n t r \\ are", shown(other))),
                });
                continue;
            }
            other => {
                text.push(other);
                continue;
            }
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text).into_bytes()));
        }
        pieces.push(piece);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into_bytes()));
    }
    Ok(pieces)
}

fn shown(c: Option<char>) -> String {
    c.map(String::from).unwrap_or_default()
}

pub fn write(
    out: &mut impl Write,
    pieces: &[Piece],
    message: &BorrowedMessage<'_>,
) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.write_all(text)?,
            Piece::Topic => out.write_all(message.topic().as_bytes())?,
            Piece::Partition => write!(out, "{}", message.partition())?,
            Piece::Offset => write!(out, "{}", message.offset())?,
            Piece::Key => out.write_all(message.key().unwrap_or_default())?,
            Piece::Value => out.write_all(message.payload().unwrap_or_default())?,
            Piece::Timestamp => write!(out, "{}", message.timestamp().to_millis().unwrap_or(-1))?,
            Piece::Headers => write_headers(out, message)?,
        }
    }
    Ok(())
}

fn write_headers(out: &mut impl Write, message: &BorrowedMessage<'_>) -> io::Result<()> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    for (index, header) in headers.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key.as_bytes())?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or_default())?;
    }
    Ok(())
}

/// One JSON object on a line. Bytes that are not UTF-8 have their bad parts replaced.
pub fn write_json(out: &mut impl Write, message: &BorrowedMessage<'_>) -> io::Result<()> {
    let text = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        None => Value::Null,
    };
    let headers: Map<String, Value> = message
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| (header.key.to_string(), text(header.value)))
        .collect();
    let object = json!({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp().to_millis(),
        "key": text(message.key()),
        "value": text(message.payload()),
        "headers": headers,
    });
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_kcats() {
        let pieces = parse("%k\\t%s %%\\n").expect("valid");
        let text = |t: &str| Piece::Text(t.as_bytes().to_vec());
        assert_eq!(pieces, [Piece::Key, text("\t"), Piece::Value, text(" %\n")]);
        assert!(parse("%x").is_err());
        assert!(parse("100%").is_err());
        assert!(parse("\\q").is_err());
    }
}
