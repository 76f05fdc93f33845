//! The runtime as the broker uses it: real executors on real threads, several in one process.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use corelane_shards::runtime::{
    sleep, spawn_guarded, timeout, yield_now, Engine, EngineConfig, Gate, MeshError, ReplyTo,
    ShardContext, ShardFailed, ShardId, Shutdown,
};
use futures_util::future::join_all;

type Context = ShardContext<u64, u64>;

fn config(shards: usize) -> EngineConfig {
    EngineConfig { shards: Some(shards), ..EngineConfig::default() }
}

fn run<F, Fut>(config: EngineConfig, main: F) -> Result<(), ShardFailed>
where
    F: Fn(Context) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(), String>> + 'static,
{
    Engine::start(&config, Shutdown::default(), main).expect("starts").join()
}

/// Answers every request with its double until shutdown.
fn serve_doubles(context: &Context) {
    let (mesh, shutdown) = (context.mesh.clone(), context.shutdown.clone());
    let answer = |_, question: u64, reply_to: Option<ReplyTo<u64, u64>>| {
        if let Some(reply_to) = reply_to {
            reply_to.send(question * 2);
        }
    };
    context.foreground.spawn(async move { mesh.serve_until(&shutdown, answer).await }).detach();
}

/// The last of `shards` mains that gets here stops the engine; the others serve until then.
async fn leave_together(context: &Context, left: &AtomicUsize) {
    if left.fetch_add(1, Ordering::SeqCst) + 1 == context.shard_count {
        context.shutdown.request();
    }
    context.shutdown.requested().await;
}

fn other(id: ShardId) -> ShardId {
    ShardId::new(1 - id.index())
}

/// On busy cores an executor of glommio 0.9 went to sleep with tasks queued, some ten thousand
/// wake-ups apart, and this never ended.
#[test]
fn shards_on_busy_cores_always_wake_each_other() {
    const ROUNDS: u64 = 30_000;
    let done = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let busy: Vec<_> = (0..cores)
        .map(|_| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || while !done.load(Ordering::Relaxed) {})
        })
        .collect();
    let left = Arc::new(AtomicUsize::new(0));
    let ended = run(config(2), move |context| {
        let left = Arc::clone(&left);
        async move {
            serve_doubles(&context);
            for round in 0..ROUNDS {
                let reply = context.mesh.send(other(context.id), round).await;
                let answer = reply.map_err(|e| e.to_string())?.await;
                assert_eq!(answer, Ok(round * 2));
            }
            leave_together(&context, &left).await;
            Ok(())
        }
    });
    done.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().expect("ends"));
    ended.expect("both end");
}

#[test]
fn messages_of_a_pair_arrive_in_order_however_small_the_mailbox() {
    let left = Arc::new(AtomicUsize::new(0));
    run(EngineConfig { mailbox_capacity: 3, ..config(3) }, move |context| {
        let left = Arc::clone(&left);
        async move {
            let seen: Rc<RefCell<Vec<Vec<u64>>>> = Rc::new(RefCell::new(vec![Vec::new(); 3]));
            let (mesh, stop, log) =
                (context.mesh.clone(), context.shutdown.clone(), Rc::clone(&seen));
            let note = move |from: ShardId, n: u64, reply_to: Option<ReplyTo<u64, u64>>| {
                log.borrow_mut()[from.index()].push(n);
                if let Some(reply_to) = reply_to {
                    reply_to.send(n);
                }
            };
            context.foreground.spawn(async move { mesh.serve_until(&stop, note).await }).detach();
            let peers = (0..3).map(ShardId::new).filter(|id| *id != context.id);
            let mesh = &context.mesh;
            let send_all = peers.clone().map(|to| async move {
                for n in 0..1_000 {
                    if n % 3 == 0 {
                        mesh.post(to, n).await.expect("not local");
                    } else {
                        let _dropped_before_its_answer = mesh.send(to, n).await.expect("not local");
                    }
                }
                mesh.send(to, 1_000).await.expect("not local").await.expect("answered")
            });
            assert_eq!(join_all(send_all).await, [1_000, 1_000]);
            leave_together(&context, &left).await;
            for from in peers {
                assert_eq!(seen.borrow()[from.index()], (0..=1_000).collect::<Vec<_>>());
            }
            Ok(())
        }
    })
    .expect("all arrive");
}

#[test]
fn a_sender_that_gives_up_waiting_passes_its_turn_on() {
    let left = Arc::new(AtomicUsize::new(0));
    run(EngineConfig { mailbox_capacity: 1, ..config(2) }, move |context| {
        let left = Arc::clone(&left);
        async move {
            let to = other(context.id);
            if context.id.index() == 1 {
                serve_doubles(&context);
                leave_together(&context, &left).await;
                return Ok(());
            }
            let mesh = &context.mesh;
            // Nobody receives replies yet, so the one credit stays out.
            let first = mesh.send(to, 1).await.expect("not local");
            let mut impatient = Box::pin(mesh.send(to, 2));
            let mut patient = Box::pin(mesh.send(to, 3));
            assert!(futures_util::poll!(&mut impatient).is_pending());
            assert!(futures_util::poll!(&mut patient).is_pending());
            serve_doubles(&context);
            assert_eq!(first.await, Ok(2));
            drop(impatient);
            assert_eq!(patient.await.expect("not local").await, Ok(6));
            leave_together(&context, &left).await;
            Ok(())
        }
    })
    .expect("the patient sender is served");
}

#[test]
fn an_unanswered_request_and_one_to_ourselves_are_errors() {
    let left = Arc::new(AtomicUsize::new(0));
    run(config(2), move |context| {
        let left = Arc::clone(&left);
        async move {
            let (mesh, stop) = (context.mesh.clone(), context.shutdown.clone());
            context
                .foreground
                .spawn(async move { mesh.serve_until(&stop, |_, _, _| {}).await })
                .detach();
            let answer = context.mesh.send(other(context.id), 7).await.expect("not local").await;
            assert_eq!(answer, Err(MeshError::Dropped));
            assert_eq!(context.mesh.send(context.id, 7).await.err(), Some(MeshError::Local));
            leave_together(&context, &left).await;
            Ok(())
        }
    })
    .expect("both see the errors");
}

#[test]
fn several_engines_live_in_one_process() {
    let engines: Vec<Engine> = (0..3)
        .map(|_| {
            let main = |context: Context| async move {
                context.shutdown.requested().await;
                Ok::<(), String>(())
            };
            Engine::start(&config(2), Shutdown::default(), main).expect("starts")
        })
        .collect();
    for engine in engines {
        engine.request_shutdown();
        engine.join().expect("stops alone");
    }
}

#[test]
fn a_panic_in_a_task_ends_that_task_alone() {
    run(config(1), |_| async {
        let gate = Gate::new();
        assert!(spawn_guarded(&gate, "unlucky", async { panic!("on purpose") }));
        let survived = Rc::new(RefCell::new(false));
        let flag = Rc::clone(&survived);
        spawn_guarded(&gate, "lucky", async move {
            yield_now().await;
            *flag.borrow_mut() = true;
        });
        gate.close().await;
        assert!(*survived.borrow());
        assert!(!spawn_guarded(&gate, "late", async {}), "a closed gate lets nobody in");
        Ok(())
    })
    .expect("the shard lives on");
}

#[test]
fn a_shard_that_fails_stops_the_others_and_is_named() {
    let fail = |context: Context| async move {
        if context.id.index() == 1 {
            return Err("the disk is on fire".to_string());
        }
        context.shutdown.requested().await;
        Ok(())
    };
    let failed = run(config(2), fail).expect_err("one failed");
    assert_eq!((failed.shard.index(), failed.message.as_str()), (1, "the disk is on fire"));
    let panicking = |context: Context| async move {
        assert!(context.id.index() != 0, "shard zero panics");
        context.shutdown.requested().await;
        Ok(())
    };
    let failed = run(config(2), panicking).expect_err("one panicked");
    assert_eq!(failed.shard.index(), 0);
    assert!(failed.message.contains("shard zero panics"), "{}", failed.message);
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_only_that() {
    run(config(1), |_| async {
        assert_eq!(timeout(Duration::from_secs(3600), async { 5 }).await, Some(5));
        let never = std::future::pending::<()>();
        assert_eq!(timeout(Duration::from_millis(1), never).await, None);
        sleep(Duration::ZERO).await;
        Ok(())
    })
    .expect("runs");
}
