//! How decisions lie in the metadata log, see `store`.

use super::record::MetadataRecord;

pub const MAGIC: &[u8; 8] = b"CLMETA\x00\x01";
const HEADER_BYTES: usize = 8;

/// The frame of what was decided together.
pub fn frame(records: &[MetadataRecord]) -> Vec<u8> {
    let records = records.to_vec();
    let body = match rkyv::to_bytes::<rkyv::rancor::Error>(&records) {
        Ok(body) => body,
        Err(error) => unreachable!("records of plain values serialize: {error}"),
    };
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// The body of a whole frame at `at`, and where it ends.
fn body(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let start = at + HEADER_BYTES;
    let body = bytes.get(start..start.checked_add(len)?)?;
    // Space that was never written reads as zeros, which would be a frame of nothing.
    (!body.is_empty() && crc32c::crc32c(body) == crc).then_some((body, start + len))
}

/// All records, and where the last whole frame ends. Of what a crash has torn any part may be there: it
/// is what no whole frame follows.
///
/// # Errors
/// Where the log is damaged, and why.
pub fn parse(bytes: &[u8]) -> Result<(Vec<MetadataRecord>, usize), (usize, String)> {
    if !bytes.starts_with(MAGIC) {
        return Err((0, "not a metadata log of this version".to_string()));
    }
    let mut records = Vec::new();
    let mut at = MAGIC.len();
    while let Some((body, end)) = body(bytes, at) {
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(body.len());
        aligned.extend_from_slice(body);
        let decoded = rkyv::from_bytes::<Vec<MetadataRecord>, rkyv::rancor::Error>(&aligned);
        records.extend(decoded.map_err(|e| (at, e.to_string()))?);
        at = end;
    }
    match (at + 1..bytes.len()).any(|later| body(bytes, later).is_some()) {
        true => Err((at, "the checksum is wrong and more follows".to_string())),
        false => Ok((records, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_kinds_of_records_leave_the_layout_of_the_old_ones() {
        assert_eq!(std::mem::size_of::<rkyv::Archived<MetadataRecord>>(), 64);
    }
}
