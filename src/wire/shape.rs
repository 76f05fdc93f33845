//! Proof, before a request is decoded, that its counts and lengths are possible.
//!
//! The `kafka-protocol` crate reserves memory for as many entries as a list claims to have, so
//! eight bytes of Metadata could ask for 155 GB and abort the process. Each request's layout is
//! declared once, compactly (`shapes.rs`), and walked here first: what passes claims no more
//! entries than the frame has bytes for, and is known to take no more memory than a small multiple
//! of its frame (a list of empty names would take 36 times as much, of empty tags 120 times). Tests generate frames from the same declarations and let
//! the crate judge them, so a wrong declaration is found.

use bytes::Bytes;
use kafka_protocol::protocol::Decodable;

use super::reader::Reader;
use super::shapes;
use super::{ApiKey, WireError};

/// One field's layout.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// Text, which may be null.
    Text,
    /// Bytes, which may be null.
    Bytes,
    /// A list, which may be null.
    List(&'static Kind),
    /// Fields in order, followed by tagged fields in flexible versions.
    Group(&'static [Field]),
    /// Such a group, or nothing: one byte before it says which.
    Maybe(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub from: i16,
    pub to: i16,
    pub kind: Kind,
}

/// A request's layout in all its versions.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub key: ApiKey,
    pub flexible_from: i16,
    /// About as much as an entry of a list adds to the answer.
    pub answer_bytes: usize,
    pub fields: &'static [Field],
}

/// A request's body that is as its version says, as far as counts and lengths go.
#[derive(Debug, Clone)]
pub struct Checked {
    body: Bytes,
    version: i16,
    /// The most bytes that the decoded request takes beside the frame.
    pub decoded_bytes: usize,
    /// About as many as its answer takes.
    pub answer_bytes: usize,
}

impl Checked {
    /// Walks a request's body. Bytes that follow it are let pass, as in Kafka: librdkafka 2.12
    /// sends three too many with Metadata 13.
    ///
    /// # Errors
    /// A count or a length does not fit, the decoded request would take many times its frame, or
    /// it has no declared shape.
    pub fn new(key: ApiKey, version: i16, body: Bytes) -> Result<Checked, WireError> {
        let shape = shapes::find(key).ok_or(WireError::UnknownApi(key as i16))?;
        let reader = Reader::new(&body[..], version >= shape.flexible_from);
        let mut walk = Walk { reader, version, entries: 0 };
        walk.reader.charge(1, decoded_size(&Kind::Group(shape.fields)))?;
        walk.group(shape.fields)?;
        let (decoded_bytes, answer_bytes) =
            (walk.reader.charged(), (walk.entries + 1) * shape.answer_bytes);
        Ok(Checked { version, decoded_bytes, answer_bytes, body })
    }

    /// The request, decoded by the crate.
    ///
    /// # Errors
    /// The crate minds something else than counts and lengths.
    pub fn decode<T: Decodable>(mut self) -> Result<T, WireError> {
        T::decode(&mut self.body, self.version).map_err(|e| WireError::Malformed(e.to_string()))
    }
}

/// Says that a [`Kind::Maybe`] is there.
const PRESENT: i8 = 1;
/// What one tagged field that nobody knows takes: a node of the tree that keeps it.
const TAG_BYTES: usize = 512;

struct Walk<'a> {
    reader: Reader<&'a [u8]>,
    version: i16,
    entries: usize,
}

impl Walk<'_> {
    fn group(&mut self, fields: &[Field]) -> Result<(), WireError> {
        let version = self.version;
        for field in fields.iter().filter(|f| (f.from..=f.to).contains(&version)) {
            self.value(&field.kind)?;
        }
        let mut tags = 0;
        self.reader.each_tag(|_, _| {
            tags += 1;
            Ok(())
        })?;
        self.reader.charge(tags, TAG_BYTES)
    }

    fn value(&mut self, kind: &Kind) -> Result<(), WireError> {
        match kind {
            Kind::Fixed(len) => self.reader.skip(*len),
            Kind::Text => self.reader.skip_string(),
            Kind::Bytes => self.reader.skip_bytes(),
            Kind::List(entry) => {
                let count = self.reader.count(smallest(entry, self.version))?.unwrap_or(0);
                self.entries += count;
                self.reader.charge(count, decoded_size(entry))?;
                (0..count).try_for_each(|_| self.value(entry))
            }
            Kind::Group(fields) => self.group(fields),
            Kind::Maybe(fields) => match self.reader.i8()? {
                PRESENT => self.group(fields),
                _ => Ok(()),
            },
        }
    }
}

/// No less than what a decoded value takes beside the frame: text is a reference into it.
fn decoded_size(kind: &Kind) -> usize {
    match kind {
        Kind::Fixed(len) => len.next_multiple_of(8),
        Kind::Text | Kind::Bytes => 40,
        Kind::List(_) => 24,
        // In all versions, for the type is the same in all; and its unknown tagged fields.
        Kind::Group(fields) | Kind::Maybe(fields) => {
            fields.iter().map(|f| decoded_size(&f.kind)).sum::<usize>() + 24
        }
    }
}

/// The fewest bytes a value can have; at least one, so that no list is longer than its frame.
fn smallest(kind: &Kind, version: i16) -> usize {
    match kind {
        Kind::Fixed(len) => *len,
        Kind::Text | Kind::Bytes | Kind::List(_) | Kind::Maybe(_) => 1,
        Kind::Group(fields) => {
            let there = fields.iter().filter(|f| (f.from..=f.to).contains(&version));
            there.map(|f| smallest(&f.kind, version)).sum::<usize>().max(1)
        }
    }
}

#[cfg(test)]
mod tests;
