//! The allocator of the whole process, and how long it keeps what was freed.

use std::ffi::c_long;

/// Buffers are made on one shard and dropped on another: mimalloc hands such memory back without a
/// lock. (The choice is open; see ARCHITECTURE.md.)
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds.
const KEEP_FREED_MS: c_long = 60_000;

/// Keeps freed memory for a minute before it goes back to the system. By default that is a second:
/// memory that the tail cache uses again and again was given back and then cleared anew by the
/// kernel, an eighth of the CPU time of a busy producer. What the broker keeps is bounded by its
/// settings, not by this. `MIMALLOC_PURGE_DELAY` overrides it.
pub fn keep_freed() {
    // SAFETY: sets one number among mimalloc's options; the index is that of the bundled version,
    // which the test below compares.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, KEEP_FREED_MS) }
}

#[cfg(test)]
mod tests {
    use corelane_shards::runtime::make_ready_ahead;
    use procfs_core::process::Stat;
    use procfs_core::FromRead;

    use super::*;

    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: reads one of mimalloc's options.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // Its default; no option beside it has that value.
        assert_eq!(get(), 1000);
        keep_freed();
        assert_eq!(get(), KEEP_FREED_MS);
    }

    /// Page faults of this thread since it began.
    fn faults() -> u64 {
        Stat::from_file("/proc/thread-self/stat").expect("readable").minflt
    }

    /// Faults of taking buffers of so many bytes; before each 8 MiB `next` is told where the last is.
    fn take(kept: &mut Vec<Vec<u8>>, bytes: usize, next: impl Fn(usize)) -> u64 {
        const BUFFER: usize = 64 << 10;
        let before = faults();
        for number in 0..bytes / BUFFER {
            if number % 128 == 0 {
                next(kept.last().map_or(0, |last| last.as_ptr() as usize));
            }
            let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
            buffer.spare_capacity_mut().chunks_mut(4096).for_each(|page| _ = page[0].write(1));
            kept.push(buffer);
        }
        faults() - before
    }

    /// What `MemoryAhead` guesses of this allocator.
    #[test]
    fn memory_made_ready_is_handed_out_next() {
        let mut kept = Vec::new();
        let without = take(&mut kept, 128 << 20, |_| {});
        let with = take(&mut kept, 128 << 20, |at| {
            // Its own faults are not this thread's. Slow: the machine is busy.
            let ready =
                std::thread::spawn(move || while make_ready_ahead(at, usize::MAX).is_err() {});
            ready.join().expect("ends");
        });
        assert!(with * 4 < without, "{with} page faults with, {without} without");
    }
}
