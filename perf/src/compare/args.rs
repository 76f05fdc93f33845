//! The command lines of `compare` and `render`.

use std::path::PathBuf;

use clap::Args;

use crate::size::{parse_bytes, parse_setting};

/// After so many a quick comparison begins nothing new: what goes on then has another to end.
const QUICK_MINUTES: f64 = 9.0;

/// Arguments of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Corelane's program (a release build)
    #[arg(long)]
    pub corelane: PathBuf,
    /// Apache Kafka 4: its directory, a directory of jars, or a class path or the file that holds
    /// it; scripts/fetch-kafka.sh fetches it
    #[arg(long)]
    pub kafka: String,
    /// Directory on a disk to be measured, for both; several are several log directories (JBOD).
    /// All that is written there is removed again
    #[arg(long = "dir", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Directory of the workloads
    #[arg(long, default_value = "perf/workloads")]
    pub workloads: PathBuf,
    /// Take only these workloads; may be given several times
    #[arg(long)]
    pub only: Vec<String>,
    /// How often each workload is run on each side
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pairs: u32,
    /// Longest run
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of the same load before each run, on a topic of its own, which are not counted: a Java
    /// virtual machine compiles meanwhile
    #[arg(long, default_value_t = 10.0)]
    pub warm_up: f64,
    /// Most bytes produced in one run, and again in its warm-up
    #[arg(long, default_value = "4GiB", value_parser = parse_bytes)]
    pub bytes: u64,
    /// Kafka's heap; default: the 6 GiB of Kafka's documentation, at most a quarter of the memory
    #[arg(long)]
    pub kafka_heap: Option<String>,
    /// Setting of Kafka's broker, as key=value; may be given several times
    #[arg(long = "kafka-config", value_parser = parse_setting)]
    pub kafka_config: Vec<(String, String)>,
    /// Setting of Corelane's broker, as key=value; may be given several times
    #[arg(long = "corelane-config", value_parser = parse_setting)]
    pub corelane_config: Vec<(String, String)>,
    #[arg(long, default_value = "java")]
    pub java: String,
    /// Cores of the broker, either of them, as 0,2,4-7; default: all
    #[arg(long)]
    pub broker_cpus: Option<String>,
    /// Cores of this program, as 1,3; default: all
    #[arg(long, requires = "broker_cpus")]
    pub client_cpus: Option<String>,
    /// Drop the machine's caches before every run, not only before cold ones (needs root)
    #[arg(long)]
    pub drop_caches: bool,
    /// Count the brokers' system calls, by `perf stat`
    #[arg(long)]
    pub count_system_calls: bool,
    /// NATS' program, for the workloads that name it as a side; they go without where it is not there
    #[arg(long, default_value = "nats-server")]
    pub nats: PathBuf,
    /// One short pair of everything, in less than ten minutes: whether it all works, no figures to
    /// keep
    #[arg(long, conflicts_with_all = ["pairs", "seconds", "warm_up", "bytes"])]
    pub quick: bool,
    /// Go on with the comparison in --out: only what is not there is taken. What a killed run left in
    /// the directories is removed
    #[arg(long)]
    pub resume: bool,
    /// Begin nothing new after so many minutes; the report has what is there
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Do not run the bare programs
    #[arg(long)]
    pub no_ceiling: bool,
    /// Where the reports go: report.html, RESULTS.md and its plots, results.json, results.csv
    #[arg(long, default_value = "comparison")]
    pub out: PathBuf,
}

impl CompareArgs {
    /// What `--quick` stands for.
    pub fn resolved(mut self) -> Self {
        if self.quick {
            self.pairs = 1;
            self.seconds = 2.0;
            self.warm_up = 2.0;
            self.bytes = 512 << 20;
            self.minutes = self.minutes.or(Some(QUICK_MINUTES));
        }
        self
    }
}

/// Arguments of `render`.
#[derive(Debug, Clone, Args)]
pub struct RenderArgs {
    /// A comparison's results.json
    pub results: PathBuf,
    /// Where the reports go
    #[arg(long, default_value = "comparison")]
    pub out: PathBuf,
    /// Only write this Markdown file, its plots as SVG files in a directory of the same name beside
    /// it; what somebody wrote at its end by hand stays
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}
