//! A broker process with a data directory of its own, started and stopped for one run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::connection::Connection;
use crate::process::ProcessSample;
use crate::wire::metadata;

const START_LIMIT: Duration = Duration::from_secs(60);
/// A broker of ten thousand partitions closes each of their files.
const STOP_LIMIT: Duration = Duration::from_secs(120);
const START_POLL: Duration = Duration::from_millis(1);
const STOP_POLL: Duration = Duration::from_millis(10);
/// What a Java virtual machine that SIGTERM ended in good order returns.
const JVM_TERMINATED: i32 = 128 + 15;
/// How much of the broker's log an error quotes.
const QUOTED_LOG_LINES: usize = 5;

/// An address of the loopback with a port that is free now; that another process takes it meanwhile
/// shows as a failed run.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A command on these cores (as `taskset -c` takes them) or on all, that the kernel ends when this
/// process is killed, so that no broker goes on alone.
pub fn held(program: &[String], cpus: Option<&str>) -> Command {
    let mut words = Vec::new();
    let can_be_held = Command::new("setpriv").arg("--version").output().is_ok();
    if can_be_held {
        words.extend(["setpriv", "--pdeathsig", "KILL"]);
    }
    if let Some(cpus) = cpus {
        words.extend(["taskset", "-c", cpus]);
    }
    words.extend(program.iter().map(String::as_str));
    let mut command = Command::new(words.first().copied().unwrap_or_default());
    command.args(words.iter().skip(1));
    command
}

/// A running broker. Dropping it kills it; [`Broker::stop`] asks it to stop.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    address: String,
    log: PathBuf,
    /// From starting the process to its first answered request.
    pub start_time: Duration,
}

impl Broker {
    /// Starts `program serve` on a free port of the loopback, its data under `dir`, and waits for
    /// the first answer.
    pub fn start(program: &Path, serve_args: &[String], dir: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(dir.join("data"))
            .args(["--listen", &address])
            .args(serve_args);
        Self::spawn(command, address, &dir.join("broker.log"))
    }

    /// Starts `command`, which is to listen on `address`, and waits for the first answer. What it
    /// says is added to the file `log`.
    pub fn spawn(mut command: Command, address: String, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let program = command.get_program().to_owned();
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut broker = Self { child, address, log: log.to_owned(), start_time: Duration::ZERO };
        broker.wait_for_first_answer(began)?;
        broker.start_time = began.elapsed();
        Ok(broker)
    }

    fn wait_for_first_answer(&mut self, began: Instant) -> Result<()> {
        loop {
            match self.ask() {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > START_LIMIT => {
                    return Err(error.context(self.log_tail()));
                }
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the broker ended with {status}: {}", self.log_tail());
            }
            thread::sleep(START_POLL);
        }
    }

    fn ask(&self) -> Result<()> {
        let mut connection = Connection::open(&self.address)?;
        let (id, frame) = connection.call(metadata::request(""))?;
        metadata::parse(frame, id)?;
        Ok(())
    }

    /// "host:port".
    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        Ok(ProcessSample::read(self.pid())?.rss_bytes())
    }

    /// The last lines of the broker's log, on one line.
    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        if lines.is_empty() {
            return "its log is empty".to_owned();
        }
        lines[lines.len().saturating_sub(QUOTED_LOG_LINES)..].join(" | ")
    }

    /// Asks the broker to stop and waits until it has; an error if it takes too long or ends badly.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("cannot signal")?;
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let ended_well = status.success() || status.code() == Some(JVM_TERMINATED);
                ensure!(ended_well, "the broker ended with {status}: {}", self.log_tail());
                return Ok(());
            }
            ensure!(began.elapsed() < STOP_LIMIT, "the broker did not stop: {}", self.log_tail());
            thread::sleep(STOP_POLL);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // After `stop` the process is gone, and both calls only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
