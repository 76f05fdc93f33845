use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::{Failure, WRONG_USAGE};
use crate::broker;
use crate::config::{load_file, BrokerConfig};

/// What is logged unless `RUST_LOG` says otherwise. glommio warns, three times a shard, that it goes
/// on without registered buffers where the limit on locked memory is an ordinary user's.
const LOG_LEVELS: &str = "info,glommio=error";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane serve
  corelane serve --config /etc/corelane/corelane.toml
  corelane serve --config /opt/kafka/config/server.properties
  corelane serve --data-dir /mnt/nvme0 --listen 0.0.0.0:9092 --shards 8 --cores 0-7")]
pub struct Args {
    /// Configuration file: TOML (see config/corelane.toml) or Kafka's server.properties as it is.
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
    let config = configured(args)?;
    config.in_vain().iter().for_each(|why| tracing::warn!("{why}"));
    broker::serve(config)?;
    Ok(())
}

fn configured(args: Args) -> Result<BrokerConfig, Failure> {
    let wrong = |message: String| Failure { code: WRONG_USAGE, error: anyhow!(message) };
    let mut config = match &args.config {
        Some(path) => load_file(path).map_err(|e| wrong(e.to_string()))?,
        None => BrokerConfig::default(),
    };
    let dirs: Vec<_> = args.data_dir.iter().map(|dir| dir.display().to_string()).collect();
    let stated = [
        ("--data-dir", "log.dirs", (!dirs.is_empty()).then(|| dirs.join(","))),
        ("--listen", "listeners", args.listen),
        ("--cores", "cores", args.cores),
        ("--shards", "shards", args.shards.map(|shards| shards.to_string())),
    ];
    for (flag, name, said) in stated {
        let Some(said) = said else { continue };
        let value = match name {
            "listeners" => config.with_controller(&said),
            _ => said.clone(),
        };
        let stated = config.state(name, &value);
        stated.map_err(|why| wrong(format!("{flag} {said}: {why}")))?;
    }
    config.finish().map_err(wrong)?;
    Ok(config)
}
