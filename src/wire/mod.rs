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

/// A whole response frame, length first.
///
/// # Errors
/// The response holds a field that its version does not have: our own mistake.
pub fn encode_response(
    header: &RequestHeader,
    response: &impl Encodable,
) -> Result<Bytes, WireError> {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    frame.put_i32(header.correlation_id);
    if header.key.response_header_version(header.version) >= 1 {
        frame.put_u8(0);
    }
    response
        .encode(&mut frame, header.version)
        .map_err(|e| WireError::Malformed(format!("cannot encode the response: {e}")))?;
    let len = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    Ok(frame.freeze())
}
