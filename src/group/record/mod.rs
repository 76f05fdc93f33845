//! Records of `__consumer_offsets`, in Kafka's formats: `offset` is what a group has committed,
//! `metadata` who was in a classic group. The version of a record's key says what it is about.

mod metadata;
mod offset;

pub use metadata::{
    decode_group, decode_group_key, encode_group, encode_group_key, GroupRecord, MemberRecord,
};
pub use offset::{decode_key, decode_value, encode_key, encode_value, Place};

use bytes::BufMut;

/// `text` came in a request or a record, or is shorter than those: no text there is longer than this
/// length can say.
fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}
