//! The ceiling's servers as a process of their own, and the guard that ends it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

use super::{create_file, sink, source, Blocks, Durability};

/// The hidden command that the client side starts.
#[derive(Debug, Clone, Subcommand)]
pub enum ServerCommand {
    Sink(SinkOptions),
    Source(SourceOptions),
    Echo,
}

/// Where and how the sink writes.
#[derive(Debug, Clone, Args)]
pub struct SinkOptions {
    #[arg(long)]
    pub dir: PathBuf,
    /// One file for each connection
    #[arg(long)]
    pub files: usize,
    #[arg(long)]
    pub file_bytes: u64,
    #[arg(long, value_enum)]
    pub durability: Durability,
    #[arg(long, value_enum)]
    pub blocks: Blocks,
}

/// Where the source's bytes come from.
#[derive(Debug, Clone, Args)]
pub struct SourceOptions {
    /// Where one file for each connection is made and read; without it bytes come from memory
    #[arg(long)]
    pub dir: Option<PathBuf>,
    #[arg(long, default_value_t = 0)]
    pub files: usize,
    #[arg(long, default_value_t = 0)]
    pub file_bytes: u64,
}

impl ServerCommand {
    fn to_args(&self) -> Vec<String> {
        match self {
            Self::Source(options) => {
                let mut args = vec!["source".into()];
                if let Some(dir) = &options.dir {
                    args.push(format!("--dir={}", dir.display()));
                    args.push(format!("--files={}", options.files));
                    args.push(format!("--file-bytes={}", options.file_bytes));
                }
                args
            }
            Self::Echo => vec!["echo".into()],
            Self::Sink(options) => vec![
                "sink".into(),
                format!("--dir={}", options.dir.display()),
                format!("--files={}", options.files),
                format!("--file-bytes={}", options.file_bytes),
                format!("--durability={}", value_name(options.durability)),
                format!("--blocks={}", value_name(options.blocks)),
            ],
        }
    }
}

/// The name of a value as it is written on the command line.
fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Serves on a free port of the loopback, which is printed, until standard input ends: so the
/// process cannot outlive the one that started it.
pub fn run(command: &ServerCommand) -> Result<()> {
    let mut files = Vec::new();
    let mut memory = Arc::new(Vec::new());
    match command {
        ServerCommand::Sink(options) => files = options.create_files()?,
        ServerCommand::Source(options) => {
            memory = Arc::new(source::memory());
            files = options.create_files(&memory)?;
        }
        ServerCommand::Echo => {}
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    thread::spawn(|| {
        // What ends the input, an error too, ends the process.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        match command {
            ServerCommand::Sink(options) => {
                let file = files.pop().context("more connections than files")?;
                let durability = options.durability;
                serve(stream, move |stream| sink::serve(stream, file, durability));
            }
            ServerCommand::Source(SourceOptions { dir: None, .. }) => {
                let memory = Arc::clone(&memory);
                serve(stream, move |stream| source::serve(stream, &memory));
            }
            ServerCommand::Source(_) => {
                let file = files.pop().context("more connections than files")?;
                serve(stream, move |stream| source::serve_file(stream, file));
            }
            ServerCommand::Echo => serve(stream, source::echo),
        }
    }
}

fn serve(stream: TcpStream, serve: impl FnOnce(TcpStream) -> Result<()> + Send + 'static) {
    thread::spawn(move || {
        if let Err(error) = serve(stream) {
            eprintln!("corelane-perf: ceiling: {error:#}");
        }
    });
}

impl SourceOptions {
    fn create_files(&self, memory: &[u8]) -> Result<Vec<File>> {
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        (0..self.files)
            .map(|number| {
                let path = dir.join(format!("ceiling-{number}"));
                source::file(&path, self.file_bytes, memory)
                    .with_context(|| format!("cannot prepare {}", path.display()))
            })
            .collect()
    }
}

impl SinkOptions {
    fn create_files(&self) -> Result<Vec<File>> {
        (0..self.files)
            .map(|number| {
                let path = self.dir.join(format!("ceiling-{number}"));
                create_file(&path, self.file_bytes, self.durability, self.blocks)
                    .with_context(|| format!("cannot prepare {}", path.display()))
            })
            .collect()
    }
}

/// A running server process. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts this same program as a server, on these cores (as `taskset -c` takes them) or on all,
    /// and waits until it listens.
    pub fn start(command: &ServerCommand, cpus: Option<&str>) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut process = match cpus {
            None => Command::new(program),
            Some(cpus) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", cpus]).arg(program);
                taskset
            }
        };
        let mut child = process
            .arg("ceiling-server")
            .args(command.to_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the ceiling's server")?;
        let stdout = child.stdout.take();
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout.context("no standard output")?).read_line(&mut line)?;
        server.address = line.trim().to_owned();
        anyhow::ensure!(!server.address.is_empty(), "the ceiling's server did not start");
        Ok(server)
    }

    /// "host:port".
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
