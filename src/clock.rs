use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock as Kafka counts it: milliseconds since 1970, 0 before.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
