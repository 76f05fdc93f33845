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
    check_io_uring()?;
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
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // Newer kernels (5.12) charge rings to the memory cgroup instead; the library underneath
    // checks the limit all the same, once per executor.
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

/// Asks for the smallest ring there is and closes it again.
fn check_io_uring() -> Result<(), PreflightError> {
    let probe = glommio::LocalExecutorBuilder::default().io_memory(0).ring_depth(8).make();
    match probe {
        Ok(executor) => {
            drop(executor);
            Ok(())
        }
        Err(error) => Err(PreflightError::NoIoUring(error.into())),
    }
}
