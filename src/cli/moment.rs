//! Points in time as people write them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::Timestamp;

use super::duration::duration;
use crate::clock::now_ms;

const ALLOWED: &str =
    "a time as 2026-11-21, '2026-11-21 10:30', 2026-11-21T10:30:00Z or 10:30 (here, \
     unless it names a zone), one that has passed as 15m or 2h, now, or milliseconds since 1970";

/// Reads a time: milliseconds since 1970. `15m` was a quarter of an hour ago.
///
/// # Errors
/// It is none; says what is allowed.
pub fn moment(text: &str) -> Result<i64, String> {
    parsed(text, now_ms(), &TimeZone::system())
}

fn parsed(text: &str, now_ms: i64, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || format!("'{text}' is no time: {ALLOWED}");
    if text == "now" {
        return Ok(now_ms);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| wrong());
    }
    let ago = text.strip_suffix("ago").map_or(text, str::trim_end);
    if let Ok(ago) = duration(ago.strip_prefix('-').unwrap_or(ago)) {
        return Ok(now_ms.saturating_sub(i64::try_from(ago.as_millis()).map_err(|_| wrong())?));
    }
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Ok(stamp.as_millisecond());
    }
    let local = match (text.parse::<DateTime>(), text.parse::<Date>(), text.parse::<Time>()) {
        (Ok(local), _, _) => local,
        (_, Ok(date), _) => date.at(0, 0, 0, 0),
        (_, _, Ok(time)) => {
            let now = Timestamp::from_millisecond(now_ms).map_err(|_| wrong())?;
            now.to_zoned(zone.clone()).date().to_datetime(time)
        }
        _ => return Err(wrong()),
    };
    let zoned = local.to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond())
}

/// A time here, to the millisecond; the number itself where it is out of any calendar.
pub fn shown(time_ms: i64) -> String {
    match Timestamp::from_millisecond(time_ms) {
        Ok(stamp) => {
            stamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
        }
        Err(_) => time_ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000; // 2023-11-14T22:13:20Z

    #[test]
    fn times_are_absolute_or_ago() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let day = 1_699_916_400_000; // 2023-11-14T00:00:00+01:00
        for (text, expected) in [
            ("now", NOW),
            ("1234567890123", 1_234_567_890_123),
            ("15m", NOW - 900_000),
            ("1h30m ago", NOW - 5_400_000),
            ("-2h", NOW - 7_200_000),
            ("2023-11-14", day),
            ("2023-11-14 10:30", day + 37_800_000),
            ("2023-11-14T10:30:00.250", day + 37_800_250),
            ("2023-11-14T10:30:00Z", day + 41_400_000),
            ("2023-11-14T10:30:00+01:00", day + 37_800_000),
            ("22:00", day + 79_200_000),
        ] {
            assert_eq!(parsed(text, NOW, &zone), Ok(expected), "{text}");
        }
        for wrong in ["", "later", "2023-13-01", "-", "25:00", "ago"] {
            assert!(parsed(wrong, NOW, &zone).is_err(), "{wrong}");
        }
    }
}
