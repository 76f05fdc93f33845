//! One simulated file: what readers see, what a power cut leaves, and what lies between.

use std::ops::Range;

use super::Chance;

/// What the device writes as a whole.
const SECTOR_BYTES: usize = 512;

/// See the module's head.
#[derive(Default)]
pub(super) struct Inode {
    /// What reads see.
    live: Vec<u8>,
    /// What is there after a power cut, whatever happens to `pending`.
    durable: Vec<u8>,
    /// Changes of `live` that `durable` does not have, in order.
    pending: Vec<Pending>,
    next_write: u64,
    /// Ranges that are being written now.
    under_way: Vec<(u64, Range<usize>)>,
}

struct Pending {
    change: Change,
    fate: Fate,
    write: u64,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next sync makes it durable; a power cut before that leaves each sector by chance.
    Open,
    /// Durable.
    Kept,
    /// A sync failed: no later one will make it durable, although it can be read.
    Forsaken,
}

impl Inode {
    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn read(&self, at: usize, len: usize) -> Vec<u8> {
        let end = (at + len).min(self.live.len());
        self.live.get(at..end).unwrap_or_default().to_vec()
    }

    /// Begins a write; it is durable only if [`Inode::end_write`] says so.
    ///
    /// # Panics
    /// When a write of the same bytes is under way: their order would not be defined.
    pub fn begin_write(&mut self, at: usize, bytes: Vec<u8>) -> u64 {
        let range = at..at + bytes.len();
        let touched =
            self.under_way.iter().find(|(_, r)| r.start < range.end && range.start < r.end);
        assert!(touched.is_none(), "two writes of the same block are under way: {range:?}");
        self.next_write += 1;
        self.under_way.push((self.next_write, range));
        apply_write(&mut self.live, at, &bytes);
        self.push(Change::Write { at, bytes });
        self.next_write
    }

    /// A write has completed.
    pub fn end_write(&mut self, write: u64, durable: bool) {
        self.under_way.retain(|(number, _)| *number != write);
        if !durable {
            return;
        }
        // The file's size comes with the data that needs it.
        for pending in &mut self.pending {
            let mine = match pending.change {
                Change::Write { .. } => pending.write == write,
                Change::Resize(_) => pending.write <= write && pending.fate == Fate::Open,
            };
            if mine {
                pending.fate = Fate::Kept;
            }
        }
        self.settle();
    }

    /// A write failed when some of its sectors had been written.
    pub fn fail_write(&mut self, write: u64) {
        self.under_way.retain(|(number, _)| *number != write);
        for pending in &mut self.pending {
            if pending.write == write {
                pending.fate = Fate::Forsaken;
            }
        }
    }

    pub fn resize(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.push(Change::Resize(len));
    }

    /// What a sync that begins now will make durable.
    pub fn begin_sync(&self) -> u64 {
        self.next_write
    }

    pub fn end_sync(&mut self, up_to: u64, failed: bool) {
        let fate = if failed { Fate::Forsaken } else { Fate::Kept };
        let under_way = &self.under_way;
        for pending in self.pending.iter_mut().filter(|p| p.write <= up_to) {
            let open = pending.fate == Fate::Open;
            if open && !under_way.iter().any(|(number, _)| *number == pending.write) {
                pending.fate = fate;
            }
        }
        self.settle();
    }

    pub fn cut(&mut self, random: &mut Chance<'_>) {
        let mut durable = std::mem::take(&mut self.durable);
        let resizes = self.pending.iter().filter(|p| matches!(p.change, Change::Resize(_))).count();
        let mut resizes_kept = random.below(resizes as u64 + 1);
        for pending in self.pending.drain(..) {
            match pending.change {
                Change::Resize(len) => {
                    if pending.fate == Fate::Kept || resizes_kept > 0 {
                        durable.resize(len, 0);
                    }
                    resizes_kept = resizes_kept.saturating_sub(1);
                }
                Change::Write { at, bytes } => {
                    for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if pending.fate == Fate::Kept || random.below(2) == 0 {
                            apply_write(&mut durable, at + number * SECTOR_BYTES, sector);
                        }
                    }
                }
            }
        }
        self.live = durable.clone();
        self.durable = durable;
        self.under_way.clear();
    }

    /// The process is gone; what it wrote stays to be read. Direct I/O reads what the device has, so
    /// what the next process finds there and syncs is durable, whatever failed before.
    pub fn kill(&mut self) {
        self.under_way.clear();
        for pending in &mut self.pending {
            if pending.fate == Fate::Forsaken {
                pending.fate = Fate::Open;
            }
        }
    }

    pub fn flip_bit(&mut self, chance: u64) -> Option<u64> {
        self.settle();
        let at = chance.checked_rem(self.live.len() as u64)?;
        let bit = 1 << (chance >> 32 & 7);
        self.live[at as usize] ^= bit;
        if let Some(byte) = self.durable.get_mut(at as usize) {
            *byte ^= bit;
        }
        Some(at)
    }

    fn push(&mut self, change: Change) {
        self.pending.push(Pending { change, fate: Fate::Open, write: self.next_write });
    }

    /// Moves what is durable from the front of the list to where it is for good.
    fn settle(&mut self) {
        let kept = self.pending.iter().take_while(|p| p.fate == Fate::Kept).count();
        for pending in self.pending.drain(..kept) {
            match pending.change {
                Change::Write { at, bytes } => apply_write(&mut self.durable, at, &bytes),
                Change::Resize(len) => self.durable.resize(len, 0),
            }
        }
    }
}

fn apply_write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}
