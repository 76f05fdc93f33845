//! The thread-per-core runtime: starts one pinned executor per shard, connects the shards by a
//! mesh of mailboxes, and stops them in order. Nothing outside this crate names glommio.

mod ahead;
mod budget;
mod engine;
mod gate;
mod id;
mod mesh;
mod preflight;
mod shutdown;
mod signal;
mod tasks;

pub use ahead::{make_ready_ahead, GaveUp, Growth, MemoryAhead};
pub use budget::{Lease, MemoryBudget};
pub use engine::{Engine, EngineConfig, ShardContext, ShardFailed, StartError};
pub use gate::Gate;
pub use id::ShardId;
pub use mesh::{Mesh, MeshError, PendingReply, ReplyTo};
pub use preflight::{
    check as preflight, open_files_needed, probe_rings, PreflightError, RingProbe,
    LOCKED_BYTES_PER_SHARD, REGISTERED_BYTES_PER_SHARD,
};
pub use shutdown::Shutdown;
pub use signal::Signal;
pub use tasks::{
    sleep, spawn_blocking, spawn_guarded, spawn_local, timeout, yield_now, Task, TaskQueue,
};
