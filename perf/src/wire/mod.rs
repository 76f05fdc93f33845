//! The little of the Kafka wire that a load generator needs, written out by hand.
//!
//! It shares no code with the broker on purpose: a mistake in the broker's encoding must not be
//! hidden by the same mistake here. Requests are encoded once, before the clock starts; answers
//! are parsed with every count and length checked against the bytes that are there.

pub mod batch;
pub mod content;
pub mod create_partitions;
pub mod create_topics;
pub mod decoder;
pub mod delete_topics;
pub mod encoder;
pub mod error_code;
pub mod fetch;
pub mod group;
pub mod list_offsets;
pub mod metadata;
pub mod produce;

pub use decoder::{Decoder, WireError};
pub use encoder::Encoder;
pub use error_code::ErrorCode;

/// Where the correlation id stands in every request frame, counted from the frame's first byte:
/// after the length (4), the API key (2) and the API version (2).
pub const CORRELATION_ID_AT: usize = 8;

/// The client id sent in every request, so that a broker's log can name us.
pub const CLIENT_ID: &str = "corelane-perf";
