use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use glommio::{LocalExecutorBuilder, Placement};

use super::mesh::{self, Mesh, MeshSeed};
use super::tasks::panic_text;
use super::{ShardId, Shutdown, TaskQueue};

/// Bytes that each shard registers with the kernel unless the configuration says otherwise.
pub(super) const IO_MEMORY_BYTES: usize = 1 << 20;

/// How many shards there are, where they run and how they wait.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Cores to pin to, one shard each, in this order; `None`: every core we may run on.
    pub cores: Option<Vec<usize>>,
    /// Number of shards; more than cores share them. `None`: one per core.
    pub shards: Option<usize>,
    /// How long an idle shard polls before it sleeps in the kernel. Zero saves power, up to a
    /// millisecond saves latency.
    pub spin_before_park: Duration,
    /// Open requests per ordered pair of shards.
    pub mailbox_capacity: usize,
    /// Bytes per shard registered with the kernel for I/O (locked memory).
    pub io_memory_bytes: usize,
    /// Prefix of the threads' names.
    pub name: String,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            cores: None,
            shards: None,
            spin_before_park: Duration::ZERO,
            mailbox_capacity: 1024,
            io_memory_bytes: IO_MEMORY_BYTES,
            name: "shard".to_string(),
        }
    }
}

impl EngineConfig {
    /// The core of each shard; `None` where pinning is not possible.
    pub fn placement(&self) -> Vec<Option<usize>> {
        let cores: Vec<usize> = match &self.cores {
            Some(cores) => cores.clone(),
            None => {
                let found = core_affinity::get_core_ids().unwrap_or_default();
                found.into_iter().map(|core| core.id).collect()
            }
        };
        let shards = self.shards.unwrap_or(cores.len()).max(1);
        (0..shards).map(|i| (!cores.is_empty()).then(|| cores[i % cores.len()])).collect()
    }
}

/// What a shard's main future is given. Lives on that shard's thread.
pub struct ShardContext<Q, R> {
    pub id: ShardId,
    pub shard_count: usize,
    pub mesh: Mesh<Q, R>,
    pub shutdown: Shutdown,
    pub foreground: TaskQueue,
    pub background: TaskQueue,
}

/// An executor could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start shard {shard}: {message}")]
pub struct StartError {
    pub shard: ShardId,
    pub message: String,
}

/// A shard ended with an error or a panic.
#[derive(Debug, thiserror::Error)]
#[error("shard {shard} failed: {message}")]
pub struct ShardFailed {
    pub shard: ShardId,
    pub message: String,
}

/// The running shards.
pub struct Engine {
    shutdown: Shutdown,
    threads: Vec<glommio::ExecutorJoinHandle<Result<(), String>>>,
}

impl Engine {
    /// Starts one executor per shard and runs `main` on each.
    ///
    /// # Errors
    /// The kernel refused a thread or a ring; shards already started are asked to stop.
    pub fn start<Q, R, E, F, Fut>(
        config: &EngineConfig,
        shutdown: Shutdown,
        main: F,
    ) -> Result<Engine, StartError>
    where
        Q: Send + 'static,
        R: Send + 'static,
        E: Display + 'static,
        F: Fn(ShardContext<Q, R>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
    {
        let placement = config.placement();
        let shard_count = placement.len();
        let seeds = mesh::seeds(shard_count, config.mailbox_capacity);
        let mut engine = Engine { shutdown: shutdown.clone(), threads: Vec::new() };
        for (index, (core, seed)) in placement.into_iter().zip(seeds).enumerate() {
            let shard = ShardId::new(index);
            let shard_main = ShardMain {
                shard,
                shard_count,
                seed,
                shutdown: shutdown.clone(),
                main: main.clone(),
            };
            match spawn_shard(config, core, shard_main) {
                Ok(thread) => engine.threads.push(thread),
                Err(error) => {
                    engine.shutdown.request();
                    let _ = engine.join();
                    return Err(StartError { shard, message: error.to_string() });
                }
            }
        }
        Ok(engine)
    }

    /// Asks all shards to stop; returns at once.
    pub fn request_shutdown(&self) {
        self.shutdown.request();
    }

    /// Waits until all shards have ended.
    ///
    /// # Errors
    /// The first shard that failed.
    pub fn join(self) -> Result<(), ShardFailed> {
        let mut first = Ok(());
        for (index, thread) in self.threads.into_iter().enumerate() {
            let ended = match thread.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(message)) => Err(message),
                Err(error) => Err(error.to_string()),
            };
            let failed =
                ended.map_err(|message| ShardFailed { shard: ShardId::new(index), message });
            first = first.and(failed);
        }
        first
    }
}

struct ShardMain<Q, R, F> {
    shard: ShardId,
    shard_count: usize,
    seed: MeshSeed<Q, R>,
    shutdown: Shutdown,
    main: F,
}

fn spawn_shard<Q, R, E, F, Fut>(
    config: &EngineConfig,
    core: Option<usize>,
    shard: ShardMain<Q, R, F>,
) -> Result<glommio::ExecutorJoinHandle<Result<(), String>>, glommio::GlommioError<()>>
where
    Q: Send + 'static,
    R: Send + 'static,
    E: Display + 'static,
    F: Fn(ShardContext<Q, R>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    let placement = core.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(&format!("{}-{}", config.name, shard.shard))
        .io_memory(config.io_memory_bytes)
        .spin_before_park(config.spin_before_park)
        .preempt_timer(TaskQueue::LATENCY)
        .spawn(move || run_shard(shard))
}

async fn run_shard<Q, R, E, F, Fut>(shard: ShardMain<Q, R, F>) -> Result<(), String>
where
    Q: 'static,
    R: 'static,
    E: Display,
    F: Fn(ShardContext<Q, R>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    let context = ShardContext {
        id: shard.shard,
        shard_count: shard.shard_count,
        mesh: shard.seed.grow(),
        shutdown: shard.shutdown.clone(),
        foreground: TaskQueue::foreground(),
        background: TaskQueue::background(),
    };
    let ended = AssertUnwindSafe((shard.main)(context)).catch_unwind().await;
    // One shard that ends takes the others with it: half a broker would answer half its clients.
    shard.shutdown.request();
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("panic: {}", panic_text(&*panic))),
    }
}
