use bytes::BytesMut;

use super::reader::Reader;
use super::{apis, ApiKey, StrBytes, WireError};

/// What every request begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// Bytes of the part that all header versions share.
const FIXED_BYTES: usize = 8;

/// Takes the header off a frame (without its length); the body is left in `frame`.
///
/// # Errors
/// The header is cut, or the API or its version is not served. For an unknown version of
/// ApiVersions the error carries what is needed to answer it.
pub fn parse_header(frame: &mut BytesMut) -> Result<RequestHeader, WireError> {
    if frame.len() < FIXED_BYTES {
        return Err(WireError::Truncated);
    }
    let mut fixed = Reader::new(frame.split_to(FIXED_BYTES), false);
    let (number, version, correlation_id) = (fixed.i16()?, fixed.i16()?, fixed.i32()?);
    let key = ApiKey::try_from(number).map_err(|_| WireError::UnknownApi(number))?;
    let Some(api) = apis::find(key) else { return Err(WireError::UnknownApi(number)) };
    if !api.versions.contains(&version) {
        return Err(WireError::UnsupportedVersion { key, version, correlation_id });
    }
    let mut rest = Reader::new(std::mem::take(frame), false);
    // The client id keeps its old layout in every version, so that any broker can read it.
    let client_id = rest.nullable_string()?;
    let mut rest = rest.into_flexible(key.request_header_version(version) >= 2);
    rest.skip_tags()?;
    *frame = rest.into_inner();
    Ok(RequestHeader { key, version, correlation_id, client_id })
}
