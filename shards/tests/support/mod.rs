//! A shard for each test, with small limits.

use std::future::Future;
use std::rc::Rc;

use corelane_shards::log::{LogEnv, LogEnvLimits};
use corelane_shards::runtime::{Engine, EngineConfig, ShardContext, Shutdown};

/// Runs a test's future on a shard of its own.
pub fn on_shard<F, Fut>(test: F)
where
    F: Fn(Rc<LogEnv>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let config = EngineConfig { shards: Some(1), ..EngineConfig::default() };
    let main = move |context: ShardContext<(), ()>| {
        let test = test.clone();
        async move {
            let limits =
                LogEnvLimits { tail_bytes: 64 << 10, block_bytes: 8 << 20, open_files: 64 };
            test(LogEnv::new(limits, context.foreground, context.background)).await;
            Ok::<(), String>(())
        }
    };
    Engine::start(&config, Shutdown::default(), main).expect("starts").join().expect("test passes");
}
