use std::cell::Cell;
use std::hint::black_box;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::mm::{madvise, Advice};

/// Free memory that is kept ready, at most. Below the 32 MiB in which mimalloc hands its memory out,
/// so that it is one such piece, and the one that is used next.
const MOST_READY_BYTES: usize = 31 << 20;
/// What is made ready after the place that was used last: the rest of a piece in use.
const MOST_AFTER_BYTES: usize = 16 << 20;
/// All shards together may grow by about this much before more is made ready.
const STEP_BYTES: usize = 8 << 20;
/// A shard does not ask more often than this.
const LEAST_STEP_BYTES: usize = 512 << 10;
/// Made ready in one call, during which no memory can be mapped: the size of a huge page.
const CALL_BYTES: usize = 2 << 20;
/// A call that takes longer had to wait for a core, while who wants to map memory waited for it.
const SLOW: Duration = Duration::from_millis(20);
/// All cores are busy then: nothing is made ready for so many times as long.
const REST_TIMES: u32 = 4;
const MOST_REST: Duration = Duration::from_secs(1);
const PAGE_BYTES: usize = 4 << 10;

/// Has the kernel hand out and clear memory before a shard wants it.
///
/// A shard's first write to new memory waits until the kernel has found and cleared a page: with
/// huge pages 0.1 ms on bare metal, several in a virtual machine whose host has to find it, too, and
/// everything on the shard waits with it. A thread does it ahead, where an allocator that fills its
/// memory from the bottom up (mimalloc does) goes on next: after the place that was used last, and
/// where it has a large piece free. Guessed wrong, or without time for the thread (it has the lowest
/// priority), or before Linux 5.14, everything is as without.
pub struct MemoryAhead {
    asked: Asked,
    thread: Thread,
}

#[derive(Clone)]
struct Asked(Arc<AskedInner>);

#[derive(Default)]
struct AskedInner {
    more: AtomicBool,
    /// For each cache the address that it used last when it asked; 0: it did not. The lock is taken
    /// where a cache is made, and by the thread.
    at: Mutex<Vec<Arc<AtomicUsize>>>,
    end: AtomicBool,
}

impl MemoryAhead {
    /// Starts the thread. `memory_bytes` is what all shards together may use: of little memory, only
    /// a little is made ready.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(memory_bytes: u64) -> std::io::Result<MemoryAhead> {
        let asked = Asked(Arc::default());
        let most = usize::try_from(memory_bytes / 16).unwrap_or(usize::MAX);
        let of_thread = asked.clone();
        let thread = thread::Builder::new().name("memory".into()).spawn(move || {
            give_way();
            let mut rest_until = Instant::now();
            of_thread.serve(|at| {
                if Instant::now() < rest_until {
                    return;
                }
                if let Err(GaveUp(took)) = make_ready_ahead(at, most) {
                    rest_until = Instant::now() + (took * REST_TIMES).min(MOST_REST);
                }
            });
        })?;
        Ok(MemoryAhead { asked, thread: thread.thread().clone() })
    }

    /// For one of `shards`: what it tells of one of its caches.
    pub fn growth(&self, shards: usize) -> Growth {
        let at = Arc::<AtomicUsize>::default();
        self.asked.caches().push(at.clone());
        Growth {
            asked: self.asked.clone(),
            at,
            thread: self.thread.clone(),
            step: (STEP_BYTES / shards.max(1)).max(LEAST_STEP_BYTES),
            ready_until: Cell::new(0),
        }
    }
}

/// Ends the thread, without waiting for it.
impl Drop for MemoryAhead {
    fn drop(&mut self) {
        self.asked.0.end.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Asked {
    fn serve(&self, mut make_ready: impl FnMut(usize)) {
        while !self.0.end.load(Ordering::Acquire) {
            if !self.0.more.swap(false, Ordering::AcqRel) {
                thread::park();
                continue;
            }
            // Shards with the same load ask in the same moment, again and again.
            let mut number = 0;
            while let Some(at) = self.at(number) {
                if at != 0 {
                    make_ready(at);
                }
                number += 1;
            }
        }
    }

    /// Where the cache of this number asked for memory, once; `None`: there are not so many.
    fn at(&self, number: usize) -> Option<usize> {
        Some(self.caches().get(number)?.swap(0, Ordering::Relaxed))
    }

    fn caches(&self) -> impl DerefMut<Target = Vec<Arc<AtomicUsize>>> + '_ {
        self.0.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a call took after which the rest was left as it was.
#[derive(Debug)]
pub struct GaveUp(pub Duration);

/// Makes ready what the allocator hands out next, at most `most` bytes in each of two places, where
/// it handed out the address `at` last.
///
/// # Errors
/// That went so slowly that it was given up.
pub fn make_ready_ahead(at: usize, most: usize) -> Result<(), GaveUp> {
    let (after, next) = (MOST_AFTER_BYTES.min(most), MOST_READY_BYTES.min(most));
    make_ready(at, after)?;
    make_ready(next_free(next), next)
}

/// Whoever else wakes up on this thread's core has it at once: between ordinary threads, however
/// nice, that can take until the next tick, 4 ms.
fn give_way() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: `none` lives for the call, which changes nothing but how this thread is scheduled.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &none) };
    if result != 0 {
        tracing::debug!("memory is made ready at normal priority");
    }
}

/// Where the allocator has so many bytes free: taken, and given back at once. 0: nowhere.
fn next_free(bytes: usize) -> usize {
    let mut block: Vec<u8> = Vec::new();
    if block.try_reserve_exact(bytes).is_err() {
        return 0;
    }
    // Else the compiler sees that nobody uses it, and takes nothing.
    black_box(block.as_mut_ptr()) as usize
}

/// Has the pages from `at` on backed by memory, as far as there are any.
fn make_ready(at: usize, bytes: usize) -> Result<(), GaveUp> {
    let start = at & !(PAGE_BYTES - 1);
    let mut done = 0;
    while at != 0 && done < bytes {
        let began = Instant::now();
        // SAFETY: no memory of this program changes, nor who owns it: this call of Linux does what
        // reading each byte and writing it back would, atomically, and fails where nothing is
        // mapped or it may not be written.
        let ready = unsafe {
            let from = std::ptr::without_provenance_mut(start + done);
            madvise(from, CALL_BYTES.min(bytes - done), Advice::LinuxPopulateWrite)
        };
        let took = began.elapsed();
        if ready.is_err() {
            return Ok(());
        }
        if took > SLOW {
            return Err(GaveUp(took));
        }
        done += CALL_BYTES;
    }
    Ok(())
}

/// Tells the thread when what a shard holds has grown. Lives on its shard.
pub struct Growth {
    asked: Asked,
    at: Arc<AtomicUsize>,
    thread: Thread,
    step: usize,
    ready_until: Cell<usize>,
}

impl Growth {
    /// Notes that the shard holds `bytes` now, the last of them at the address `at`. Costs a
    /// comparison, and a wake-up each time when it is a step more than ever before; a cache that
    /// stays full never wakes anybody.
    pub fn holds(&self, bytes: usize, at: usize) {
        if bytes < self.ready_until.get() {
            return;
        }
        self.ready_until.set(bytes + self.step);
        self.at.store(at, Ordering::Relaxed);
        if !self.asked.0.more.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_asks_once_and_a_full_cache_never() {
        let ahead = MemoryAhead { asked: Asked(Arc::default()), thread: thread::current() };
        let growth = ahead.growth(2);
        let asked = |bytes| {
            growth.holds(bytes, 4096);
            ahead.asked.0.more.swap(false, Ordering::AcqRel)
        };
        assert!(asked(100));
        assert!(!asked(4 << 20));
        assert!(asked((4 << 20) + 100));
        assert!(!asked(100), "what was held before is ready");
        assert!(asked((8 << 20) + 100));
    }

    #[test]
    fn a_shard_among_many_asks_no_more_often_than_its_least_step() {
        let ahead = MemoryAhead::start(1 << 30).expect("starts");
        assert_eq!(ahead.growth(1).step, STEP_BYTES);
        assert_eq!(ahead.growth(1_000).step, LEAST_STEP_BYTES);
    }

    #[test]
    fn two_that_ask_in_one_moment_are_both_served() {
        let ahead = MemoryAhead { asked: Asked(Arc::default()), thread: thread::current() };
        let caches: Vec<Growth> = (0..3).map(|_| ahead.growth(3)).collect();
        caches[0].holds(1, 7);
        caches[2].holds(1, 9);
        let mut served = Vec::new();
        ahead.asked.serve(|at| {
            served.push(at);
            ahead.asked.0.end.store(served.len() == 2, Ordering::Release);
        });
        assert_eq!(served, [7, 9]);
    }

    /// Page faults of this thread since it began.
    fn faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("readable");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        fields.split(' ').nth(7).expect("minflt").parse().expect("a number")
    }

    #[test]
    fn memory_is_backed_as_far_as_there_is_any() {
        let mut block: Vec<u8> = Vec::with_capacity(64 << 20);
        let at = block.as_mut_ptr() as usize;
        while make_ready(at, 64 << 20).is_err() {}
        let before = faults();
        block.spare_capacity_mut().chunks_mut(PAGE_BYTES).for_each(|page| _ = page[0].write(1));
        let taken = faults() - before;
        assert!(taken < 32, "{taken} faults for 16,384 pages");
        assert!(make_ready(0, 1 << 20).is_ok());
        assert!(make_ready(usize::MAX & !0xfff, 1 << 20).is_ok());
        assert_ne!(next_free(1 << 20), 0);
        assert_eq!(next_free(usize::MAX), 0);
    }
}
