//! One shard's life: opens its partitions, lets clients in when all shards are ready, and closes
//! everything in order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corelane_shards::log::{
    Checkpoint, Cleaner, DirHealth, JournalReplay, LogEnv, LogEnvLimits, Pace,
};
use corelane_shards::net::Listener;
use corelane_shards::runtime::{
    spawn_guarded, spawn_local, timeout, Gate, MemoryAhead, MemoryBudget, ShardContext, Task,
};
use tokio::sync::{mpsc, watch, Barrier};

use super::apply::FoundAtStart;
use super::descriptors::Descriptors;
use super::{Advertised, Shard, ShardParts};
use crate::config::BrokerConfig;
use crate::connection::{self, Arrival, Doors};
use crate::controller::{ControllerHandle, ImageUpdate};
use crate::metadata::MetadataImage;
use crate::partition::{compact, trim, Operation, Outcome};

/// How long connections may take to finish what they are doing when the broker stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Parts of the memory, in percent: batches kept for tail readers, requests, answers on their way,
/// blocks read from disk, consumer groups. The rest is for what is not counted.
const TAIL_PERCENT: u64 = 45;
const REQUEST_PERCENT: u64 = 20;
const ANSWER_PERCENT: u64 = 15;
const BLOCK_PERCENT: u64 = 10;
const GROUP_PERCENT: u64 = 5;

/// Bytes of a partition between two recovery points, at least: a crash has at most about so many
/// walked again.
const RECOVERY_POINT_BYTES: u64 = 16 << 20;

/// Time between two tries to write to a disk that was full.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// A journal file holds at most this part of a shard's memory: what is in it is in memory, too.
const JOURNAL_PART: u64 = 16;
const MOST_JOURNAL_BYTES: u64 = 32 << 20;

/// A channel's end for one shard.
pub(super) type TakenOnce<T> = Mutex<Option<mpsc::UnboundedReceiver<T>>>;

/// What every shard is started with.
#[derive(Clone)]
pub(super) struct Launch {
    pub clean: Vec<bool>,
    /// Of each log directory.
    pub health: Vec<Arc<DirHealth>>,
    pub image: Arc<MetadataImage>,
    pub config: Arc<BrokerConfig>,
    pub advertised: Arc<Advertised>,
    pub addresses: Arc<Vec<Vec<SocketAddr>>>,
    pub descriptors: Descriptors,
    pub memory_ahead: Option<Arc<MemoryAhead>>,
    pub controller: ControllerHandle,
    pub ready: mpsc::UnboundedSender<()>,
    pub opened: watch::Receiver<bool>,
    /// Taken once, each by its shard.
    pub updates: Arc<Vec<TakenOnce<ImageUpdate>>>,
    pub doors: Arc<Doors>,
    /// Connections from other shards. Taken once, each by its shard.
    pub arrivals: Arc<Vec<TakenOnce<Arrival>>>,
    pub drained: Arc<Barrier>,
    /// Whether every partition could be opened: until then journals are kept.
    pub all_opened: Arc<AtomicBool>,
    pub all_closed: Arc<AtomicBool>,
    /// What each log directory's partitions were when they were closed.
    pub checkpoints: Arc<Mutex<HashMap<PathBuf, Vec<Checkpoint>>>>,
}

pub(super) async fn run_shard(
    context: ShardContext<Operation, Outcome>,
    launch: Launch,
) -> Result<(), std::io::Error> {
    let per_shard = launch.config.memory_per_shard(context.shard_count);
    let part = |percent: u64| (per_shard / 100 * percent) as usize;
    let limits = LogEnvLimits {
        tail_bytes: part(TAIL_PERCENT),
        block_bytes: part(BLOCK_PERCENT),
        open_files: launch.descriptors.log_files(0),
        journal_file_bytes: (per_shard / JOURNAL_PART).clamp(1 << 20, MOST_JOURNAL_BYTES),
        journal_batch_bytes: launch.config.journal_batch_bytes,
        clear_ahead_bytes: launch.config.clear_ahead_bytes,
        recovery_point_bytes: RECOVERY_POINT_BYTES,
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
        group_bytes: part(GROUP_PERCENT),
        shutdown: context.shutdown.clone(),
        doors: Arc::clone(&launch.doors),
    });
    if let Some(ahead) = &launch.memory_ahead {
        shard.env.make_ready_with(ahead, context.shard_count);
    }
    shard.env.watch_dirs(launch.health.clone());
    let unfinished_moves = shard.settle_moves(&launch.image).await;
    let journals = open_partitions(&shard, &launch).await;
    shard.resume_moves(&unfinished_moves);
    let stop_mesh = Gate::new();
    let mesh_pass = stop_mesh.enter();
    let mesh = {
        let (shard, stop) = (Rc::clone(&shard), stop_mesh.clone());
        context.foreground.spawn(async move { shard.serve_mesh(stop.close()).await })
    };
    let updates = spawn_updates(&shard, &launch, context.id.index());
    let retention = spawn_retention(&shard, &context);
    let coordinators = spawn_coordinators(&shard, &context);
    let cleaner = spawn_cleaner(&shard, &context);
    let arrivals = spawn_arrivals(&shard, &launch, context.id.index());
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
    drop((updates, retention, cleaner, coordinators, arrivals));
    stop_shard(&shard, &launch).await;
    drop(mesh_pass);
    mesh.join().await;
    Ok(())
}

/// Opens all partitions of a shard, with what a crash left in the journals of their directories.
async fn open_partitions(shard: &Rc<Shard>, launch: &Launch) -> Vec<JournalReplay> {
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

fn spawn_retention(shard: &Rc<Shard>, context: &ShardContext<Operation, Outcome>) -> Task<()> {
    let shard = Rc::clone(shard);
    let interval = Duration::from_millis(shard.config().retention_check_ms);
    context.background.spawn(async move {
        // One shard does it for all.
        let first = shard.id.index() == 0;
        let reserves = if first { &shard.config().log_dirs[..] } else { &[] };
        trim::delete_expired(&shard.table, interval, reserves).await;
    })
}

fn spawn_cleaner(
    shard: &Rc<Shard>,
    context: &ShardContext<Operation, Outcome>,
) -> Option<Task<()>> {
    let on = shard.config().cleaner;
    let (shard, shards) = (Rc::clone(shard), context.shard_count.max(1));
    let run = async move {
        let settings = || {
            let config = shard.config();
            let key_bytes = config.cleaner_key_bytes / shards;
            let pace = Pace::unfelt(config.cleaner_bytes_per_second);
            let backoff = Duration::from_millis(config.cleaner_backoff_ms);
            (Cleaner { key_bytes, pace }, backoff)
        };
        compact::compact_all(&shard.table, settings).await;
    };
    on.then(|| context.background.spawn(run))
}

/// The clocks of groups, of their offsets and of transactions.
fn spawn_coordinators(
    shard: &Rc<Shard>,
    context: &ShardContext<Operation, Outcome>,
) -> [Task<()>; 6] {
    let [groups, consumers, share_groups, shares, offsets, transactions] =
        [shard; 6].map(Rc::clone);
    [
        spawn_local(async move { groups.members.run().await }),
        spawn_local(async move { consumers.consumers.run().await }),
        spawn_local(async move { share_groups.share_groups.run().await }),
        spawn_local(async move { shares.run_shares().await }),
        context.background.spawn(async move { offsets.expire_offsets().await }),
        spawn_local(async move { transactions.run_transactions().await }),
    ]
}

/// Applies new images as they come, one after the other.
fn spawn_updates(shard: &Rc<Shard>, launch: &Launch, index: usize) -> Option<Task<()>> {
    let mut end = take(&launch.updates[index])?;
    let shard = Rc::clone(shard);
    Some(spawn_local(async move {
        while let Some(update) = end.recv().await {
            // What an update brings was made by this process: nothing of it needs a scan.
            shard.apply(update.image, &FoundAtStart::default()).await;
            let _ = update.applied.send(());
        }
    }))
}

/// Goes on with connections of other shards as they come.
fn spawn_arrivals(shard: &Rc<Shard>, launch: &Launch, index: usize) -> Option<Task<()>> {
    let mut end = take(&launch.arrivals[index])?;
    let shard = Rc::clone(shard);
    Some(spawn_local(async move {
        while let Some(arrival) = end.recv().await {
            let run = connection::arrived(Rc::clone(&shard), arrival);
            spawn_guarded(&shard.gate, "connection", run);
        }
    }))
}

fn take<T>(end: &TakenOnce<T>) -> Option<mpsc::UnboundedReceiver<T>> {
    end.lock().unwrap_or_else(|e| e.into_inner()).take()
}

fn accept_all(
    shard: &Rc<Shard>,
    context: &ShardContext<Operation, Outcome>,
    launch: &Launch,
    gate: &Gate,
) -> Result<(), std::io::Error> {
    for (number, address) in launch.addresses[context.id.index()].iter().enumerate() {
        let listener = Listener::bind(*address)?;
        let shard = Rc::clone(shard);
        let shutdown = context.shutdown.clone();
        let descriptors = launch.descriptors;
        spawn_guarded(gate, "accept", async move {
            let stopped = std::pin::pin!(shutdown.requested());
            let accept = std::pin::pin!(accept(&shard, &listener, number, descriptors));
            futures_util::future::select(accept, stopped).await;
        });
    }
    Ok(())
}

async fn accept(shard: &Rc<Shard>, listener: &Listener, number: usize, descriptors: Descriptors) {
    let limit = descriptors.most_connections();
    loop {
        let stream = listener.accept().await;
        let (open, wanted) = (shard.connections.len(), shard.config().max_connections);
        shard.env.keep_open(descriptors.log_files(open + 1));
        if open >= limit.min(wanted) {
            let reason = match wanted <= limit {
                true => format!("max.connections={wanted} are open on shard {}", shard.id),
                false => {
                    format!("{limit} are open on shard {}: raise the limit on open files", shard.id)
                }
            };
            shard.connections.complain(stream.peer_addr(), &reason);
            continue;
        }
        let run = connection::accepted(Rc::clone(shard), stream, number);
        spawn_guarded(&shard.gate, "connection", run);
    }
}

/// Lets connections finish, then closes every log; the shards do it side by side, because each
/// may still be asked by the others until all have let their connections go.
async fn stop_shard(shard: &Rc<Shard>, launch: &Launch) {
    shard.end_waiting_fetches();
    shard.members.stop();
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
        let told = match closed {
            Ok(()) => partition.log.checkpoint().await,
            Err(error) => Err(error),
        };
        let dir = partition.log.dir();
        let told = told.map(|checkpoint| {
            let log_dir = dir.parent().map(Path::to_path_buf).unwrap_or_default();
            let mut checkpoints = launch.checkpoints.lock().unwrap_or_else(|e| e.into_inner());
            checkpoints.entry(log_dir).or_default().push(checkpoint);
        });
        if let Err(error) = told {
            all = false;
            let log = dir.display();
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
