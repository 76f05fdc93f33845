//! The last offset of each key, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes that one key takes in the map, its share of empty places included.
const BYTES_PER_KEY: usize = 48;

/// Keys by their 128-bit hash (SipHash under a random key: nobody can make two keys meet), as Kafka
/// does with MD5.
pub struct KeyOffsets {
    most: usize,
    secret: (u64, u64),
    /// Many small maps: a large one stops the shard for milliseconds whenever it grows.
    parts: Vec<HashMap<u128, i64, BuildHasherDefault<Already>>>,
    len: usize,
}

const PARTS: usize = 256;

/// The keys are hashes already.
#[derive(Default)]
pub struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

impl KeyOffsets {
    /// A map that takes at most about `bytes` of memory, and room for one key at least.
    pub fn new(bytes: usize) -> Self {
        let secret = uuid::Uuid::new_v4().as_u64_pair();
        let parts = std::iter::repeat_with(HashMap::default).take(PARTS).collect();
        KeyOffsets { most: (bytes / BYTES_PER_KEY).max(1), secret, parts, len: 0 }
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(key);
        hasher.finish128().as_u128()
    }

    /// Notes that `key` has a record at `offset`; `false`: there is no room for another key, and
    /// this one is not taken `in_any_case`.
    pub fn note(&mut self, key: &[u8], offset: i64, in_any_case: bool) -> bool {
        let hash = self.hash(key);
        let room = in_any_case || self.len < self.most;
        let part = &mut self.parts[(hash >> 64) as usize % PARTS];
        match part.get_mut(&hash) {
            Some(last) => *last = (*last).max(offset),
            None if room => {
                part.insert(hash, offset);
                self.len += 1;
            }
            None => return false,
        }
        true
    }

    /// The last offset that was noted for `key`.
    pub fn last(&self, key: &[u8]) -> Option<i64> {
        let hash = self.hash(key);
        self.parts[(hash >> 64) as usize % PARTS].get(&hash).copied()
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_is_kept_and_memory_is_bounded() {
        let mut keys = KeyOffsets::new(3 * BYTES_PER_KEY);
        for (key, offset) in [(b"a", 1), (b"b", 2), (b"a", 5), (b"a", 3), (b"c", 9)] {
            assert!(keys.note(key, offset, false));
        }
        assert!(!keys.note(b"d", 10, false), "three fit");
        assert!(keys.note(b"b", 11, false), "known ones still do");
        assert_eq!((keys.last(b"a"), keys.last(b"b"), keys.last(b"d")), (Some(5), Some(11), None));
        assert_eq!(keys.len(), 3);
    }
}
