//! Aborted transactions of a segment: what a consumer that reads committed records must leave out,
//! in memory and in Kafka's `.txnindex` (per entry: i16 version 0, then as [`Aborted`], big-endian).

use zerocopy::byteorder::big_endian::{I16, I64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::segment::Segment;
use super::state::LogState;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    pub producer_id: i64,
    /// Its first record in this partition, and its marker.
    pub first_offset: i64,
    pub last_offset: i64,
    /// Everything below was decided when the marker was appended.
    pub last_stable_offset: i64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Entry {
    version: I16,
    producer_id: I64,
    first_offset: I64,
    last_offset: I64,
    last_stable_offset: I64,
}

pub fn encode(aborted: &[Aborted]) -> Vec<u8> {
    let mut out = Vec::with_capacity(std::mem::size_of_val(aborted) + 2 * aborted.len());
    for one in aborted {
        let entry = Entry {
            version: I16::ZERO,
            producer_id: I64::new(one.producer_id),
            first_offset: I64::new(one.first_offset),
            last_offset: I64::new(one.last_offset),
            last_stable_offset: I64::new(one.last_stable_offset),
        };
        out.extend_from_slice(entry.as_bytes());
    }
    out
}

/// The entries of a `.txnindex`, as far as they are whole and in order.
pub fn decode(mut bytes: &[u8]) -> Vec<Aborted> {
    let mut out: Vec<Aborted> = Vec::new();
    while let Ok((entry, rest)) = Entry::read_from_prefix(bytes) {
        let last = out.last().map_or(-1, |one| one.last_offset);
        if entry.version.get() != 0 || entry.last_offset.get() <= last {
            break;
        }
        out.push(Aborted {
            producer_id: entry.producer_id.get(),
            first_offset: entry.first_offset.get(),
            last_offset: entry.last_offset.get(),
            last_stable_offset: entry.last_stable_offset.get(),
        });
        bytes = rest;
    }
    out
}

impl LogState {
    /// The end of what a consumer may see that reads committed records: no transaction below it is
    /// undecided, nor its marker less safe than [`LogState::safe_end`] asks for.
    pub fn last_stable(&self) -> i64 {
        match self.producers.first_unstable(self.safe_end) {
            Some(first) => first.max(self.log_start).min(self.safe_end),
            None => self.safe_end,
        }
    }

    /// Transactions aborted by a marker in one of these segments.
    pub(super) fn aborted_in(&self, bases: &[i64]) -> Vec<Aborted> {
        let segments = bases.iter().filter_map(|base| self.find(*base));
        segments.flat_map(|segment| segment.aborted.iter().copied()).collect()
    }

    /// Transactions aborted by a marker in a segment that has been written there: what is on disk
    /// beside it must not speak of others, which a crash takes back.
    pub(super) fn aborted_and_written(&self, segment: &Segment) -> Vec<Aborted> {
        let end = self.written_end();
        segment.aborted.iter().copied().filter(|one| one.last_offset < end).collect()
    }

    /// Aborted transactions with a record or their marker in `from..to`, in the order of their
    /// markers.
    pub fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        let after = self.segments.partition_point(|s| s.base_offset <= from);
        let mut found = Vec::new();
        for segment in &self.segments[after.saturating_sub(1)..] {
            let begin = segment.aborted.partition_point(|one| one.last_offset < from);
            for one in &segment.aborted[begin..] {
                if one.first_offset < to {
                    found.push(*one);
                }
                if one.last_stable_offset >= to {
                    return found;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use bytes::Bytes;

    use super::super::config::LogConfig;
    use super::super::producers::Producers;
    use super::super::state::TailBatch;
    use super::*;

    fn one(n: i64) -> Aborted {
        Aborted { producer_id: 7, first_offset: n, last_offset: n + 2, last_stable_offset: n + 3 }
    }

    #[test]
    fn entries_come_back_up_to_the_first_that_is_damaged() {
        let all: Vec<Aborted> = (0..5).map(|n| one(n * 10)).collect();
        let bytes = encode(&all);
        assert_eq!(bytes.len(), 5 * 34, "as long as Kafka's");
        assert_eq!(decode(&bytes), all);
        assert_eq!(decode(&bytes[..100]), all[..2]);
        let mut damaged = bytes;
        damaged[34 + 1] = 9;
        assert_eq!(decode(&damaged), all[..1]);
    }

    #[test]
    fn an_abort_whose_marker_is_not_written_yet_is_not_kept_on_disk() {
        let aborted = Rc::new(vec![one(0), one(10)]);
        let segment = Segment { aborted, ..Segment::new(0) };
        let (config, producers) = (LogConfig::default(), Producers::default());
        let mut state = LogState::new(config, vec![segment.clone()], 0, 13, vec![], producers);
        assert_eq!(state.aborted_and_written(&segment), [one(0), one(10)]);
        state.tail.push_back(TailBatch {
            base_offset: 12,
            last_offset: 12,
            segment: 0,
            position: 0,
            durable: true,
            bytes: Bytes::new(),
        });
        state.dirty = 1;
        assert_eq!(state.aborted_and_written(&segment), [one(0)]);
    }
}
