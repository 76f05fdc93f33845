use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::{Failure, WRONG_USAGE};
use crate::broker;
use crate::config::{load_file, parse_cores, BrokerConfig, HostPort};

/// What is logged unless `RUST_LOG` says otherwise. glommio warns, three times a shard, that it goes
/// on without registered buffers where the limit on locked memory is an ordinary user's.
const LOG_LEVELS: &str = "info,glommio=error";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane serve
  corelane serve --config /etc/corelane/corelane.toml
  corelane serve --data-dir /mnt/nvme0 --listen 0.0.0.0:9092 --shards 8 --cores 0-7")]
pub struct Args {
    /// Configuration file (TOML, see config/corelane.toml).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where partitions are kept; may be given several times; overrides log.dirs.
    #[arg(long, value_name = "DIR")]
    data_dir: Vec<PathBuf>,
    /// Address to listen on; overrides listeners.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Number of shards; default: one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,
    /// Cores to pin shards to, as 0,2,4-7.
    #[arg(long, value_name = "LIST")]
    cores: Option<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_LEVELS));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    broker::serve(configured(args)?)?;
    Ok(())
}

fn configured(args: Args) -> Result<BrokerConfig, Failure> {
    let wrong = |message: String| Failure { code: WRONG_USAGE, error: anyhow!(message) };
    let mut config = match &args.config {
        Some(path) => load_file(path).map_err(|e| wrong(e.to_string()))?,
        None => BrokerConfig::default(),
    };
    if !args.data_dir.is_empty() {
        config.log_dirs = args.data_dir;
    }
    if let Some(listen) = args.listen {
        let parsed = HostPort::parse(&listen);
        config.listeners = vec![parsed.map_err(|why| wrong(format!("--listen {listen}: {why}")))?];
    }
    if let Some(cores) = args.cores {
        let parsed = parse_cores(&cores).map_err(|why| wrong(format!("--cores {cores}: {why}")));
        config.cores = Some(parsed?);
    }
    config.shards = args.shards.map(usize::from).or(config.shards);
    Ok(config)
}
