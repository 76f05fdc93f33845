//! NATS JetStream as a third side: its server, and a closed loop over its text protocol.
//!
//! NATS has no batches: each record is a message of its own, acknowledged by itself once the stream
//! has it. As many are on their way as the batches of the Kafka load would hold. Its file store leaves
//! the disk to the kernel, as Kafka does; the load is one for `acks=1`.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};

use super::about::SideAbout;
use super::results::Run;
use crate::broker::{free_address, held};
use crate::cluster::now_ms;
use crate::flow::{Flow, Limits, Outcome};
use crate::process::{ProcessSample, ProcessUse};
use crate::stats::Latencies;
use crate::workload::{Produce, Workload};

const START_LIMIT: Duration = Duration::from_secs(30);
/// A server that is silent this long has failed.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How long a started server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(200);
/// What is asked of a socket at once.
const INBOX_BYTES: usize = 64 << 10;

/// NATS' program, and where it runs.
#[derive(Debug, Clone)]
pub struct Nats {
    pub program: PathBuf,
    pub dir: PathBuf,
    pub cpus: Option<String>,
}

/// What the report says; none where the program is not there.
pub fn about(program: &Path) -> Option<SideAbout> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(SideAbout {
        version: String::from_utf8_lossy(&text).trim().replace(':', ""),
        command: format!("{} -c nats.conf", program.display()),
        settings: [("storage".to_owned(), "file".to_owned())].into(),
    })
}

impl Nats {
    /// A server of its own, a warm-up on a stream of its own, then the load.
    pub fn run(
        &self,
        workload: &Workload,
        warm_up: Option<&Limits>,
        limits: &Limits,
    ) -> Result<Run> {
        let load = workload.produce.as_ref().context("NATS is for [produce]")?;
        rustix::fs::sync();
        let dir = tempfile::Builder::new().prefix("corelane-perf-").tempdir_in(&self.dir)?;
        let began = Instant::now();
        let server = self.start(dir.path())?;
        let start_ms = began.elapsed().as_secs_f64() * 1e3;
        thread::sleep(SETTLE);
        let idle_rss_bytes = Some(ProcessSample::read(server.child.id())?.rss_bytes());
        if let Some(limits) = warm_up {
            server.load("warmup", load, limits).context("warming up")?;
        }
        let flush = || rustix::fs::syncfs(fs::File::open(dir.path())?).map_err(anyhow::Error::from);
        flush()?;
        let outcome = server.load("perf", load, limits)?;
        let began = Instant::now();
        flush()?;
        let flush_seconds = began.elapsed().as_secs_f64();
        Ok(Run { outcome, start_ms, idle_rss_bytes, flush_seconds, caches_dropped: false })
    }

    fn start(&self, dir: &Path) -> Result<Server> {
        let address = free_address()?;
        let (host, port) = address.rsplit_once(':').context("an address has a port")?;
        let file = dir.join("nats.conf");
        let data = dir.join("data");
        fs::write(
            &file,
            format!("host: \"{host}\"\nport: {port}\njetstream {{ store_dir: {data:?} }}\n"),
        )?;
        let log = fs::File::create(dir.join("broker.log"))?;
        let program = self.program.display().to_string();
        let program = [program, "-c".to_owned(), file.display().to_string()];
        let child = held(&program, self.cpus.as_deref())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut server = Server { child, address };
        let deadline = Instant::now() + START_LIMIT;
        while Client::open(&server.address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("NATS ended with {status}");
            }
            ensure!(Instant::now() < deadline, "NATS does not start");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }
}

/// A running server; dropping it ends the process.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn load(&self, stream: &str, load: &Produce, limits: &Limits) -> Result<Outcome> {
        Client::open(&self.address)?.create(stream)?;
        let connections = usize::from(load.connections);
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Client::open(&self.address)?);
        }
        let records = load.content().encode(now_ms())?.records as usize;
        let work = Work {
            subject: stream.to_owned(),
            value: vec![b'x'; load.record_bytes as usize],
            window: records * usize::from(load.in_flight),
            messages: (limits.bytes / load.record_bytes.max(1) / connections as u64).max(1),
        };
        let broker = ProcessSample::read(self.child.id())?;
        let client = ProcessSample::of_self()?;
        let began = Instant::now();
        let deadline = began + limits.time;
        let done = thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .map(|client| scope.spawn(|| client.publish(&work, deadline)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|ended| ended.map_err(|_| anyhow!("a load thread panicked"))?)
                .collect::<Result<Vec<(u64, Latencies)>>>()
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let mut latencies = Latencies::new();
        done.iter().for_each(|(_, each)| latencies.add(each));
        let messages = done.iter().map(|(count, _)| count).sum();
        let produced = Flow {
            seconds,
            requests: messages,
            records: messages,
            bytes: messages * load.record_bytes,
            latency: latencies.profile(),
            sent_late: None,
            unsent: 0,
        };
        Ok(Outcome {
            produced: Some(produced),
            consumed: None,
            end_to_end: None,
            broker: Some(broker.until(&ProcessSample::read(self.child.id())?)),
            system_calls: None,
            client: ProcessUse::of_self_since(&client)?,
        })
    }
}

/// What each connection sends.
struct Work {
    subject: String,
    value: Vec<u8>,
    /// Messages on their way at once.
    window: usize,
    /// Messages at most.
    messages: u64,
}

/// One connection and what came on it and is not read yet.
struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    start: usize,
}

/// What the server says.
enum Said {
    /// A message with its payload.
    Message(Vec<u8>),
    Ping,
    Other,
}

impl Client {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        let mut client = Self { stream, inbox: Vec::new(), start: 0 };
        // The server speaks first.
        client.said()?;
        client.stream.write_all(
            b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB inbox.* 1\r\nPING\r\n",
        )?;
        client.said()?;
        Ok(client)
    }

    /// Creates a stream with a subject of the same name.
    fn create(&mut self, stream: &str) -> Result<()> {
        let wish = format!(
            "{{\"name\":\"{stream}\",\"subjects\":[\"{stream}\"],\"storage\":\"file\",\
             \"retention\":\"limits\",\"num_replicas\":1}}"
        );
        let request =
            format!("PUB $JS.API.STREAM.CREATE.{stream} inbox.0 {}\r\n{wish}\r\n", wish.len());
        self.stream.write_all(request.as_bytes())?;
        self.acknowledged()
    }

    /// Sends until the deadline or the messages are used up and waits for all acknowledgements.
    fn publish(&mut self, work: &Work, deadline: Instant) -> Result<(u64, Latencies)> {
        let mut message =
            format!("PUB {} inbox.1 {}\r\n", work.subject, work.value.len()).into_bytes();
        message.extend_from_slice(&work.value);
        message.extend_from_slice(b"\r\n");
        let mut latencies = Latencies::new();
        let mut on_their_way: VecDeque<(Instant, usize)> = VecDeque::new();
        let (mut sent, mut answered, mut waiting) = (0u64, 0u64, 0usize);
        let mut out = Vec::with_capacity(message.len() * work.window);
        loop {
            let now = Instant::now();
            let room = if now < deadline { work.window - waiting } else { 0 };
            let count = (room as u64).min(work.messages - sent) as usize;
            if count > 0 {
                out.clear();
                (0..count).for_each(|_| out.extend_from_slice(&message));
                self.stream.write_all(&out)?;
                on_their_way.push_back((now, count));
                sent += count as u64;
                waiting += count;
            }
            if waiting == 0 {
                return Ok((answered, latencies));
            }
            // One, and what else has come with it.
            loop {
                self.acknowledged()?;
                answered += 1;
                waiting -= 1;
                let (at, left) = on_their_way.front_mut().context("more answers than messages")?;
                latencies.record(at.elapsed());
                *left -= 1;
                if *left == 0 {
                    on_their_way.pop_front();
                }
                if waiting == 0 || self.start == self.inbox.len() {
                    break;
                }
            }
        }
    }

    /// Waits for the next answer; an error where it is a refusal.
    fn acknowledged(&mut self) -> Result<()> {
        loop {
            match self.said()? {
                Said::Message(answer) => {
                    let refused = answer.windows(8).any(|piece| piece == b"\"error\":");
                    ensure!(!refused, "NATS: {}", String::from_utf8_lossy(&answer));
                    return Ok(());
                }
                Said::Ping => self.stream.write_all(b"PONG\r\n")?,
                Said::Other => {}
            }
        }
    }

    fn said(&mut self) -> Result<Said> {
        let line = self.line()?;
        if line == b"PING" {
            return Ok(Said::Ping);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        ensure!(!line.starts_with("-ERR"), "NATS: {line}");
        if !line.starts_with("MSG ") {
            return Ok(Said::Other);
        }
        let len = line.rsplit(' ').next().and_then(|len| len.parse::<usize>().ok());
        let len = len.with_context(|| format!("NATS says {line:?}"))?;
        ensure!(len <= 1 << 20, "NATS announces {len} bytes");
        while self.inbox.len() - self.start < len + 2 {
            self.fill()?;
        }
        let payload = self.inbox[self.start..self.start + len].to_vec();
        self.start += len + 2;
        Ok(Said::Message(payload))
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Vec<u8>> {
        let mut looked = 0;
        loop {
            let rest = &self.inbox[self.start..];
            if let Some(at) = rest[looked..].iter().position(|&byte| byte == b'\n') {
                let end = looked + at;
                let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]).to_vec();
                self.start += end + 1;
                return Ok(line);
            }
            looked = rest.len();
            ensure!(looked < 1 << 20, "NATS sends a line without an end");
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.inbox.drain(..self.start);
        self.start = 0;
        let held = self.inbox.len();
        self.inbox.resize(held + INBOX_BYTES, 0);
        loop {
            match self.stream.read(&mut self.inbox[held..]) {
                Ok(0) => bail!("NATS closed the connection"),
                Ok(len) => {
                    self.inbox.truncate(held + len);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading NATS' answer"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn answers_are_read_however_they_are_cut_and_errors_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"INFO {}\r\nPONG\r\n").unwrap();
            for piece in [
                &b"MSG inbox.1 1 9\r\n{\"seq\":1}"[..],
                b"\r\nPING\r\nMSG inbox.1 1 9\r\n{\"seq\":",
                b"2}\r\nMSG inbox.1 1 12\r\n{\"error\":{ }}\r\n",
            ] {
                stream.write_all(piece).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
            let _ = stream.read(&mut [0; 1024]);
        });
        let mut client = Client::open(&address).unwrap();
        client.acknowledged().unwrap();
        client.acknowledged().unwrap();
        assert!(client.acknowledged().unwrap_err().to_string().contains("error"));
        drop(client);
        server.join().unwrap();
    }
}
