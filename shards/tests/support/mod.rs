//! A shard for each test, with small limits.
#![allow(dead_code)] // each test uses some of it

pub mod random;
pub mod transactions;
pub mod world;

use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use corelane_shards::log::{
    recover, JournalReplay, Log, LogConfig, LogEnv, LogEnvLimits, LogError, LogId, Opening,
    Recovered,
};
use corelane_shards::runtime::{Engine, EngineConfig, ShardContext, Shutdown};

pub const LIMITS: LogEnvLimits = LogEnvLimits {
    tail_bytes: 64 << 10,
    block_bytes: 8 << 20,
    open_files: 64,
    journal_file_bytes: 1 << 20,
    journal_batch_bytes: 16 << 10,
    clear_ahead_bytes: 64 << 10,
    recovery_point_bytes: 8 << 10,
    try_again_after: Duration::from_millis(50),
};

/// The one log of a test that has no other.
pub const LOG: LogId = LogId([1; 20]);

/// Opens [`LOG`] with what the journals beside it hold, as the broker does.
pub async fn reopen(
    env: &Rc<LogEnv>,
    dir: &Path,
    config: LogConfig,
    clean: bool,
) -> Result<(Rc<Log>, Recovered), LogError> {
    let journal = JournalReplay::read(dir.parent().expect("a log directory")).await?;
    recover(env, dir, config, Opening { id: LOG, clean, journal: &journal }).await
}

/// Runs a test's future on a shard of its own.
pub fn on_shard<F, Fut>(test: F)
where
    F: Fn(Rc<LogEnv>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    on_shards(1, move |env, _| test(env));
}

/// Runs a test's future on each of several shards, with the shard's number.
pub fn on_shards<F, Fut>(shards: usize, test: F)
where
    F: Fn(Rc<LogEnv>, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let config = EngineConfig { shards: Some(shards), ..EngineConfig::default() };
    let main = move |context: ShardContext<(), ()>| {
        let test = test.clone();
        async move {
            let env = LogEnv::new(LIMITS, context.foreground, context.background);
            test(env, context.id.index()).await;
            Ok::<(), String>(())
        }
    };
    Engine::start(&config, Shutdown::default(), main).expect("starts").join().expect("test passes");
}
