//! Starting and stopping: directories are locked, metadata is loaded, shards open their
//! partitions, and only when all have is anybody let in; the way back is the same, reversed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use corelane_shards::log::{JournalReplay, LogDir, LogDirError, LogEnv, LogEnvLimits};
use corelane_shards::net::{port_is_free, Listener};
use corelane_shards::runtime::{
    preflight, spawn_guarded, timeout, Engine, EngineConfig, Gate, MemoryBudget, PreflightError,
    ShardContext, ShardFailed, Shutdown, StartError,
};
use tokio::sync::{mpsc, watch, Barrier};

use super::apply::FoundAtStart;
use super::{Advertised, Shard, ShardParts};
use crate::config::{Advertise, BrokerConfig, HostPort};
use crate::connection;
use crate::controller::{
    self, Controller, ControllerHandle, ImageUpdate, MetadataStore, Placement, StoreError,
};
use crate::metadata::MetadataImage;
use crate::partition::{trim, Operation, Outcome};

/// Why the broker does not run; one line each, saying what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    #[error(transparent)]
    LogDir(#[from] LogDirError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the metadata cannot be used: {0}")]
    Metadata(String),
    #[error("cannot listen on {address}: {why}; is another broker running? use --listen")]
    Listen { address: String, why: std::io::Error },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Shard(#[from] ShardFailed),
    #[error("cannot start the control thread: {0}")]
    Control(std::io::Error),
}

/// How long connections may take to finish what they are doing when the broker stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Parts of the memory, in percent: batches kept for tail readers, requests, answers on their way,
/// blocks read from disk. The rest is for what is not counted.
const TAIL_PERCENT: u64 = 45;
const REQUEST_PERCENT: u64 = 20;
const ANSWER_PERCENT: u64 = 15;
const BLOCK_PERCENT: u64 = 10;

/// Time between two tries to write to a disk that was full.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// A journal file holds at most this part of a shard's memory: what is in it is in memory, too.
const JOURNAL_PART: u64 = 32;
const MOST_JOURNAL_BYTES: u64 = 32 << 20;

/// Parts of the descriptors a process may have: a quarter for log files, five eighths for
/// connections, so that a flood of them does not keep a log from opening its file.
const LOG_FILES_PART: usize = 4;
const CONNECTIONS_PART: (usize, usize) = (5, 8);

/// Runs a broker until it is told to stop (SIGTERM or SIGINT).
///
/// # Errors
/// See [`ServeError`].
pub fn serve(config: BrokerConfig) -> Result<(), ServeError> {
    let engine_config = EngineConfig {
        cores: config.cores.clone(),
        shards: config.shards,
        spin_before_park: Duration::from_micros(config.spin_before_park_us),
        ..EngineConfig::default()
    };
    let shards = engine_config.placement().len();
    let open_files = preflight(shards)?;
    let dirs = open_dirs(&config)?;
    let cluster_id = dirs[0].meta().cluster_id.clone();
    let bound = bind_addresses(&config, shards)?;
    let advertised = Arc::new(Advertised::new(&config, &bound.shown, shards, &cluster_id));
    let (store, records) = MetadataStore::open(dirs[0].path())?;
    let placement = Placement {
        directories: dirs.iter().map(|d| d.meta().directory_id.clone()).collect(),
        shards,
        node_id: config.node_id,
        num_partitions: config.num_partitions,
        topic_defaults: config.topic_defaults.clone(),
    };
    let controller = Controller::load(placement, &records).map_err(ServeError::Metadata)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Control)?;
    let (handle, commands) = ControllerHandle::new();
    let (ready, mut ready_count) = mpsc::unbounded_channel();
    let (open, opened) = watch::channel(false);
    let (updates, update_ends): (Vec<_>, Vec<_>) =
        (0..shards).map(|_| mpsc::unbounded_channel()).unzip();
    let update_ends: Vec<_> =
        update_ends.into_iter().map(|end| std::sync::Mutex::new(Some(end))).collect();
    let launch = Launch {
        clean: dirs.iter().map(LogDir::was_clean).collect(),
        image: Arc::new(controller.image().clone()),
        advertised,
        addresses: Arc::new(bound.per_shard),
        open_files: open_files as usize / shards / LOG_FILES_PART,
        max_connections: (open_files as usize / shards / CONNECTIONS_PART.1 * CONNECTIONS_PART.0)
            .min(config.max_connections),
        config: Arc::new(config),
        controller: handle,
        ready,
        opened,
        updates: Arc::new(update_ends),
        drained: Arc::new(Barrier::new(shards)),
        all_opened: Arc::new(AtomicBool::new(true)),
        all_closed: Arc::new(AtomicBool::new(true)),
    };
    let all_closed = Arc::clone(&launch.all_closed);
    let shutdown = Shutdown::default();
    let engine = Engine::start(&engine_config, shutdown.clone(), move |context| {
        let launch = launch.clone();
        async move { run_shard(context, launch).await }
    })?;
    runtime.block_on(async {
        let started = async {
            for _ in 0..shards {
                ready_count.recv().await;
            }
            let _ = open.send(true);
            for _ in 0..shards {
                ready_count.recv().await;
            }
            for address in &bound.shown {
                tracing::info!(shards, "listening on {address}");
            }
            controller::run(controller, store, commands, updates).await;
        };
        tokio::select! {
            () = started => {}
            () = stop_signal() => tracing::info!("stopping"),
            () = shutdown.requested() => {}
        }
    });
    shutdown.request();
    engine.join()?;
    if all_closed.load(Ordering::SeqCst) {
        for dir in &dirs {
            if let Err(error) = dir.mark_clean() {
                tracing::warn!(dir = %dir.path().display(), "not marked as clean: {error}");
            }
        }
    }
    tracing::info!("stopped");
    Ok(())
}

fn open_dirs(config: &BrokerConfig) -> Result<Vec<LogDir>, ServeError> {
    let mut cluster_id = config.cluster_id.clone();
    let mut dirs: Vec<LogDir> = Vec::with_capacity(config.log_dirs.len());
    for path in &config.log_dirs {
        let id = cluster_id.get_or_insert_with(|| super::apply::kafka_uuid(uuid::Uuid::new_v4()));
        let dir = LogDir::open(path, config.node_id, id)?;
        cluster_id = Some(dir.meta().cluster_id.clone());
        dirs.push(dir);
    }
    Ok(dirs)
}

/// What is listened on: as shown to clients, and for each shard its listeners' addresses.
struct Bound {
    shown: Vec<HostPort>,
    per_shard: Vec<Vec<SocketAddr>>,
}

fn bind_addresses(config: &BrokerConfig, shards: usize) -> Result<Bound, ServeError> {
    let mut bound = Bound { shown: Vec::new(), per_shard: vec![Vec::new(); shards] };
    for listener in &config.listeners {
        let failed = |why| ServeError::Listen { address: listener.to_string(), why };
        let resolved = listener.resolve().map_err(failed)?;
        let first = resolved.first().copied();
        let first = first.ok_or_else(|| failed(std::io::Error::other("no such host")))?;
        let base = port_is_free(first).map_err(failed)?;
        bound.shown.push(HostPort { host: listener.host.clone(), port: base.port() });
        for (shard, addresses) in bound.per_shard.iter_mut().enumerate() {
            let mut address = base;
            if config.advertise == Advertise::PerShard {
                address.set_port(base.port().wrapping_add(shard as u16));
                port_is_free(address).map_err(failed)?;
            }
            addresses.push(address);
        }
    }
    Ok(bound)
}

async fn stop_signal() {
    use tokio::signal::unix::{signal, SignalKind};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!("SIGTERM cannot be waited for: {error}");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

type UpdateEnd = std::sync::Mutex<Option<mpsc::UnboundedReceiver<ImageUpdate>>>;

/// What every shard is started with.
#[derive(Clone)]
struct Launch {
    clean: Vec<bool>,
    image: Arc<MetadataImage>,
    config: Arc<BrokerConfig>,
    advertised: Arc<Advertised>,
    addresses: Arc<Vec<Vec<SocketAddr>>>,
    open_files: usize,
    max_connections: usize,
    controller: ControllerHandle,
    ready: mpsc::UnboundedSender<()>,
    opened: watch::Receiver<bool>,
    /// Taken once, each by its shard.
    updates: Arc<Vec<UpdateEnd>>,
    drained: Arc<Barrier>,
    /// Whether every partition could be opened: until then journals are kept.
    all_opened: Arc<AtomicBool>,
    all_closed: Arc<AtomicBool>,
}

async fn run_shard(
    context: ShardContext<Operation, Outcome>,
    launch: Launch,
) -> Result<(), std::io::Error> {
    let per_shard = launch.config.memory_per_shard(context.shard_count);
    let part = |percent: u64| (per_shard / 100 * percent) as usize;
    let limits = LogEnvLimits {
        tail_bytes: part(TAIL_PERCENT),
        block_bytes: part(BLOCK_PERCENT),
        open_files: launch.open_files,
        journal_file_bytes: (per_shard / JOURNAL_PART).clamp(1 << 20, MOST_JOURNAL_BYTES),
        journal_batch_bytes: launch.config.journal_batch_bytes,
        try_again_after: FULL_DISK_RETRY,
    };
    let shard = Shard::new(ShardParts {
        id: context.id,
        config: Arc::clone(&launch.config),
        mesh: context.mesh.clone(),
        env: LogEnv::new(limits, context.foreground, context.background),
        controller: launch.controller.clone(),
        advertised: Arc::clone(&launch.advertised),
        request_memory: MemoryBudget::new(part(REQUEST_PERCENT)),
        answer_memory: MemoryBudget::new(part(ANSWER_PERCENT)),
        shutdown: context.shutdown.clone(),
    });
    let journals = open_partitions(&shard, &launch).await;
    let stop_mesh = Gate::new();
    let mesh_pass = stop_mesh.enter();
    let mesh = {
        let (shard, stop) = (std::rc::Rc::clone(&shard), stop_mesh.clone());
        context.foreground.spawn(async move { shard.serve_mesh(stop.close()).await })
    };
    let updates = spawn_updates(&shard, &launch, context.id.index());
    let retention = spawn_retention(&shard, &context);
    let _ = launch.ready.send(());
    let accepting = Gate::new();
    let shutdown = context.shutdown.clone();
    let mut opened = launch.opened.clone();
    let opened = async move {
        // An error means that the control thread has ended: there is nothing to wait for.
        opened.wait_for(|open| *open).await.is_ok()
    };
    let stopped = std::pin::pin!(shutdown.requested());
    let opened = std::pin::pin!(opened);
    let open = matches!(
        futures_util::future::select(opened, stopped).await,
        futures_util::future::Either::Left((true, _))
    );
    if open {
        forget_journals(&launch, &journals).await;
        accept_all(&shard, &context, &launch, &accepting)?;
        let _ = launch.ready.send(());
        shutdown.requested().await;
    }
    drop((updates, retention));
    stop_shard(&shard, &launch).await;
    drop(mesh_pass);
    mesh.join().await;
    Ok(())
}

/// Opens all partitions of a shard, with what a crash left in the journals of their directories.
async fn open_partitions(shard: &std::rc::Rc<Shard>, launch: &Launch) -> Vec<JournalReplay> {
    let mut journals = Vec::with_capacity(launch.config.log_dirs.len());
    for dir in &launch.config.log_dirs {
        journals.push(JournalReplay::read(dir).await.unwrap_or_else(|error| {
            tracing::error!("{error}; what the journals there hold is not replayed, they are kept");
            launch.all_opened.store(false, Ordering::SeqCst);
            JournalReplay::default()
        }));
    }
    let found = FoundAtStart { clean: &launch.clean, journals: &journals };
    if !shard.apply(Arc::clone(&launch.image), &found).await {
        launch.all_opened.store(false, Ordering::SeqCst);
    }
    journals
}

/// Every shard has opened its partitions: what the journals had is in the segments.
async fn forget_journals(launch: &Launch, journals: &[JournalReplay]) {
    if !launch.all_opened.load(Ordering::SeqCst) {
        tracing::warn!("journals are kept for the partitions that could not be opened");
        return;
    }
    for journal in journals {
        if let Err(error) = journal.remove().await {
            tracing::warn!("a journal stays until the next start: {error}");
        }
    }
}

fn spawn_retention(
    shard: &std::rc::Rc<Shard>,
    context: &ShardContext<Operation, Outcome>,
) -> corelane_shards::runtime::Task<()> {
    let shard = std::rc::Rc::clone(shard);
    let interval = Duration::from_millis(shard.config.retention_check_ms);
    context.background.spawn(async move { trim::delete_expired(&shard.table, interval).await })
}

/// Applies new images as they come, one after the other.
fn spawn_updates(
    shard: &std::rc::Rc<Shard>,
    launch: &Launch,
    index: usize,
) -> Option<corelane_shards::runtime::Task<()>> {
    let mut end = launch.updates[index].lock().unwrap_or_else(|e| e.into_inner()).take()?;
    let shard = std::rc::Rc::clone(shard);
    Some(corelane_shards::runtime::spawn_local(async move {
        while let Some(update) = end.recv().await {
            // What an update brings was made by this process: nothing of it needs a scan.
            shard.apply(update.image, &FoundAtStart::default()).await;
            let _ = update.applied.send(());
        }
    }))
}

fn accept_all(
    shard: &std::rc::Rc<Shard>,
    context: &ShardContext<Operation, Outcome>,
    launch: &Launch,
    gate: &Gate,
) -> Result<(), std::io::Error> {
    for (number, address) in launch.addresses[context.id.index()].iter().enumerate() {
        let listener = Listener::bind(*address)?;
        let shard = std::rc::Rc::clone(shard);
        let shutdown = context.shutdown.clone();
        let limit = launch.max_connections;
        spawn_guarded(gate, "accept", async move {
            let stopped = std::pin::pin!(shutdown.requested());
            let accept = std::pin::pin!(accept(&shard, &listener, number, limit));
            futures_util::future::select(accept, stopped).await;
        });
    }
    Ok(())
}

async fn accept(shard: &std::rc::Rc<Shard>, listener: &Listener, number: usize, limit: usize) {
    loop {
        let stream = listener.accept().await;
        if shard.connections.len() >= limit {
            let reason = match limit == shard.config.max_connections {
                true => format!("max.connections={limit} are open on shard {}", shard.id),
                false => {
                    format!("{limit} are open on shard {}: raise the limit on open files", shard.id)
                }
            };
            shard.connections.complain(stream.peer_addr(), &reason);
            continue;
        }
        let run = connection::run(std::rc::Rc::clone(shard), stream, number);
        spawn_guarded(&shard.gate, "connection", run);
    }
}

/// Lets connections finish, then closes every log; the shards do it side by side, because each
/// may still be asked by the others until all have let their connections go.
async fn stop_shard(shard: &std::rc::Rc<Shard>, launch: &Launch) {
    shard.end_waiting_fetches();
    shard.connections.close_all();
    if timeout(DRAIN_LIMIT, shard.gate.close()).await.is_none() {
        tracing::warn!(shard = %shard.id, open = shard.gate.count(), "requests were cut off");
    }
    timeout(DRAIN_LIMIT, launch.drained.wait()).await;
    let partitions = shard.table.drain();
    let mut all = true;
    let closing = partitions.iter().map(|partition| partition.log.close());
    for (closed, partition) in
        futures_util::future::join_all(closing).await.into_iter().zip(&partitions)
    {
        if let Err(error) = closed {
            all = false;
            let log = partition.log.dir().display();
            tracing::warn!(%log, "not closed in order, it is scanned at the next start: {error}");
        }
    }
    if timeout(DRAIN_LIMIT, shard.env.gate.close()).await.is_none() {
        all = false;
    }
    if all {
        if let Err(error) = shard.env.remove_journals().await {
            tracing::warn!("a journal stays, the next start reads it in vain: {error}");
        }
    } else {
        launch.all_closed.store(false, Ordering::SeqCst);
    }
}
