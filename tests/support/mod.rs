//! A real broker process per test, and a raw client that says exactly what it is told to.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod configs;
pub mod members;
pub mod sharers;
pub mod workers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{mpsc, Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ListGroupsRequest, ListGroupsResponse, ListTransactionsRequest,
    ListTransactionsResponse, MetadataRequest, MetadataResponse, RequestHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

const BINARY: &str = env!("CARGO_BIN_EXE_corelane");
const START_LIMIT: Duration = Duration::from_secs(30);

/// Both ways of telling clients where to connect; tests of behaviour run in both.
pub const MODES: [&str; 2] = ["single", "per-shard"];

#[derive(Clone)]
pub struct Setup {
    pub mode: &'static str,
    pub shards: usize,
    /// Further lines of the configuration file.
    pub extra: String,
    /// The data directory is a file system of its own, of this size, as `mount` takes it.
    pub disk_size: Option<&'static str>,
    /// Names of further data directories, beside the first.
    pub more_dirs: Vec<&'static str>,
    /// Kafka's `server.properties`, in the place of a file of ours.
    pub file: Option<&'static str>,
    /// Where everything goes that the broker says, which is more then.
    pub log: Option<Arc<Mutex<String>>>,
}

impl Setup {
    pub fn new(mode: &'static str) -> Self {
        Setup {
            mode,
            shards: 2,
            extra: String::new(),
            disk_size: None,
            more_dirs: Vec::new(),
            file: None,
            log: None,
        }
    }
}

/// A running broker; killed when dropped.
pub struct Broker {
    child: Child,
    pub address: String,
    pub data: PathBuf,
    setup: Setup,
    _dir: std::rc::Rc<tempfile::TempDir>,
}

impl Broker {
    pub fn start(setup: Setup) -> Broker {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        Broker::start_on(setup, data, std::rc::Rc::new(dir))
    }

    /// [`Broker::crash_and_restart`] on the port it had, which clients still know.
    pub fn crash_and_restart_in_place(mut self) -> Broker {
        self.kill();
        let (setup, dir) = (self.setup.clone(), std::rc::Rc::clone(&self._dir));
        Broker::start_at(&self.address, setup, self.data.clone(), dir).when_loaded()
    }

    /// Starts on a directory that is there, in `dir`.
    pub fn start_on(setup: Setup, data: PathBuf, dir: std::rc::Rc<tempfile::TempDir>) -> Broker {
        Broker::start_at("127.0.0.1:0", setup, data, dir)
    }

    fn start_at(
        listen: &str,
        setup: Setup,
        data: PathBuf,
        dir: std::rc::Rc<tempfile::TempDir>,
    ) -> Broker {
        let ours = format!("advertise = '{}'\nmemory = '256MiB'\n{}\n", setup.mode, setup.extra);
        let (name, text) = match setup.file {
            Some(text) => ("server.properties", text.to_string()),
            None => ("corelane.toml", ours),
        };
        let config = dir.path().join(name);
        std::fs::write(&config, text).expect("writes");
        // In per-shard mode the port after the free one may be taken: try again with others.
        for _ in 0..10 {
            let mut child = command(&setup, &data)
                .args(["serve", "--listen", listen, "--shards", &setup.shards.to_string()])
                .arg("--config")
                .arg(&config)
                .arg("--data-dir")
                .arg(&data)
                .args(setup.more_dirs.iter().flat_map(|dir| {
                    ["--data-dir".to_string(), data.with_file_name(dir).display().to_string()]
                }))
                .envs(setup.log.is_some().then_some(("RUST_LOG", "corelane=debug")))
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary starts");
            if let Some(address) = wait_for_address(&mut child, setup.log.clone()) {
                return Broker { child, address, data, setup, _dir: dir };
            }
            let _ = child.wait();
        }
        panic!("the broker does not start");
    }

    /// Ends the process as a crash would, and starts it again on the same data.
    pub fn crash_and_restart(mut self) -> Broker {
        self.kill();
        self.start_again()
    }

    /// Starts on the data of a broker that has ended.
    pub fn start_again(self) -> Broker {
        let setup = self.setup.clone();
        Broker::start_on(setup, self.data.clone(), std::rc::Rc::clone(&self._dir)).when_loaded()
    }

    /// Stops in order, and starts again with another number of shards.
    pub fn restart_with(mut self, shards: usize) -> Broker {
        assert_eq!(self.stop(), Some(0), "an orderly stop exits with 0");
        let setup = Setup { shards, ..self.setup.clone() };
        Broker::start_on(setup, self.data.clone(), std::rc::Rc::clone(&self._dir)).when_loaded()
    }

    /// Waits until no node says that it is still reading groups or transactions.
    fn when_loaded(self) -> Broker {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        let metadata: MetadataResponse = self.client().ask(ApiKey::Metadata, 9, &request);
        for node in metadata.brokers {
            let mut client = Raw::connect(&format!("{}:{}", &*node.host, node.port));
            eventually("groups and transactions are loaded", || {
                let groups: ListGroupsResponse =
                    client.ask(ApiKey::ListGroups, 4, &ListGroupsRequest::default());
                let transactions: ListTransactionsResponse =
                    client.ask(ApiKey::ListTransactions, 0, &ListTransactionsRequest::default());
                groups.error_code == 0 && transactions.error_code == 0
            });
        }
        self
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("is running");
        self.child.wait().expect("ends").code()
    }

    /// The data directory as the broker sees it.
    pub fn data_inside(&self) -> PathBuf {
        let inside = format!("/proc/{}/root{}", self.child.id(), self.data.display());
        PathBuf::from(inside)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn client(&self) -> Raw {
        Raw::connect(&self.address)
    }

    /// Runs a client command against this broker; its output, if it succeeds.
    pub fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.output(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        output.stdout
    }

    /// Runs a client command that has to fail; what it says.
    pub fn fail(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.output(args, input);
        assert!(!output.status.success(), "{args:?} went well");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn output(&self, args: &[&str], input: &[u8]) -> std::process::Output {
        let mut child = Command::new(BINARY)
            .args(args)
            .args(["--bootstrap", &self.address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("ends");
        let _ = writer.join();
        output
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The broker's program, in a mount namespace of its own where it needs a disk of its own.
fn command(setup: &Setup, data: &std::path::Path) -> Command {
    let Some(size) = setup.disk_size else { return Command::new(BINARY) };
    std::fs::create_dir_all(data).expect("makes");
    let mount = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &mount]).arg(data).arg(BINARY);
    command
}

/// Whether [`Setup::disk_size`] can be had: some machines forbid it to ordinary users.
pub fn can_mount() -> bool {
    let mount = "mount -t tmpfs none /mnt";
    let mut unshare = Command::new("unshare");
    let tried = unshare.args(["--mount", "--map-root-user", "sh", "-c", mount]);
    tried.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs `serve` with wrong arguments: exit code and what it says.
pub fn failing_serve(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BINARY).arg("serve").args(args).output().expect("runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Reads the log until the broker says where it listens; keeps the pipe empty afterwards.
fn wait_for_address(child: &mut Child, log: Option<Arc<Mutex<String>>>) -> Option<String> {
    let stderr = child.stderr.take().expect("a pipe");
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on ") {
                let address = rest.split_whitespace().next().unwrap_or_default().to_string();
                let _ = found.send(address);
            }
            if let Some(log) = &log {
                log.lock().expect("nobody panicked").extend([line.as_str(), "\n"]);
            }
            if line.contains("ERROR") || line.contains("panick") {
                eprintln!("broker: {line}");
            }
        }
    });
    address.recv_timeout(START_LIMIT).ok()
}

/// A connection on which requests are sent byte by byte as the test wants them.
pub struct Raw {
    pub stream: TcpStream,
    pub client_id: String,
    next_id: i32,
}

impl Raw {
    pub fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
        stream.set_nodelay(true).expect("sets");
        Raw { stream, client_id: "test".to_string(), next_id: 0 }
    }

    /// Sends a request, without waiting for its answer; returns its correlation id.
    pub fn send(&mut self, key: ApiKey, version: i16, request: &impl Encodable) -> i32 {
        self.try_send(key, version, request).expect("sends")
    }

    /// [`Raw::send`]; `None` once the connection is broken.
    pub fn try_send(&mut self, key: ApiKey, version: i16, request: &impl Encodable) -> Option<i32> {
        self.next_id += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.next_id)
            .with_client_id(Some(StrBytes::from_string(self.client_id.clone())));
        header.encode(&mut frame, key.request_header_version(version)).expect("encodes");
        request.encode(&mut frame, version).expect("encodes");
        let len = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.stream.write_all(&frame).ok()?;
        Some(self.next_id)
    }

    /// The next answer: correlation id and the rest; `None` once the broker has closed.
    pub fn receive(&mut self) -> Option<(i32, Bytes)> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        let id = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        Some((id, Bytes::from(frame).slice(4..)))
    }

    /// Sends a request and decodes its answer, which must be whole.
    pub fn ask<R: Decodable>(&mut self, key: ApiKey, version: i16, request: &impl Encodable) -> R {
        let sent = self.send(key, version, request);
        let (id, mut body) = self.receive().unwrap_or_else(|| panic!("{key:?} v{version}: closed"));
        assert_eq!(id, sent);
        if key.response_header_version(version) >= 1 {
            body = body.slice(1..);
        }
        let response = R::decode(&mut body, version).expect("decodes");
        assert!(body.is_empty(), "{key:?} v{version}: {} bytes too many", body.len());
        response
    }

    /// Whether the broker closes the connection; what it says before is read and thrown away.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Polls until `condition` holds; fails the test where it never does.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Sets a flag when it goes, so that threads of a test that has failed end, too.
pub struct SetAtEnd<'a>(pub &'a std::sync::atomic::AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}
