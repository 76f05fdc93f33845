//! How fast a disk is, by trying: large writes, small durable ones, small reads. All go to a file
//! without a name, with the same flags as the broker's, one after the other on one thread.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::fs::{fallocate, FallocateFlags};
use rustix::io::{pread, pwritev2, ReadWriteFlags};

use super::touch::nameless_file;

pub const LARGE_BYTES: usize = 1 << 20;
pub const SMALL_BYTES: usize = 4096;
/// The file is no larger: enough that reads do not all come from a disk's own cache.
const MOST_FILE_BYTES: u64 = 1 << 30;
/// Nor is it more than this part of what is free.
const FREE_PART: u64 = 20;
/// Less is no measure.
const LEAST_FILE_BYTES: u64 = 8 << 20;
/// The part of the file that small durable writes go to; it is not written before, as a log's end is not.
const DURABLE_PART: u64 = 4;
/// Each part's share of the time.
const SHARES: [(Part, u32); 3] = [(Part::Write, 4), (Part::Durable, 3), (Part::Read, 3)];
const ALL_SHARES: u32 = 10;
/// Longer ones count as this.
const MOST_MICROS: u64 = 60_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Write,
    Durable,
    Read,
}

/// What one part came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Speed {
    pub bytes: u64,
    pub operations: u64,
    pub seconds: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Speed {
    /// In 10⁶ bytes.
    pub fn mb_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds.max(1e-9)
    }

    pub fn per_second(&self) -> f64 {
        self.operations as f64 / self.seconds.max(1e-9)
    }
}

/// What a disk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Speeds {
    /// [`LARGE_BYTES`] at a time, one after the other.
    pub write: Speed,
    /// [`SMALL_BYTES`] at a time, each durable before the next.
    pub durable_write: Speed,
    /// [`SMALL_BYTES`] at a time, anywhere in what was written.
    pub read: Speed,
    /// Not through the page cache.
    pub direct: bool,
}

/// Tries the disk of `dir` for about `time`; `passed` is told how much of it has gone.
///
/// # Errors
/// No file can be made, less than 160 MiB are free, or the disk fails.
pub fn probe(
    dir: &Path,
    free_bytes: u64,
    time: Duration,
    mut passed: impl FnMut(Duration),
) -> io::Result<Speeds> {
    let size =
        (free_bytes / FREE_PART).min(MOST_FILE_BYTES) / LARGE_BYTES as u64 * LARGE_BYTES as u64;
    if size < LEAST_FILE_BYTES {
        return Err(io::Error::other("too little space is free"));
    }
    let (file, direct) = match nameless_file(dir, true) {
        Ok(file) => (file, true),
        Err(_) => (nameless_file(dir, false)?, false),
    };
    // Space is reserved ahead, as the broker does it; where that cannot be done writes take it.
    let _ = fallocate(&file, FallocateFlags::empty(), 0, size);
    let mut trial =
        Trial { file, size, written: 0, buffer: Aligned::random(LARGE_BYTES), random: SEED };
    let mut speeds = Speeds { direct, ..Speeds::default() };
    let mut before = Duration::ZERO;
    for (part, share) in SHARES {
        let share = time * share / ALL_SHARES;
        let speed = trial.run(part, share, |now| passed(before + now))?;
        before += share;
        match part {
            Part::Write => speeds.write = speed,
            Part::Durable => speeds.durable_write = speed,
            Part::Read => speeds.read = speed,
        }
    }
    Ok(speeds)
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

struct Trial {
    file: OwnedFd,
    size: u64,
    /// From the file's beginning.
    written: u64,
    buffer: Aligned,
    random: u64,
}

impl Trial {
    fn run(
        &mut self,
        part: Part,
        time: Duration,
        mut passed: impl FnMut(Duration),
    ) -> io::Result<Speed> {
        let mut times = Histogram::<u64>::new_with_bounds(1, MOST_MICROS, 3)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let mut speed = Speed::default();
        let mut busy = Duration::ZERO;
        let started = Instant::now();
        let mut now = started;
        while now - started < time || speed.operations == 0 {
            let bytes = self.operation(part, speed.operations)?;
            let done = Instant::now();
            busy += done - now;
            times.saturating_record((done - now).as_micros() as u64);
            speed.bytes += bytes as u64;
            speed.operations += 1;
            passed((done - started).min(time));
            // What the bar takes is not the disk's.
            now = Instant::now();
        }
        speed.seconds = busy.as_secs_f64();
        speed.p50_us = times.value_at_quantile(0.5);
        speed.p99_us = times.value_at_quantile(0.99);
        speed.max_us = times.max();
        Ok(speed)
    }

    fn operation(&mut self, part: Part, number: u64) -> io::Result<usize> {
        let durable_from =
            self.size - (self.size / DURABLE_PART) / LARGE_BYTES as u64 * LARGE_BYTES as u64;
        let at = |number: u64, step: usize, room: u64| number % (room / step as u64) * step as u64;
        match part {
            Part::Write => {
                let place = at(number, LARGE_BYTES, durable_from);
                self.written = self.written.max(place + LARGE_BYTES as u64);
                self.write(LARGE_BYTES, place, ReadWriteFlags::empty())
            }
            Part::Durable => {
                let place = durable_from + at(number, SMALL_BYTES, self.size - durable_from);
                self.write(SMALL_BYTES, place, ReadWriteFlags::DSYNC)
            }
            Part::Read => {
                let place = at(self.next_random(), SMALL_BYTES, self.written);
                Ok(pread(&self.file, &mut self.buffer.bytes_mut()[..SMALL_BYTES], place)?)
            }
        }
    }

    fn write(&mut self, len: usize, place: u64, flags: ReadWriteFlags) -> io::Result<usize> {
        let bytes = IoSlice::new(&self.buffer.bytes_mut()[..len]);
        match pwritev2(&self.file, &[bytes], place, flags)? {
            written if written == len => Ok(written),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// Memory that direct I/O can be done with.
struct Aligned {
    memory: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    /// Filled with what no disk can compress.
    fn random(len: usize) -> Aligned {
        let mut memory = vec![0; len + SMALL_BYTES];
        let mut word = SEED;
        for chunk in memory.chunks_exact_mut(8) {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            chunk.copy_from_slice(&(word ^ (word >> 29)).to_le_bytes());
        }
        let from = memory.as_ptr().align_offset(SMALL_BYTES);
        Aligned { memory, from, len }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + self.len]
    }
}
