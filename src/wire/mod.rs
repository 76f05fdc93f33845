//! Kafka's wire format: frames in, typed requests out, and back.
//!
//! `header` reads the request header; `apis` is the one table of what is served; `shape` proves
//! that a request's counts and lengths fit its frame before the `kafka-protocol` crate decodes it
//! (whose decoders reserve memory for whatever count a client claims); `produce` and `fetch` are
//! codecs of our own that copy no record.

mod admin_shapes;
#[cfg(test)]
mod allocations;
pub mod apis;
#[cfg(test)]
mod crosscheck;
mod error;
pub mod features;
pub mod fetch;
mod header;
pub mod produce;
mod reader;
mod shape;
mod shapes;
mod writer;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

pub use error::WireError;
pub use header::{parse_header, RequestHeader};
pub use kafka_protocol::messages::ApiKey;
pub use kafka_protocol::protocol::StrBytes;
pub use kafka_protocol::ResponseError as ErrorCode;
pub use reader::Reader;
pub use shape::Checked;
pub use uuid::Uuid;
pub use writer::Writer;

/// Kafka's words for UNKNOWN_TOPIC_OR_PARTITION.
pub const NO_SUCH_PARTITION: &str = "This server does not host this topic-partition.";

/// A topic as a request names it: by name in older versions, by id in newer ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(StrBytes),
    Id(Uuid),
}

impl TopicRef {
    /// The same with memory of its own: a name that was read is a part of its frame.
    pub fn detached(&self) -> TopicRef {
        match self {
            TopicRef::Name(name) => TopicRef::Name(StrBytes::from_string(name.to_string())),
            TopicRef::Id(id) => TopicRef::Id(*id),
        }
    }
}

/// Length, correlation id and tagged fields of a response.
const MOST_HEAD_BYTES: usize = 9;

/// A whole response frame, length first.
///
/// # Errors
/// The response holds a field that its version does not have: our own mistake.
pub fn encode_response(
    header: &RequestHeader,
    response: &impl Encodable,
) -> Result<Bytes, WireError> {
    let failed = |e| WireError::Malformed(format!("cannot encode the response: {e}"));
    // Sized first: a buffer that grows is copied as many times as it doubles.
    let body = response.compute_size(header.version).map_err(failed)?;
    let mut frame = BytesMut::with_capacity(MOST_HEAD_BYTES + body);
    frame.put_i32(0);
    frame.put_i32(header.correlation_id);
    if header.key.response_header_version(header.version) >= 1 {
        frame.put_u8(0);
    }
    response.encode(&mut frame, header.version).map_err(failed)?;
    let len = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};

    use super::*;

    #[test]
    fn a_large_answer_is_encoded_into_memory_of_its_size() {
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_replica_nodes(vec![BrokerId(1)])
                .with_isr_nodes(vec![BrokerId(1)])
        };
        let topic = |n| {
            let name = TopicName(StrBytes::from_string(format!("many-{n}")));
            MetadataResponseTopic::default()
                .with_name(Some(name))
                .with_partitions((0..10).map(partition).collect())
        };
        let response = MetadataResponse::default().with_topics((0..1_000).map(topic).collect());
        for version in [8, 12] {
            let (key, correlation_id, client_id) = (ApiKey::Metadata, 7, None);
            let header = RequestHeader { key, version, correlation_id, client_id };
            let encode = || encode_response(&header, &response).expect("encodes");
            let ((frame, copied), peak) = allocations::peak_of(|| allocations::copied_by(encode));
            assert_eq!(copied, 0);
            assert!(peak < frame.len() + 100, "{peak} for {}", frame.len());
            assert!(frame.len() > 250_000);
        }
    }
}
