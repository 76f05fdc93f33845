//! Batches that were read from a segment, cut to whole ones and checked: what is damaged on the disk
//! is never served. A batch's checksum is computed once for as long as its blocks are in memory.

use std::ops::Range;

use bytes::Bytes;

use super::batch::{BatchHeader, BATCH_HEADER_BYTES, CRC_START, MAGIC_V2};
use super::blocks::BlockCache;
use super::reader::Records;
use crate::disk::FileId;

/// Where batches were read from.
pub(super) struct Origin<'a> {
    pub blocks: &'a BlockCache,
    pub log: u64,
    pub file: FileId,
}

/// Why a batch is not served: its position in the file, its offset, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub position: u64,
    pub offset: i64,
    pub reason: &'static str,
}

/// Cuts `pieces` (the bytes of a segment from `position` on, where a batch begins) to the whole
/// batches that begin before offset `end`. Damage behind the first batch ends what is served; the
/// next read begins with it.
///
/// # Errors
/// The first batch is damaged.
pub(super) fn keep_whole(
    origin: &Origin<'_>,
    pieces: &mut Records,
    position: u64,
    end: i64,
) -> Result<(), Damage> {
    let total = pieces.iter().map(|piece| piece.len() as u64).sum();
    let mut good = 0;
    let mut next_offset = origin.file.0;
    while good < total {
        let rest = Span { pieces, range: good..total };
        match check_first(origin, &rest, position + good, next_offset, end) {
            Ok(Some(header)) => {
                good += header.claimed_size() as u64;
                next_offset = header.last_offset() + 1;
            }
            Err(damage) if good == 0 => return Err(damage),
            Ok(None) | Err(_) => break,
        }
    }
    truncate(pieces, good);
    Ok(())
}

/// The first batch of `rest`, if it is whole, right, and before `end`.
fn check_first(
    origin: &Origin<'_>,
    rest: &Span<'_>,
    position: u64,
    next_offset: i64,
    end: i64,
) -> Result<Option<BatchHeader>, Damage> {
    let damaged = |reason| Damage { position, offset: next_offset, reason };
    let Some(header) = rest.header() else { return Ok(None) };
    let size = header.claimed_size();
    if size < BATCH_HEADER_BYTES as i64 || header.magic != MAGIC_V2 {
        return Err(damaged("no batch where one must begin"));
    }
    if header.base_offset.get() < next_offset || header.last_offset_delta.get() < 0 {
        return Err(damaged("its offsets do not follow those before it"));
    }
    if size as u64 > rest.len() || header.base_offset.get() >= end {
        return Ok(None);
    }
    let range = position..position + size as u64;
    if !origin.blocks.is_checked(origin.log, origin.file, &range) {
        if rest.crc(CRC_START as u64..size as u64) != header.crc.get() {
            return Err(damaged("its checksum is wrong"));
        }
        origin.blocks.note_checked(origin.log, origin.file, &range);
    }
    Ok(Some(header))
}

fn truncate(pieces: &mut Records, mut len: u64) {
    let mut kept = 0;
    for piece in pieces.iter_mut() {
        piece.truncate(len.min(piece.len() as u64) as usize);
        len -= piece.len() as u64;
        kept += usize::from(!piece.is_empty());
    }
    pieces.truncate(kept);
}

/// Some of the bytes of several pieces.
struct Span<'a> {
    pieces: &'a [Bytes],
    range: Range<u64>,
}

impl Span<'_> {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The slices that hold `part`, which counts from this span's start.
    fn slices(&self, part: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let part = self.range.start + part.start..self.range.start + part.end;
        let mut start = 0;
        self.pieces.iter().filter_map(move |piece| {
            let from = part.start.max(start).saturating_sub(start) as usize;
            let to = (part.end.saturating_sub(start) as usize).min(piece.len());
            start += piece.len() as u64;
            piece.get(from..to).filter(|slice| !slice.is_empty())
        })
    }

    fn header(&self) -> Option<BatchHeader> {
        let len = BATCH_HEADER_BYTES as u64;
        if self.len() < len {
            return None;
        }
        let mut bytes = [0; BATCH_HEADER_BYTES];
        let mut at = 0;
        for slice in self.slices(0..len) {
            bytes[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
        BatchHeader::peek(&bytes)
    }

    fn crc(&self, part: Range<u64>) -> u32 {
        self.slices(part).fold(0, crc32c::crc32c_append)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{assign, build};
    use super::*;

    fn batches() -> Vec<u8> {
        let mut out = Vec::new();
        for offset in 0..3 {
            let mut batch = build::batch(&[&[offset as u8; 50]], 1_000, None);
            assign(&mut batch, 10 + offset, 0);
            out.extend(batch);
        }
        out
    }

    fn kept(bytes: &[u8], piece: usize, end: i64) -> Result<usize, Damage> {
        let blocks = BlockCache::new(0);
        let origin = Origin { blocks: &blocks, log: 0, file: (10, 0) };
        let mut pieces: Records = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        keep_whole(&origin, &mut pieces, 0, end)?;
        assert!(bytes.starts_with(&pieces.concat()));
        Ok(pieces.concat().len())
    }

    #[test]
    fn only_whole_batches_before_the_end_are_kept_however_the_bytes_are_cut() {
        let all = batches();
        let one = all.len() / 3;
        for piece in 1..all.len() {
            assert_eq!(kept(&all, piece, 100), Ok(all.len()));
            assert_eq!(kept(&all, piece, 12), Ok(2 * one));
            assert_eq!(kept(&all[..all.len() - 1], piece, 100), Ok(2 * one));
        }
    }

    #[test]
    fn damage_is_an_error_in_the_first_batch_and_the_end_in_a_later_one() {
        let all = batches();
        let one = all.len() / 3;
        for at in 16..all.len() {
            // An offset that jumps ahead and the leader epoch are not covered by any checksum.
            if matches!(at % one, 0..=7 | 12..=15) {
                continue;
            }
            let mut damaged = all.clone();
            damaged[at] ^= 0x10;
            match kept(&damaged, 64, 100) {
                Err(damage) => assert!(at < one && damage.offset == 10, "{at}: {damage:?}"),
                Ok(len) => assert_eq!(len, at / one * one, "byte {at}"),
            }
        }
        let swapped = [&all[one..], &all[..one]].concat();
        assert_eq!(kept(&swapped, 64, 100), Ok(2 * one), "an offset went back");
    }
}
