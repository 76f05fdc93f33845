//! Values that have a form of their own.

use super::entries;

/// Bytes as a number with an optional unit: `65536`, `64KiB`, `512MiB`, `4GiB`.
///
/// # Errors
/// What is allowed.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "bytes are allowed, as 4294967296, 512MiB or 4GiB".to_string();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads a list of cores: `0,2,4-7`.
///
/// # Errors
/// What is allowed.
pub fn cores(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || "core numbers are allowed, as 0,2,4-7".to_string();
    let mut out = Vec::new();
    for part in entries(text) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let low: usize = low.parse().map_err(|_| wrong())?;
        let high: usize = high.parse().map_err(|_| wrong())?;
        if low > high || high > 4095 {
            return Err(wrong());
        }
        out.extend(low..=high);
    }
    if out.is_empty() {
        Err(wrong())
    } else {
        Ok(out)
    }
}
