//! A message to another shard's thread and the answer back: our mailboxes beside an async channel
//! (flume) in the same executors, and a blocking one (crossbeam) between two plain threads. One at
//! a time, when the other side sleeps in between, and 64 at a time, as requests that came together
//! are sent; with executors that sleep when idle, and with ones that poll first, as for latency.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use corelane_shards::runtime::{
    spawn_local, Engine, EngineConfig, Mesh, ReplyTo, ShardContext, ShardId, Shutdown,
};
use criterion::{Criterion, Throughput};

/// About what an operation on another shard's partition has by itself.
type Message = [u64; 16];

const MESSAGE: Message = [7; 16];
const AT_ONCE: [usize; 2] = [1, 64];
const CAPACITY: usize = 1024;
const POLLS: [(&str, Duration); 2] =
    [("sleeping", Duration::ZERO), ("polling", Duration::from_millis(1))];

pub fn benches(criterion: &mut Criterion) {
    for at_once in AT_ONCE {
        let name = format!("mailbox, there and back, {at_once} at once");
        let mut group = super::group(criterion, &name);
        group.sample_size(10).throughput(Throughput::Elements(at_once as u64));
        for (waits, poll) in POLLS {
            group.bench_function(format!("ours, {waits}"), |b| {
                b.iter_custom(|rounds| through_mesh(poll, rounds, at_once))
            });
            group.bench_function(format!("flume in our executors, {waits}"), |b| {
                b.iter_custom(|rounds| through_flume(poll, rounds, at_once))
            });
        }
        group.bench_function("crossbeam, two threads that block", |b| {
            b.iter_custom(|rounds| through_crossbeam(rounds, at_once))
        });
        group.finish();
    }
}

/// Runs `main` on two shards; the first says how long it took.
fn on_two_shards<F, Fut>(poll: Duration, main: F) -> Duration
where
    F: Fn(ShardContext<Message, Message>) -> Fut + Clone + Send + 'static,
    Fut: std::future::Future<Output = Option<Duration>> + 'static,
{
    let config = EngineConfig {
        shards: Some(2),
        spin_before_park: poll,
        mailbox_capacity: CAPACITY,
        ..EngineConfig::default()
    };
    let measured = Arc::new(Mutex::new(Duration::ZERO));
    let result = Arc::clone(&measured);
    let main = move |context| {
        let (main, result) = (main.clone(), Arc::clone(&result));
        async move {
            if let Some(taken) = main(context).await {
                *result.lock().map_err(|error| error.to_string())? = taken;
            }
            Ok::<(), String>(())
        }
    };
    Engine::start(&config, Shutdown::default(), main).expect("starts").join().expect("runs");
    let taken = *measured.lock().expect("not poisoned");
    taken
}

fn through_mesh(poll: Duration, rounds: u64, at_once: usize) -> Duration {
    on_two_shards(poll, move |context| async move {
        let (mesh, stop) = (context.mesh.clone(), context.shutdown.clone());
        let serve = async move {
            let answer = |_, message, reply: Option<ReplyTo<Message, Message>>| {
                reply.expect("an answer is wanted").send(message)
            };
            mesh.serve_until(&stop, answer).await;
        };
        if context.id.index() == 1 {
            serve.await;
            return None;
        }
        let serving = spawn_local(serve);
        ask(&context.mesh, at_once).await; // the other side is there
        let started = Instant::now();
        for _ in 0..rounds {
            ask(&context.mesh, at_once).await;
        }
        let taken = started.elapsed();
        context.shutdown.request();
        serving.join().await;
        Some(taken)
    })
}

async fn ask(mesh: &Mesh<Message, Message>, at_once: usize) {
    let mut pending = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        pending.push(mesh.send(ShardId::new(1), MESSAGE).await.expect("another shard"));
    }
    for answer in pending {
        answer.await.expect("answers");
    }
}

fn through_flume(poll: Duration, rounds: u64, at_once: usize) -> Duration {
    let (requests, taken_requests) = flume::bounded::<Message>(CAPACITY);
    let (replies, taken_replies) = flume::bounded::<Message>(CAPACITY);
    let ends =
        Arc::new(Mutex::new((Some((requests, taken_replies)), Some((taken_requests, replies)))));
    on_two_shards(poll, move |context| {
        let ends = Arc::clone(&ends);
        async move {
            if context.id.index() == 1 {
                let (requests, replies) = ends.lock().ok()?.1.take()?;
                while let Ok(message) = requests.recv_async().await {
                    replies.send_async(message).await.ok()?;
                }
                return None;
            }
            let (requests, replies) = ends.lock().ok()?.0.take()?;
            let mut started = Instant::now();
            for round in 0..=rounds {
                for _ in 0..at_once {
                    requests.send_async(MESSAGE).await.ok()?;
                }
                for _ in 0..at_once {
                    replies.recv_async().await.ok()?;
                }
                if round == 0 {
                    started = Instant::now(); // the other side is there
                }
            }
            Some(started.elapsed())
        }
    })
}

fn through_crossbeam(rounds: u64, at_once: usize) -> Duration {
    let (requests, taken_requests) = crossbeam_channel::bounded::<Message>(CAPACITY);
    let (replies, taken_replies) = crossbeam_channel::bounded::<Message>(CAPACITY);
    let other = std::thread::spawn(move || {
        for message in taken_requests {
            replies.send(message).expect("is wanted");
        }
    });
    let round = || {
        (0..at_once).for_each(|_| requests.send(MESSAGE).expect("is taken"));
        (0..at_once).for_each(|_| assert_eq!(taken_replies.recv(), Ok(MESSAGE)));
    };
    round(); // the other side is there
    let started = Instant::now();
    (0..rounds).for_each(|_| round());
    let taken = started.elapsed();
    drop(requests);
    other.join().expect("ends");
    taken
}
