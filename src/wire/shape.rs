//! Proof, before a request is decoded, that its counts and lengths are possible.
//!
//! The `kafka-protocol` crate reserves memory for as many entries as a list claims to have, so
//! eight bytes of Metadata could ask for 155 GB and abort the process. Each request's layout is
//! declared once, compactly (`shapes.rs`), and walked here first: what passes claims no more
//! entries than the frame has bytes for. Tests generate frames from the same declarations and let
//! the crate judge them, so a wrong declaration is found.

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
    /// A list, which may be null.
    List(&'static Kind),
    /// Fields in order, followed by tagged fields in flexible versions.
    Group(&'static [Field]),
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
    pub fields: &'static [Field],
}

/// Walks a request's body; returns how many bytes follow it. They are let pass, as in Kafka:
/// librdkafka 2.12 sends three too many with Metadata 13.
///
/// # Errors
/// A count or a length does not fit, or the request has no declared shape.
pub fn check_counts(key: ApiKey, version: i16, body: &[u8]) -> Result<usize, WireError> {
    let shape = shapes::find(key).ok_or(WireError::UnknownApi(key as i16))?;
    let mut reader = Reader::new(body, version >= shape.flexible_from);
    walk_group(&mut reader, shape.fields, version)?;
    Ok(reader.remaining())
}

fn walk_group(reader: &mut Reader<&[u8]>, fields: &[Field], version: i16) -> Result<(), WireError> {
    for field in fields.iter().filter(|f| (f.from..=f.to).contains(&version)) {
        walk(reader, &field.kind, version)?;
    }
    reader.skip_tags()
}

fn walk(reader: &mut Reader<&[u8]>, kind: &Kind, version: i16) -> Result<(), WireError> {
    match kind {
        Kind::Fixed(len) => reader.skip(*len),
        Kind::Text => reader.skip_string(),
        Kind::List(entry) => {
            let count = reader.count(smallest(entry, version))?.unwrap_or(0);
            (0..count).try_for_each(|_| walk(reader, entry, version))
        }
        Kind::Group(fields) => walk_group(reader, fields, version),
    }
}

/// The fewest bytes a value can have; at least one, so that no list is longer than its frame.
fn smallest(kind: &Kind, version: i16) -> usize {
    match kind {
        Kind::Fixed(len) => *len,
        Kind::Text | Kind::List(_) => 1,
        Kind::Group(fields) => {
            let there = fields.iter().filter(|f| (f.from..=f.to).contains(&version));
            there.map(|f| smallest(&f.kind, version)).sum::<usize>().max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::*;
    use proptest::prelude::*;

    use super::super::writer::Writer;
    use super::super::{apis, decode};
    use super::*;
    use bytes::BufMut;

    /// Draws small numbers from a seed: a frame is made of them.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % limit
        }
    }

    fn generate(out: &mut Writer, kind: &Kind, version: i16, draw: &mut Draw) {
        match kind {
            Kind::Fixed(len) => (0..*len).for_each(|_| out.buf.put_u8(draw.below(2) as u8)),
            Kind::Text => {
                let text = "t".repeat(draw.below(300) as usize);
                out.nullable_string(Some(&text));
            }
            Kind::List(entry) => {
                let count = draw.below(4) as usize;
                out.count(Some(count));
                (0..count).for_each(|_| generate(out, entry, version, draw));
            }
            Kind::Group(fields) => {
                for field in fields.iter().filter(|f| (f.from..=f.to).contains(&version)) {
                    generate(out, &field.kind, version, draw);
                }
                if out.flexible {
                    // Sometimes a tagged field that nobody knows.
                    match draw.below(3) {
                        0 => out.buf.put_slice(&[1, 99, 3, 7, 7, 7]),
                        _ => out.buf.put_u8(0),
                    }
                }
            }
        }
    }

    fn frame(shape: &Shape, version: i16, seed: u64) -> Bytes {
        let mut out = Writer::new(version >= shape.flexible_from, 64);
        let group = Kind::Group(shape.fields);
        generate(&mut out, &group, version, &mut Draw(seed));
        out.buf.freeze()
    }

    /// Bytes the crate leaves over.
    fn crate_decodes(key: ApiKey, version: i16, body: Bytes) -> Result<usize, WireError> {
        macro_rules! try_as {
            ($($name:ident => $request:ty),* $(,)?) => {
                match key {
                    $(ApiKey::$name => decode::<$request>(key, version, body).map(|rest| rest.1),)*
                    other => panic!("{other:?} is declared and not tested"),
                }
            };
        }
        try_as!(
            ListOffsets => ListOffsetsRequest,
            Metadata => MetadataRequest,
            FindCoordinator => FindCoordinatorRequest,
            ApiVersions => ApiVersionsRequest,
            CreateTopics => CreateTopicsRequest,
            DeleteTopics => DeleteTopicsRequest,
            InitProducerId => InitProducerIdRequest,
            OffsetForLeaderEpoch => OffsetForLeaderEpochRequest,
            DescribeConfigs => DescribeConfigsRequest,
            CreatePartitions => CreatePartitionsRequest,
            DescribeCluster => DescribeClusterRequest,
        )
    }

    #[test]
    fn every_declared_layout_is_the_crates_in_every_version() {
        for api in apis::APIS {
            let Some(shape) = shapes::find(api.key) else {
                assert!(matches!(api.key, ApiKey::Produce | ApiKey::Fetch), "{:?}", api.key);
                continue;
            };
            for version in api.versions.clone() {
                for seed in 0..200 {
                    let body = frame(shape, version, seed);
                    assert_eq!(check_counts(api.key, version, &body), Ok(0));
                    let decoded = crate_decodes(api.key, version, body);
                    assert_eq!(decoded, Ok(0), "{:?} v{version} seed {seed}", api.key);
                }
            }
        }
    }

    #[test]
    fn a_count_of_two_billion_is_refused_before_anything_is_reserved() {
        let claims = i32::MAX.to_be_bytes();
        let metadata = [&claims[..], &[0; 4]].concat();
        let refused = check_counts(ApiKey::Metadata, 1, &metadata);
        assert!(matches!(refused, Err(WireError::Count { .. })));
        // A list inside a list: one topic without name whose assignments claim too much.
        let nested = [&1i32.to_be_bytes()[..], &[0; 2], &[0; 6], &claims, &[0; 8]].concat();
        let refused = check_counts(ApiKey::CreateTopics, 2, &nested);
        assert!(matches!(refused, Err(WireError::Count { .. })));
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
        let refused = check_counts(ApiKey::Metadata, 9, &compact);
        assert!(matches!(refused, Err(WireError::Count { .. })));
        let minus_two = (-2i32).to_be_bytes();
        assert!(check_counts(ApiKey::Metadata, 1, &minus_two).is_err());
    }

    proptest! {
        #[test]
        fn damaged_frames_never_panic(
            which in 0usize..apis::APIS.len(),
            seed: u64,
            at: prop::sample::Index,
            value: u8,
            cut: prop::sample::Index,
        ) {
            let api = &apis::APIS[which];
            if let Some(shape) = shapes::find(api.key) {
                for version in api.versions.clone() {
                    let mut bytes = frame(shape, version, seed).to_vec();
                    if bytes.is_empty() {
                        continue;
                    }
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                    let _ = crate_decodes(api.key, version, Bytes::from(bytes.clone()));
                    bytes.truncate(cut.index(bytes.len()));
                    let _ = crate_decodes(api.key, version, Bytes::from(bytes));
                }
            }
        }
    }
}
