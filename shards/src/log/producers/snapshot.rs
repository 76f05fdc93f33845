//! Kafka's `.snapshot` files of a partition's producers.

use super::{subtract_sequence, Producer, Producers, Remembered};

const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEADER_BYTES: usize = 10;
const SNAPSHOT_ENTRY_BYTES: usize = 46;

impl Producers {
    /// Kafka's `.snapshot` file: version, CRC32C of what follows, and each producer's last batch.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SNAPSHOT_HEADER_BYTES];
        for (id, producer) in &self.by_id {
            let last = producer.batches.back();
            let delta = last.map_or(0, |last| (last.last_offset - last.base_offset) as i32);
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.extend_from_slice(&producer.last_sequence().to_be_bytes());
            out.extend_from_slice(&last.map_or(-1, |last| last.last_offset).to_be_bytes());
            out.extend_from_slice(&delta.to_be_bytes());
            out.extend_from_slice(&producer.last_ms.to_be_bytes());
            out.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&producer.open_since.unwrap_or(-1).to_be_bytes());
        }
        let count = ((out.len() - SNAPSHOT_HEADER_BYTES) / SNAPSHOT_ENTRY_BYTES) as i32;
        out[..2].copy_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        out[6..10].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&out[6..]);
        out[2..6].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a `.snapshot` file; `None` where it is damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Producers> {
        let body = bytes.get(6..)?;
        let version = i16::from_be_bytes(bytes[..2].try_into().ok()?);
        let crc = u32::from_be_bytes(bytes[2..6].try_into().ok()?);
        let entries = body.get(4..)?;
        let count = i32::from_be_bytes(body[..4].try_into().ok()?);
        let expected = usize::try_from(count).ok()?.checked_mul(SNAPSHOT_ENTRY_BYTES)?;
        if version != SNAPSHOT_VERSION || crc != crc32c::crc32c(body) || entries.len() != expected {
            return None;
        }
        let mut producers = Producers::default();
        for entry in entries.chunks_exact(SNAPSHOT_ENTRY_BYTES) {
            let long = |at: usize| Some(i64::from_be_bytes(entry[at..at + 8].try_into().ok()?));
            let int = |at: usize| Some(i32::from_be_bytes(entry[at..at + 4].try_into().ok()?));
            let epoch = i16::from_be_bytes(entry[8..10].try_into().ok()?);
            let (last_sequence, last_offset, delta) = (int(10)?, long(14)?, int(22)?);
            let mut producer = Producer::new(epoch);
            (producer.last_ms, producer.coordinator_epoch) = (long(26)?, int(34)?);
            producer.open_since = Some(long(38)?).filter(|first| *first >= 0);
            if last_sequence >= 0 && last_offset >= 0 {
                producer.batches.push_back(Remembered {
                    first_sequence: subtract_sequence(last_sequence, delta),
                    last_sequence,
                    base_offset: last_offset - i64::from(delta),
                    last_offset,
                    timestamp_ms: producer.last_ms,
                });
            }
            if let Some(first) = producer.open_since {
                producers.undecided.begin(first);
            }
            producers.by_id.insert(long(0)?, producer);
        }
        Some(producers)
    }
}
