use std::io;
use std::time::{Duration, Instant};

use io_uring::{opcode, IoUring, Probe};
use rustix::io::Errno;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::engine::IO_MEMORY_BYTES;

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
    NoIoUring(io::Error),
    #[error(
        "this kernel's io_uring lacks {}: Linux 5.8 or later is needed",
        .0.join(", ")
    )]
    OldKernel(Vec<&'static str>),
}

/// Locked memory one executor's rings need: 512 KiB by glommio's own rule.
pub const LOCKED_BYTES_PER_SHARD: u64 = 512 * 1024;
/// Memory that an executor registers with its three rings; it goes on without where it may not.
pub const REGISTERED_BYTES_PER_SHARD: u64 = 3 * IO_MEMORY_BYTES as u64;
/// As many as an executor's rings have.
const RING_ENTRIES: u32 = 128;
/// Descriptors a shard needs before the first client or partition.
const FILES_PER_SHARD: u64 = 64;

/// What the engine asks of a ring: glommio's list. It ends the process where one is missing.
const OPERATIONS: [(&str, u8); 23] = [
    ("NOP", opcode::Nop::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("READ_FIXED", opcode::ReadFixed::CODE),
    ("WRITE_FIXED", opcode::WriteFixed::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("POLL_REMOVE", opcode::PollRemove::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("TIMEOUT_REMOVE", opcode::TimeoutRemove::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("LINK_TIMEOUT", opcode::LinkTimeout::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::Recv::CODE),
];

/// Whether rings can be had here, and do what the engine asks of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingProbe {
    Works,
    /// Names of operations that this kernel does not have.
    Lacks(Vec<&'static str>),
    /// Why there is no ring.
    Refused(String),
}

/// Asks the kernel for a ring, and what it can do.
pub fn probe_rings() -> RingProbe {
    match missing_operations() {
        Ok(missing) if missing.is_empty() => RingProbe::Works,
        Ok(missing) => RingProbe::Lacks(missing),
        Err(error) => RingProbe::Refused(error.to_string()),
    }
}

/// Open files without which `shards` shards do not start.
pub fn open_files_needed(shards: usize) -> u64 {
    FILES_PER_SHARD * shards as u64 + 64
}

/// Raises the soft limit on open files to the hard one and checks what the engine cannot do
/// without. Returns the limit on open files now in force.
///
/// # Errors
/// See [`PreflightError`].
pub fn check(shards: usize) -> Result<u64, PreflightError> {
    let open_files = raise_open_files();
    let need = open_files_needed(shards);
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
        let refused = match missing_operations() {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => return Err(PreflightError::OldKernel(missing)),
            Err(refused) => refused,
        };
        if refused.raw_os_error() != Some(Errno::NOMEM.raw_os_error()) {
            return Err(PreflightError::NoIoUring(refused));
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

fn missing_operations() -> io::Result<Vec<&'static str>> {
    let ring = IoUring::new(RING_ENTRIES)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let missing = OPERATIONS.into_iter().filter(|(_, code)| !probe.is_supported(*code));
    Ok(missing.map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_the_tests_has_rings() {
        assert_eq!(probe_rings(), RingProbe::Works);
        assert!(check(1).expect("the tests need no more than this") > FILES_PER_SHARD);
    }
}
