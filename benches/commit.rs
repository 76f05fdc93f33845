//! How many small `acks=all` batches a second become durable, over so many partitions with one batch
//! each in flight: with the journal, without it, and as bare `O_DSYNC` writes, one file each.
//!
//! `cargo bench --bench commit -- --dir DIR --seconds 2 --shards 1`

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use clap::Parser;
use corelane_shards::disk::{Access, File, WriteBuffer, BLOCK_BYTES};
use corelane_shards::log::batch::build;
use corelane_shards::log::{
    AppendWaiter, Durability, Log, LogConfig, LogEnv, LogEnvLimits, LogError, LogId,
};
use corelane_shards::runtime::{sleep, spawn_local, Engine, EngineConfig, ShardContext, Shutdown};
use hdrhistogram::Histogram;

#[derive(Parser, Clone)]
struct Args {
    /// Where files are made, on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    shards: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bytes of each batch's one value.
    #[arg(long, default_value_t = 139)]
    value_bytes: usize,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 128, 1000])]
    partitions: Vec<usize>,
    /// Size of a journal file.
    #[arg(long, default_value_t = 28)]
    journal_mib: u64,
    /// Larger batches go to their segment at once.
    #[arg(long, default_value_t = 16384)]
    journal_batch_bytes: usize,
    /// Only this way: bare, segments or journal.
    #[arg(long, value_enum)]
    only: Option<Way>,
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// An `O_DSYNC` write to a file of its own.
    Bare,
    Segments,
    Journal,
}

/// One partition's producer: sends the next batch when the last one is durable.
struct Producer {
    log: Rc<Log>,
    batch: Vec<u8>,
    sent: Cell<Instant>,
    until: Instant,
    times: Rc<RefCell<Histogram<u64>>>,
    open: Rc<Cell<usize>>,
    again: RefCell<Option<std::rc::Weak<Producer>>>,
}

impl Producer {
    fn send(self: &Rc<Self>) {
        if Instant::now() >= self.until {
            return self.open.set(self.open.get() - 1);
        }
        self.sent.set(Instant::now());
        let waiter = Some((Rc::clone(self) as Rc<dyn AppendWaiter>, 0));
        let batch = BytesMut::from(&self.batch[..]);
        self.log.append(batch, 0, Durability::Durable, 0, waiter).expect("appends");
    }
}

impl AppendWaiter for Producer {
    fn done(&self, _index: usize, result: Result<(), LogError>) {
        result.expect("is durable");
        let micros = self.sent.get().elapsed().as_micros() as u64;
        self.times.borrow_mut().record(micros.max(1)).expect("fits");
        let again = self.again.borrow().as_ref().and_then(std::rc::Weak::upgrade);
        again.expect("lives").send();
    }
}

type Times = Histogram<u64>;

fn histogram() -> Times {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds")
}

async fn through_logs(
    context: &ShardContext<(), ()>,
    args: &Args,
    dir: &Path,
    way: Way,
    count: usize,
) -> Times {
    let limits = LogEnvLimits {
        tail_bytes: 230 << 20,
        block_bytes: 1 << 20,
        open_files: 4096,
        journal_file_bytes: if way == Way::Journal { args.journal_mib << 20 } else { 0 },
        journal_batch_bytes: args.journal_batch_bytes,
        clear_ahead_bytes: 256 << 10,
        recovery_point_bytes: 16 << 20,
        try_again_after: Duration::from_secs(1),
    };
    let env = LogEnv::new(limits, context.foreground, context.background);
    let mut logs = Vec::new();
    for number in 0..count {
        let mut id = LogId::default();
        id.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let path = dir.join(format!("t-{number}"));
        let log = Log::create(&env, &path, id, LogConfig::default(), "version: 0\n".into()).await;
        logs.push(log.expect("creates"));
    }
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let times = Rc::new(RefCell::new(histogram()));
    let open = Rc::new(Cell::new(count));
    let value = vec![7; args.value_bytes];
    let producers: Vec<Rc<Producer>> = logs
        .iter()
        .map(|log| {
            Rc::new(Producer {
                log: Rc::clone(log),
                batch: build::batch(&[&value], 1_000, None),
                sent: Cell::new(Instant::now()),
                until,
                times: Rc::clone(&times),
                open: Rc::clone(&open),
                again: RefCell::default(),
            })
        })
        .collect();
    for producer in &producers {
        *producer.again.borrow_mut() = Some(Rc::downgrade(producer));
        producer.send();
    }
    while open.get() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    for log in &logs {
        log.close().await.expect("closes");
    }
    env.remove_journals().await.expect("removes");
    let times = times.borrow().clone();
    times
}

async fn bare(args: &Args, dir: &Path, count: usize) -> Times {
    let mut tasks = Vec::new();
    let mut files = Vec::new();
    for number in 0..count {
        let path = dir.join(number.to_string());
        let file = File::open(&path, Access::WriteDurable).await.expect("opens");
        file.allocate(1 << 20).await.expect("has space");
        files.push(file);
    }
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    for file in files {
        tasks.push(spawn_local(async move {
            let mut times = histogram();
            let mut position = 0;
            while Instant::now() < until {
                let sent = Instant::now();
                let mut buffer = WriteBuffer::new(BLOCK_BYTES as usize);
                buffer.bytes_mut().fill(7);
                file.write_at(buffer, position % (1 << 20)).await.expect("writes");
                position += BLOCK_BYTES;
                times.record(sent.elapsed().as_micros().max(1) as u64).expect("fits");
            }
            times
        }));
    }
    let mut times = histogram();
    for task in tasks {
        times.add(task.join().await).expect("same bounds");
    }
    times
}

fn measure(args: &Args, way: Way, partitions: usize) -> Times {
    let dir = tempfile::tempdir_in(&args.dir).expect("a directory");
    let config = EngineConfig { shards: Some(args.shards), ..EngineConfig::default() };
    let all = Arc::new(Mutex::new(histogram()));
    let (result, args, root) = (Arc::clone(&all), args.clone(), dir.path().to_path_buf());
    let main = move |context: ShardContext<(), ()>| {
        let (all, args) = (Arc::clone(&all), args.clone());
        let dir = root.join(context.id.index().to_string());
        async move {
            std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
            let count = partitions.div_ceil(args.shards);
            let times = match way {
                Way::Bare => bare(&args, &dir, count).await,
                way => through_logs(&context, &args, &dir, way, count).await,
            };
            all.lock().map_err(|e| e.to_string())?.add(times).map_err(|e| e.to_string())
        }
    };
    Engine::start(&config, Shutdown::default(), main).expect("starts").join().expect("runs");
    let times = result.lock().expect("not poisoned").clone();
    times
}

fn main() {
    let args = Args::parse();
    println!("partitions  way       batches/s   p50 us   p99 us   (medians of {})", args.rounds);
    for &partitions in &args.partitions {
        let mut ways = vec![Way::Bare, Way::Segments, Way::Journal];
        ways.retain(|way| args.only.is_none_or(|only| only == *way));
        let mut rounds: Vec<Vec<Times>> = vec![Vec::new(); ways.len()];
        for _ in 0..args.rounds {
            for (at, way) in ways.iter().enumerate() {
                rounds[at].push(measure(&args, *way, partitions));
            }
        }
        for (way, mut times) in ways.iter().zip(rounds) {
            times.sort_by_key(Times::len);
            let median = &times[times.len() / 2];
            println!(
                "{partitions:>10}  {:<8} {:>10.0} {:>8} {:>8}",
                format!("{way:?}").to_lowercase(),
                median.len() as f64 / args.seconds,
                median.value_at_quantile(0.5),
                median.value_at_quantile(0.99)
            );
        }
    }
}
