use super::ApiKey;

/// Why a frame is not a request. Apart from an unknown version of ApiVersions, Kafka closes the
/// connection on each of them, and so do we.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the request ends too early")]
    Truncated,
    #[error("a list of {count} entries does not fit the {remaining} bytes left")]
    Count { count: i64, remaining: usize },
    #[error("the request would take {decoded} bytes of memory, more than the {limit} that one of its length may")]
    Dense { decoded: usize, limit: usize },
    #[error("no memory is left for the {0} bytes that the request and its answer take")]
    NoMemory(usize),
    #[error("a length of {0} is not possible")]
    Length(i64),
    #[error("text that is not UTF-8")]
    Text,
    #[error("malformed request: {0}")]
    Malformed(String),
    #[error("API key {0} is not served")]
    UnknownApi(i16),
    #[error("{key:?} version {version} is not served")]
    UnsupportedVersion { key: ApiKey, version: i16, correlation_id: i32 },
}
