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
}
