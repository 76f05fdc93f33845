//! Starting and stopping: directories are locked, metadata is loaded, shards open their
//! partitions, and only when all have is anybody let in; the way back is the same, reversed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corelane_shards::log::{write_checkpoints, DirHealth, LogDir, LogDirError};
use corelane_shards::net::port_is_free;
use corelane_shards::runtime::{
    preflight, Engine, EngineConfig, MemoryAhead, PreflightError, ShardFailed, Shutdown, StartError,
};
use tokio::sync::{mpsc, watch, Barrier};

use super::descriptors::Descriptors;
use super::run_shard::{run_shard, Launch};
use super::Advertised;
use crate::config::{Advertise, BrokerConfig, HostPort};
use crate::connection::Doors;
use crate::controller::{self, Controller, ControllerHandle, MetadataStore, Placement, StoreError};
use crate::machine::{one_memory_node, Root};
use crate::metadata::kafka_uuid;

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
    #[error("no log directory is left that works: check the disks and start again")]
    AllDirsFailed,
    #[error("cannot start the control thread: {0}")]
    Control(std::io::Error),
}

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
    let mut config = config;
    let dirs = open_dirs(&mut config)?;
    let cluster_id = dirs[0].meta().cluster_id.clone();
    let bound = bind_addresses(&config, shards)?;
    let advertised = Arc::new(Advertised::new(&config, &bound.shown, shards, &cluster_id));
    let (store, records) = MetadataStore::open(dirs[0].path())?;
    let config = Arc::new(config);
    let placement = Placement {
        directories: dirs.iter().map(|d| d.meta().directory_id.clone()).collect(),
        online: dirs.len(),
        shards,
        node_id: config.node_id,
        num_partitions: config.num_partitions,
        config: Arc::clone(&config),
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
    let (doors, arrivals) = Doors::new(shards);
    let log_dirs = config.log_dirs.clone();
    let shutdown = Shutdown::default();
    let memory_ahead = start_memory_ahead(config.memory_per_shard(shards) * shards as u64);
    let launch = Launch {
        health: watch_dirs(&dirs, &shutdown),
        clean: dirs.iter().map(LogDir::was_clean).collect(),
        image: Arc::new(controller.image().clone()),
        advertised,
        addresses: Arc::new(bound.per_shard),
        descriptors: Descriptors::of_shard(open_files, shards),
        memory_ahead,
        config,
        controller: handle,
        ready,
        opened,
        updates: Arc::new(update_ends.into_iter().map(|end| Mutex::new(Some(end))).collect()),
        doors: Arc::new(doors),
        arrivals: Arc::new(arrivals.into_iter().map(|end| Mutex::new(Some(end))).collect()),
        drained: Arc::new(Barrier::new(shards)),
        all_opened: Arc::new(AtomicBool::new(true)),
        all_closed: Arc::new(AtomicBool::new(true)),
        checkpoints: Arc::default(),
    };
    let checkpoints = Arc::clone(&launch.checkpoints);
    let all_closed = Arc::clone(&launch.all_closed);
    let health = launch.health.clone();
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
            tell_service_manager(sd_notify::NotifyState::Ready);
            controller::run(controller, store, commands, updates, log_dirs).await;
        };
        tokio::select! {
            () = started => {}
            () = stop_signal() => tracing::info!("stopping"),
            () = shutdown.requested() => {}
        }
    });
    shutdown.request();
    tell_service_manager(sd_notify::NotifyState::Stopping);
    engine.join()?;
    if all_closed.load(Ordering::SeqCst) {
        let checkpoints = checkpoints.lock().unwrap_or_else(|e| e.into_inner());
        for dir in &dirs {
            let held = checkpoints.get(dir.path()).map_or(&[][..], Vec::as_slice);
            let marked = write_checkpoints(dir.path(), held).and_then(|()| dir.mark_clean());
            if let Err(error) = marked {
                tracing::warn!(dir = %dir.path().display(), "not marked as clean: {error}");
            }
        }
    }
    if health.iter().all(|dir| dir.is_offline()) {
        return Err(ServeError::AllDirsFailed);
    }
    tracing::info!("stopped");
    Ok(())
}

/// On a machine with several memory nodes there is none: the node of who touches memory first is
/// where it stays, and that shall be the shard's.
fn start_memory_ahead(memory_bytes: u64) -> Option<Arc<MemoryAhead>> {
    if !one_memory_node(&Root::new("/")) {
        return None;
    }
    let started = MemoryAhead::start(memory_bytes);
    started
        .map(Arc::new)
        .inspect_err(|error| tracing::warn!("no thread to make memory ready ahead: {error}"))
        .ok()
}

/// Each directory's health; the broker ends when none is left.
fn watch_dirs(dirs: &[LogDir], shutdown: &Shutdown) -> Vec<Arc<DirHealth>> {
    let left = Arc::new(AtomicUsize::new(dirs.len()));
    let watch = |dir: &LogDir| {
        let (left, shutdown) = (Arc::clone(&left), shutdown.clone());
        DirHealth::new(dir.path(), move || {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                shutdown.request();
            }
        })
    };
    dirs.iter().map(watch).collect()
}

/// Opens the log directories. One that cannot be used is left out, unless it is the first, which
/// holds the metadata.
fn open_dirs(config: &mut BrokerConfig) -> Result<Vec<LogDir>, ServeError> {
    let mut cluster_id = config.cluster_id.clone();
    let mut dirs: Vec<LogDir> = Vec::with_capacity(config.log_dirs.len());
    for path in std::mem::take(&mut config.log_dirs) {
        let id = cluster_id.get_or_insert_with(|| kafka_uuid(uuid::Uuid::new_v4()));
        let dir = match LogDir::open(&path, config.node_id, id) {
            Err(error @ LogDirError::Unusable { .. }) if !dirs.is_empty() => {
                tracing::error!("{error}; its partitions are offline, the others go on");
                config.failed_log_dirs.push(path);
                continue;
            }
            opened => opened?,
        };
        cluster_id = Some(dir.meta().cluster_id.clone());
        config.log_dirs.push(path);
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

/// systemd, if it has started us, waits for this (`Type=notify`).
fn tell_service_manager(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
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
