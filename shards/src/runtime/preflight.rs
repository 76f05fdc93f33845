use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::io_uring;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// Why this machine cannot run the engine as it is set up now; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(
        "the limit on locked memory is {have_kib} KiB and {shards} shards need {need_kib} KiB: \
         raise it (`ulimit -l`, LimitMEMLOCK= in the systemd unit) or start fewer shards (--shards)"
    )]
    LockedMemory { have_kib: u64, need_kib: u64, shards: usize },
    #[error(
        "the limit on open files is {have} and at least {need} are needed: raise it \
         (`ulimit -n`, LimitNOFILE= in the systemd unit)"
    )]
    OpenFiles { have: u64, need: u64 },
    #[error(
        "io_uring cannot be used here ({0}): it needs Linux 5.8 or later, \
         kernel.io_uring_disabled=0, and a container profile that allows it"
    )]
    NoIoUring(std::io::Error),
}

/// Locked memory one executor's rings need: 512 KiB by glommio's own rule.
const LOCKED_BYTES_PER_SHARD: u64 = 512 * 1024;
/// As many as an executor's rings have.
const RING_ENTRIES: u32 = 128;
/// Descriptors a shard needs before the first client or partition.
const FILES_PER_SHARD: u64 = 64;

/// Raises the soft limit on open files to the hard one and checks what the engine cannot do
/// without. Returns the limit on open files now in force.
///
/// # Errors
/// See [`PreflightError`].
pub fn check(shards: usize) -> Result<u64, PreflightError> {
    let open_files = raise_open_files();
    let need = FILES_PER_SHARD * shards as u64 + 64;
    if open_files < need {
        return Err(PreflightError::OpenFiles { have: open_files, need });
    }
    check_locked_memory(shards)?;
    check_io_uring(shards)?;
    Ok(open_files)
}

fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.unwrap_or(u64::MAX)
}

fn check_locked_memory(shards: usize) -> Result<(), PreflightError> {
    let limit = getrlimit(Resource::Memlock);
    // Newer kernels (5.12) charge rings to the memory cgroup instead; the library underneath
    // checks the limit all the same, once per executor, whoever we are.
    let have = limit.current.unwrap_or(u64::MAX);
    if have < LOCKED_BYTES_PER_SHARD {
        return Err(PreflightError::LockedMemory {
            have_kib: have / 1024,
            need_kib: LOCKED_BYTES_PER_SHARD / 1024,
            shards,
        });
    }
    Ok(())
}

/// How long locked memory of a process that just ended may still count as ours.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks the kernel for a ring as large as the executors' and gives it back. The library underneath
/// would panic where there is none.
fn check_io_uring(shards: usize) -> Result<(), PreflightError> {
    let started = Instant::now();
    loop {
        let refused = match probe_ring() {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        if refused != Errno::NOMEM {
            return Err(PreflightError::NoIoUring(refused.into()));
        }
        if started.elapsed() > PATIENCE {
            let have = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
            return Err(PreflightError::LockedMemory {
                have_kib: have / 1024,
                need_kib: shards as u64 * LOCKED_BYTES_PER_SHARD / 1024,
                shards,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

fn probe_ring() -> Result<(), Errno> {
    // SAFETY: all zero is a valid value of this plain C structure: no flag is set.
    let mut parameters: io_uring::io_uring_params = unsafe { std::mem::zeroed() };
    // SAFETY: the parameters are valid for reads and writes, and name no other memory.
    unsafe { io_uring::io_uring_setup(RING_ENTRIES, &mut parameters) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_the_tests_has_rings() {
        assert_eq!(probe_ring(), Ok(()));
        assert!(check(1).expect("the tests need no more than this") > FILES_PER_SHARD);
    }
}
