//! Reads every batch before it is taken over: what is damaged or in an older format is refused by name.

use std::fs;
use std::path::Path;

use corelane_shards::log::{examine, file_path, Examined};

use super::{FoundPartition, ImportError};

/// Where a batch, or an older message, has its format's version.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Checks all segments of a partition; `read` is told of bytes as they are read. Returns the log end
/// offset.
///
/// # Errors
/// The first batch that cannot be taken over.
pub fn check_partition(
    partition: &FoundPartition,
    mut read: impl FnMut(u64),
) -> Result<i64, ImportError> {
    let mut end = partition.segments.first().copied().unwrap_or(0);
    for &base in &partition.segments {
        let path = file_path(&partition.path, base, "log");
        if base < end {
            let reason = format!("it begins at {base}, where offset {end} was expected");
            return Err(ImportError::refused(&path, reason));
        }
        end = check_segment(&path, base)?;
        read(fs::metadata(&path).map_err(ImportError::io(&path))?.len());
    }
    Ok(end)
}

fn check_segment(path: &Path, base: i64) -> Result<i64, ImportError> {
    // Segments are two gigabytes at most.
    let bytes = fs::read(path).map_err(ImportError::io(path))?;
    let (mut at, mut end) = (0, base);
    while at < bytes.len() {
        let damaged = |reason: &str| {
            let reason = format!(
                "damaged at position {at} (offset {end}): {reason}; look at it with `corelane log \
                 verify`"
            );
            ImportError::refused(path, reason)
        };
        if let Some(old) = bytes.get(at + MAGIC_AT).filter(|magic| **magic < MAGIC) {
            let is_unused = bytes[at..].iter().all(|byte| *byte == 0);
            if is_unused {
                return Err(damaged("unused space, as only an unclean stop leaves"));
            }
            let reason = format!(
                "records in message format {old} at offset {end}: only format 2 is known; produce \
                 them again, or wait until retention has deleted them"
            );
            return Err(ImportError::refused(path, reason));
        }
        match examine(&bytes[at..], end) {
            Examined::Batch(header) => {
                at += header.claimed_size() as usize;
                end = header.last_offset() + 1;
            }
            Examined::End => return Err(damaged("unused space, as only an unclean stop leaves")),
            Examined::Short { .. } => return Err(damaged("the last batch is cut off")),
            Examined::Damage(reason) => return Err(damaged(&reason)),
        }
    }
    Ok(end)
}
