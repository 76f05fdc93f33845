//! The two brokers, each started with data directories of its own for one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use tempfile::TempDir;

use super::about::SideAbout;
use super::nats;
use super::results::Side;
use crate::broker::{free_address, held, Broker};
use crate::workload::{Settings, Workload};

/// What Kafka's documentation recommends for the virtual machine, beside the heap.
const JVM: &[&str] = &[
    "-server",
    "-XX:MetaspaceSize=96m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:G1HeapRegionSize=16M",
    "-XX:MinMetaspaceFreeRatio=50",
    "-XX:MaxMetaspaceFreeRatio=80",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];

/// What the `server.properties` that comes with Kafka sets, and what a single node needs.
const KAFKA: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("num.network.threads", "3"),
    ("num.io.threads", "8"),
    ("socket.send.buffer.bytes", "102400"),
    ("socket.receive.buffer.bytes", "102400"),
    ("socket.request.max.bytes", "104857600"),
    ("num.recovery.threads.per.data.dir", "1"),
    ("auto.create.topics.enable", "false"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// A cluster id in Kafka's form; any will do.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// How both are started.
#[derive(Debug, Clone)]
pub struct Sides {
    pub corelane: PathBuf,
    pub corelane_settings: Settings,
    pub java: String,
    pub class_path: String,
    pub heap: String,
    pub kafka_settings: Settings,
    pub nats: PathBuf,
    /// Cores of the broker, as `taskset -c` takes them.
    pub cpus: Option<String>,
    /// Both get all of them.
    pub dirs: Vec<PathBuf>,
}

/// A broker and its directories, which are removed when it is dropped.
#[derive(Debug)]
pub struct Node {
    broker: Option<Broker>,
    program: Vec<String>,
    cpus: Option<String>,
    address: String,
    dirs: Vec<TempDir>,
}

/// Kafka's class path: that of a distribution's directory, a directory of jars, a file that holds a
/// class path, or the class path itself.
pub fn class_path(given: &str) -> Result<String> {
    let path = Path::new(given);
    if path.is_file() && path.extension().is_none_or(|ending| ending != "jar") {
        return Ok(fs::read_to_string(path)?.trim().to_owned());
    }
    for dir in [path.join("libs"), path.to_owned()] {
        let listed = dir.join("classpath");
        if listed.is_file() {
            return Ok(fs::read_to_string(listed)?.trim().to_owned());
        }
        if jars(&dir).iter().any(|jar| jar.starts_with("kafka-clients-")) {
            return Ok(format!("{}/*", dir.canonicalize()?.display()));
        }
    }
    ensure!(
        given.contains("kafka-clients-"),
        "{given} is neither a directory of Kafka nor a class path; scripts/fetch-kafka.sh fetches one"
    );
    Ok(given.to_owned())
}

fn jars(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The version that the name of the clients' jar tells.
fn kafka_version(class_path: &str) -> Option<String> {
    let listed = class_path.strip_suffix("/*").map(|dir| jars(Path::new(dir)).join(":"));
    let names = listed.as_deref().unwrap_or(class_path);
    let (_, rest) = names
        .split_once("kafka-clients-")
        .filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
        .or_else(|| names.rsplit_once("kafka-clients-"))?;
    rest.split_once(".jar").map(|(version, _)| version.to_owned())
}

fn first_line(command: &mut Command) -> String {
    let output = command.output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown version").to_owned()
}

impl Sides {
    /// What the report says of a side.
    pub fn about(&self, side: Side) -> SideAbout {
        match side {
            Side::Corelane => SideAbout {
                version: first_line(Command::new(&self.corelane).arg("--version")),
                command: "corelane serve --config corelane.toml".to_owned(),
                settings: self.corelane_settings.clone(),
            },
            Side::Kafka => SideAbout {
                version: format!(
                    "Apache Kafka {}, {}",
                    kafka_version(&self.class_path).as_deref().unwrap_or("of an unknown version"),
                    first_line(Command::new(&self.java).arg("-version"))
                ),
                command: format!(
                    "{} {} kafka.Kafka server.properties",
                    self.java,
                    self.jvm().join(" ")
                ),
                settings: self.kafka_broker(),
            },
            Side::Nats => nats::about(&self.nats).unwrap_or_default(),
        }
    }

    fn jvm(&self) -> Vec<String> {
        let heap = [format!("-Xms{}", self.heap), format!("-Xmx{}", self.heap)];
        heap.into_iter().chain(JVM.iter().map(|&option| option.to_owned())).collect()
    }

    fn kafka_broker(&self) -> Settings {
        let mut settings: Settings =
            KAFKA.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        settings.extend(self.kafka_settings.clone());
        settings
    }

    /// Starts a broker on empty directories. What earlier runs left to be written or discarded is
    /// waited for, so that it does not burden this one.
    pub fn start(&self, side: Side, workload: &Workload) -> Result<Node> {
        rustix::fs::sync();
        let dirs = self.dirs.iter().map(|dir| {
            let dir_made = tempfile::Builder::new().prefix("corelane-perf-").tempdir_in(dir);
            dir_made.with_context(|| format!("cannot write in {}", dir.display()))
        });
        let dirs = dirs.collect::<Result<Vec<_>>>()?;
        let address = free_address()?;
        let program = match side {
            Side::Corelane => self.set_up_corelane(&dirs, &address, workload)?,
            Side::Kafka => self.set_up_kafka(&dirs, &address, workload)?,
            Side::Nats => bail!("NATS has a start of its own"),
        };
        let cpus = self.cpus.clone();
        let mut node = Node { broker: None, program, cpus, address, dirs };
        node.launch()?;
        Ok(node)
    }

    fn set_up_corelane(
        &self,
        dirs: &[TempDir],
        address: &str,
        workload: &Workload,
    ) -> Result<Vec<String>> {
        let mut settings = self.corelane_settings.clone();
        settings.extend(workload.corelane.broker.clone());
        if let Some(cpus) = &self.cpus {
            settings.entry("cores".to_owned()).or_insert_with(|| cpus.clone());
        }
        settings.insert("listeners".to_owned(), format!("PLAINTEXT://{address}"));
        settings.insert("log.dirs".to_owned(), data_dirs(dirs)?);
        let file = dirs[0].path().join("corelane.toml");
        let line =
            |(key, value): (&String, &String)| format!("\"{key}\" = {}\n", toml_value(value));
        fs::write(&file, settings.iter().map(line).collect::<String>())?;
        let program = self.corelane.display().to_string();
        Ok(vec![program, "serve".to_owned(), "--config".to_owned(), file.display().to_string()])
    }

    fn set_up_kafka(
        &self,
        dirs: &[TempDir],
        address: &str,
        workload: &Workload,
    ) -> Result<Vec<String>> {
        let controller = free_address()?;
        let mut settings = self.kafka_broker();
        settings.extend(workload.kafka.broker.clone());
        settings.insert(
            "listeners".to_owned(),
            format!("PLAINTEXT://{address},CONTROLLER://{controller}"),
        );
        settings.insert("controller.quorum.voters".to_owned(), format!("1@{controller}"));
        settings.insert("log.dirs".to_owned(), data_dirs(dirs)?);
        let file = dirs[0].path().join("server.properties");
        let line = |(key, value): (&String, &String)| format!("{key}={value}\n");
        fs::write(&file, settings.iter().map(line).collect::<String>())?;
        let file = file.display().to_string();
        let formatted = Command::new(&self.java)
            .args(["-XX:TieredStopAtLevel=1", "-cp", &self.class_path, "kafka.tools.StorageTool"])
            .args(["format", "-t", CLUSTER_ID, "-c", &file])
            .output()
            .with_context(|| format!("cannot start {}", self.java))?;
        ensure!(
            formatted.status.success(),
            "Kafka cannot format its directories: {}",
            String::from_utf8_lossy(&[formatted.stdout, formatted.stderr].concat()).trim()
        );
        let class_path =
            ["-cp".to_owned(), self.class_path.clone(), "kafka.Kafka".to_owned(), file];
        Ok([self.java.clone()].into_iter().chain(self.jvm()).chain(class_path).collect())
    }
}

/// The data directories, separated by commas, made if they are not there.
fn data_dirs(dirs: &[TempDir]) -> Result<String> {
    let mut paths = Vec::new();
    for dir in dirs {
        let data = dir.path().join("data");
        fs::create_dir_all(&data)?;
        paths.push(data.display().to_string());
    }
    Ok(paths.join(","))
}

/// A number or a truth value as it is, all else quoted.
fn toml_value(text: &str) -> String {
    let bare = text.parse::<i64>().is_ok() || matches!(text, "true" | "false");
    match bare {
        true => text.to_owned(),
        false => toml::Value::String(text.to_owned()).to_string(),
    }
}

impl Node {
    fn launch(&mut self) -> Result<()> {
        let command = held(&self.program, self.cpus.as_deref());
        let log = self.dirs[0].path().join("broker.log");
        self.broker = Some(Broker::spawn(command, self.address.clone(), &log)?);
        Ok(())
    }

    /// The running broker.
    pub fn broker(&self) -> Result<&Broker> {
        self.broker.as_ref().context("the broker is stopped")
    }

    /// Stops the broker and starts it again with its data.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Stops the broker; its directories stay until the node is dropped.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.take().map_or(Ok(()), Broker::stop)
    }

    /// Has the kernel write what it still holds of this node's files.
    pub fn flush(&self) -> Result<()> {
        for dir in &self.dirs {
            rustix::fs::syncfs(fs::File::open(dir.path())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_path_is_found_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &Path| class_path(path.to_str().unwrap());
        assert!(at(dir.path()).unwrap_err().to_string().contains("fetch-kafka.sh"));
        let libs = dir.path().join("libs");
        fs::create_dir(&libs).unwrap();
        fs::write(libs.join("kafka-clients-4.0.0.jar"), "").unwrap();
        let found = at(dir.path()).unwrap();
        assert!(found.ends_with("/libs/*"), "{found}");
        assert_eq!(kafka_version(&found).unwrap(), "4.0.0");
        fs::write(dir.path().join("classpath"), "/m2/kafka-clients-4.1.1.jar:/m2/x.jar\n").unwrap();
        let listed = at(&dir.path().join("classpath")).unwrap();
        assert_eq!(listed, "/m2/kafka-clients-4.1.1.jar:/m2/x.jar");
        assert_eq!(kafka_version(&listed).unwrap(), "4.1.1");
        assert_eq!(class_path(&listed).unwrap(), listed);
    }

    #[test]
    fn version_is_found_where_the_directory_has_the_same_name() {
        let path = "/m2/org/kafka-clients-x/4.0.0/kafka-clients-4.0.0.jar:/m2/zstd.jar";
        assert_eq!(kafka_version(path).unwrap(), "4.0.0");
    }

    #[test]
    fn settings_are_written_as_toml_reads_them() {
        for (text, toml) in [("5", "5"), ("true", "true"), ("4GiB", "\"4GiB\""), ("a\"b", "'a\"b'")]
        {
            assert_eq!(toml_value(text), toml);
        }
    }
}
