//! Recovery points: up to where a crash need not be feared. A point names a position in the active
//! segment below which everything is durable, with the index and the producers as of there, so that
//! recovery begins to walk behind it. Taken when a batch is appended, kept when it is durable.

use std::path::Path;
use std::rc::Rc;

use zerocopy::byteorder::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::aborted::{self, Aborted};
use super::index::SegmentIndex;
use super::log::Log;
use super::producers::Producers;
use super::state::LogState;
use crate::disk::{self, DiskError, HandleKind};

const POINT_FILE: &str = "recovery-point";
const MAGIC: [u8; 8] = *b"CLPOINT2";
/// A point comes when the segment has grown by this part of it, if that is more than the least.
const SEGMENT_PART: u64 = 16;

/// See the module's head.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryPoint {
    pub segment: i64,
    /// Everything in the segment's file below is durable.
    pub position: u64,
    /// Offset of the batch that begins there.
    pub offset: i64,
    pub index: Rc<SegmentIndex>,
    pub producers: Producers,
    /// Transactions aborted by a marker in the segment.
    pub aborted: Rc<Vec<Aborted>>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// CRC32C of everything behind it.
    crc: U32,
    segment: I64,
    position: U64,
    offset: I64,
    offsets_bytes: U32,
    times_bytes: U32,
    aborted_bytes: U32,
}

const CRC_END: usize = 12;

impl RecoveryPoint {
    fn encode(&self) -> Vec<u8> {
        let (offsets, times) = self.index.encode();
        let aborted = aborted::encode(&self.aborted);
        let header = Header {
            magic: MAGIC,
            crc: U32::ZERO,
            segment: I64::new(self.segment),
            position: U64::new(self.position),
            offset: I64::new(self.offset),
            offsets_bytes: U32::new(offsets.len() as u32),
            times_bytes: U32::new(times.len() as u32),
            aborted_bytes: U32::new(aborted.len() as u32),
        };
        let parts = [header.as_bytes(), &offsets, &times, &aborted, &self.producers.encode()];
        let mut out = parts.concat();
        let crc = crc32c::crc32c(&out[CRC_END..]);
        out[CRC_END - 4..CRC_END].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<RecoveryPoint> {
        let (header, rest) = Header::read_from_prefix(bytes).ok()?;
        let crc = crc32c::crc32c(bytes.get(CRC_END..)?);
        if header.magic != MAGIC || header.crc.get() != crc {
            return None;
        }
        let (offsets, rest) = rest.split_at_checked(header.offsets_bytes.get() as usize)?;
        let (times, rest) = rest.split_at_checked(header.times_bytes.get() as usize)?;
        let (aborted, producers) = rest.split_at_checked(header.aborted_bytes.get() as usize)?;
        let position = header.position.get();
        Some(RecoveryPoint {
            segment: header.segment.get(),
            position,
            offset: header.offset.get(),
            index: Rc::new(SegmentIndex::decode(offsets, times, position)?),
            producers: Producers::decode(producers)?,
            aborted: Rc::new(aborted::decode(aborted)),
        })
    }

    /// The point that was kept for the log in `dir`; one that cannot be read is none.
    pub async fn load(dir: &Path) -> Result<Option<RecoveryPoint>, DiskError> {
        let bytes = disk::read_small(&dir.join(POINT_FILE)).await?;
        Ok(bytes.and_then(|bytes| RecoveryPoint::decode(&bytes)))
    }
}

impl LogState {
    /// Takes a point behind the batch that was appended last, if it is time for one.
    pub(super) fn note_point(&mut self, least_bytes: u64) {
        let active = self.active();
        let (segment, size) = (active.base_offset, active.size);
        let since = match self.last_point {
            (of, position) if of == segment => position,
            _ => 0,
        };
        if least_bytes == 0 || size - since < least_bytes.max(size / SEGMENT_PART) {
            return;
        }
        let Some(index) = active.index.clone() else { return };
        let (offset, producers) = (self.log_end, self.producers.clone());
        let aborted = Rc::clone(&active.aborted);
        self.last_point = (segment, size);
        let point = RecoveryPoint { segment, position: size, offset, index, producers, aborted };
        self.point = Some(point);
    }

    /// Hands out the last point, once the writer has come past it.
    pub(super) fn take_point(&mut self) -> Option<RecoveryPoint> {
        let point = self.point.as_ref()?;
        let written = self.find(point.segment).is_some_and(|s| s.written >= point.position);
        if written {
            self.point.take()
        } else {
            None
        }
    }
}

impl Log {
    /// Keeps the last point, if all before it has been written: in the background, because it has to
    /// be durable first.
    pub(super) fn keep_point(self: &Rc<Self>) {
        if self.keeping_point.get() {
            return;
        }
        let Some(point) = self.state.borrow_mut().take_point() else { return };
        let Some(pass) = self.env.gate.enter() else { return };
        self.keeping_point.set(true);
        let log = Rc::clone(self);
        let keep = async move {
            if let Err(error) = log.save_point(&point).await {
                // Nothing is lost: recovery walks more.
                tracing::warn!(log = %log.dir().display(), "no recovery point: {error}");
            }
            log.keeping_point.set(false);
            log.settled.notify();
            drop(pass);
        };
        self.env.background.spawn(keep).detach();
    }

    async fn save_point(&self, point: &RecoveryPoint) -> Result<(), DiskError> {
        let file = self.file(point.segment, HandleKind::Write).await?;
        if let Err(error) = file.sync_data().await {
            // What the next sync says is worth nothing.
            self.fail(&error);
            return Err(error);
        }
        if self.is_closed() || self.has_failed() {
            return Ok(());
        }
        disk::replace_file(&self.dir().join(POINT_FILE), point.encode()).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{assign, build, BatchHeader};
    use super::*;

    #[test]
    fn a_point_comes_back_and_a_damaged_one_does_not() {
        let (mut index, mut producers) = (SegmentIndex::default(), Producers::default());
        for n in 0..20 {
            let producer = build::Producer { id: 3, epoch: 0, sequence: n };
            let mut batch = build::batch(&[&[1; 90]], 500, Some(producer));
            assign(&mut batch, 40 + i64::from(n), 0);
            let header = BatchHeader::peek(&batch).expect("one");
            index.note(40, &header, n as u64 * 160, 300);
            producers.note(&header, &batch);
        }
        let producers = Producers::decode(&producers.encode()).expect("reads");
        let index = Rc::new(index);
        let one =
            Aborted { producer_id: 3, first_offset: 1, last_offset: 50, last_stable_offset: 51 };
        let (aborted, position) = (Rc::new(vec![one]), 3_200);
        let point = RecoveryPoint { segment: 40, position, offset: 60, index, producers, aborted };
        let bytes = point.encode();
        let read = RecoveryPoint::decode(&bytes).expect("reads");
        assert_eq!((read.segment, read.position, read.offset), (40, 3_200, 60));
        assert_eq!((&read.producers, &read.aborted), (&point.producers, &point.aborted));
        assert_eq!(read.index.encode(), point.index.encode());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(RecoveryPoint::decode(&damaged).is_none(), "byte {at}");
            assert!(RecoveryPoint::decode(&bytes[..at]).is_none(), "cut at {at}");
        }
    }
}
