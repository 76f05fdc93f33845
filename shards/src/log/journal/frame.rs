//! A journal file is a run of frames, each one write: a header, then entries, each the batches that
//! one log appended, then zeros up to the next block. Integers are little-endian.
//!
//! A file is written over when everything in it has reached its segments. Every use has a higher
//! generation, and frames count from zero within one, so that what is left of an earlier use ends
//! the run.

use bytes::Bytes;
use zerocopy::byteorder::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::LogId;
use crate::disk::align_up;

const MAGIC: [u8; 8] = *b"CLJRNL01";

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FrameHeader {
    magic: [u8; 8],
    generation: U64,
    sequence: U64,
    /// Bytes of the frame, this header included and the zeros after it not.
    length: U32,
    entries: U32,
    /// CRC32C of the frame's bytes with this field zero.
    crc: U32,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryHeader {
    log: [u8; 20],
    /// Base offset of the segment that the batches belong to.
    segment: I64,
    length: U32,
}

const HEADER_BYTES: usize = size_of::<FrameHeader>();
const ENTRY_BYTES: usize = size_of::<EntryHeader>();
const CRC_AT: usize = HEADER_BYTES - size_of::<U32>();

/// Batches of one log and one segment, in order.
#[derive(Debug, Clone)]
pub struct Entry {
    pub log: LogId,
    pub segment: i64,
    pub batches: Vec<Bytes>,
}

impl Entry {
    fn len_bytes(&self) -> usize {
        ENTRY_BYTES + self.batches.iter().map(Bytes::len).sum::<usize>()
    }
}

/// What a frame of these entries takes in the file.
pub fn frame_bytes(entries: &[Entry]) -> usize {
    align_up((HEADER_BYTES + entries.iter().map(Entry::len_bytes).sum::<usize>()) as u64) as usize
}

/// Fills `out`, of [`frame_bytes`], with a frame.
pub fn fill(out: &mut [u8], generation: u64, sequence: u64, entries: &[Entry]) {
    let mut at = HEADER_BYTES;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for entry in entries {
        let length = entry.batches.iter().map(Bytes::len).sum::<usize>() as u32;
        let segment = I64::new(entry.segment);
        put(EntryHeader { log: entry.log.0, segment, length: U32::new(length) }.as_bytes());
        entry.batches.iter().for_each(|batch| put(batch));
    }
    let header = FrameHeader {
        magic: MAGIC,
        generation: U64::new(generation),
        sequence: U64::new(sequence),
        length: U32::new(at as u32),
        entries: U32::new(entries.len() as u32),
        crc: U32::ZERO,
    };
    out[at..].fill(0);
    out[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    let crc = crc32c::crc32c(&out[..at]);
    out[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// Entries as they are read: the log, its segment's base offset, and its batches.
type Body = Vec<(LogId, i64, Bytes)>;

/// What a file's first use of the highest generation left in it: its generation and its entries,
/// each with its batches in one piece.
pub fn read_all(file: &Bytes) -> Option<(u64, Body)> {
    let mut generation = None;
    let mut entries = Vec::new();
    let mut at = 0;
    for sequence in 0.. {
        let Some((header, body)) = read_frame(file, at) else { break };
        let expected = *generation.get_or_insert(header.generation.get());
        if header.generation.get() != expected || header.sequence.get() != sequence {
            break;
        }
        at += align_up(u64::from(header.length.get())) as usize;
        entries.extend(body);
    }
    generation.map(|generation| (generation, entries))
}

fn read_frame(file: &Bytes, at: usize) -> Option<(FrameHeader, Body)> {
    let rest = file.get(at..)?;
    let (header, _) = FrameHeader::read_from_prefix(rest).ok()?;
    let length = header.length.get() as usize;
    if header.magic != MAGIC || length < HEADER_BYTES || length > rest.len() {
        return None;
    }
    let crc = crc32c::crc32c(&rest[..CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    if crc32c::crc32c_append(crc, &rest[HEADER_BYTES..length]) != header.crc.get() {
        return None;
    }
    let mut body = Body::new();
    let mut from = at + HEADER_BYTES;
    for _ in 0..header.entries.get() {
        let (entry, _) = EntryHeader::read_from_prefix(&file[from..at + length]).ok()?;
        let start = from + ENTRY_BYTES;
        from = start.checked_add(entry.length.get() as usize)?;
        if from > at + length {
            return None;
        }
        body.push((LogId(entry.log), entry.segment.get(), file.slice(start..from)));
    }
    Some((header, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(log: u8, segment: i64, batches: &[&'static [u8]]) -> Entry {
        let batches = batches.iter().map(|b| Bytes::from_static(b)).collect();
        Entry { log: LogId([log; 20]), segment, batches }
    }

    fn written(generation: u64, frames: &[Vec<Entry>]) -> Vec<u8> {
        let mut file = Vec::new();
        for (sequence, entries) in frames.iter().enumerate() {
            let mut frame = vec![0xaa; frame_bytes(entries)];
            fill(&mut frame, generation, sequence as u64, entries);
            file.extend(frame);
        }
        file
    }

    #[test]
    fn frames_come_back_until_the_first_that_is_not_whole() {
        let frames = vec![
            vec![entry(1, 0, &[b"abc", b"de"]), entry(2, 9, &[b"x"])],
            vec![entry(1, 5, &[b"f"])],
        ];
        let file = written(7, &frames);
        let (generation, all) = read_all(&Bytes::from(file.clone())).expect("frames");
        assert_eq!(generation, 7);
        let got: Vec<_> = all.iter().map(|(log, at, bytes)| (log.0[0], *at, &bytes[..])).collect();
        assert_eq!(got, [(1, 0, &b"abcde"[..]), (2, 9, b"x"), (1, 5, b"f")]);
        for at in 0..HEADER_BYTES + 2 * ENTRY_BYTES + 6 {
            let mut damaged = file.clone();
            damaged[at] ^= 0x40;
            assert!(read_all(&Bytes::from(damaged)).is_none(), "byte {at}");
        }
        let cut = Bytes::from(file[..file.len() - 4095].to_vec());
        assert_eq!(read_all(&cut).expect("the first").1.len(), 2);
    }

    #[test]
    fn what_an_earlier_use_left_is_not_read() {
        let old = written(3, &[vec![entry(1, 0, &[b"old"])], vec![entry(1, 0, &[b"old too"])]]);
        let mut file = written(4, &[vec![entry(1, 0, &[b"new"])]]);
        file.extend(&old[file.len()..]);
        let (generation, all) = read_all(&Bytes::from(file)).expect("frames");
        assert_eq!((generation, all.len()), (4, 1));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>, at in 0usize..200, value: u8) {
            let _ = read_all(&Bytes::from(bytes));
            let mut file = written(1, &[vec![entry(1, 0, &[b"abc"])]]);
            file[at] = value;
            let _ = read_all(&Bytes::from(file));
        }
    }
}
