//! `corelane doctor`: whether this machine suits a broker, what it costs where not, and the commands
//! that change it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use comfy_table::{presets, Cell, Color, ContentArrangement, Table};
use corelane_shards::runtime::probe_rings;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::print::{may_colour, say};
use super::{Failure, FAILED, WRONG_USAGE};
use crate::config::{load_file, BrokerConfig};
use crate::doctor::{
    examine, in_use, judge_speeds, probe, touch, Finding, Level, Plan, Root, Speeds, Touched,
};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane doctor
  corelane doctor --config /etc/corelane/corelane.toml
  corelane doctor --data-dir /mnt/nvme0 --data-dir /mnt/nvme1 --seconds 20
  corelane doctor --no-probe --json

Run it as the user that the broker runs as: limits are that user's. The disk probe writes to a file
without a name, at most 1 GiB and a twentieth of what is free; it is gone afterwards, also after
Ctrl-C. Exit code 1 where there is a problem.")]
pub struct Args {
    /// The broker's configuration file: its directories, shards, cores and memory are looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where partitions are or will be kept; may be given several times; overrides log.dirs.
    #[arg(long, value_name = "DIR")]
    data_dir: Vec<PathBuf>,
    /// Do not try how fast the disks are.
    #[arg(long)]
    no_probe: bool,
    /// How long each disk is tried.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let mut config = match &args.config {
        Some(path) => {
            load_file(path).map_err(|error| Failure { code: WRONG_USAGE, error: error.into() })?
        }
        None => BrokerConfig::default(),
    };
    if !args.data_dir.is_empty() {
        config.log_dirs.clone_from(&args.data_dir);
    }
    let plan = Plan::of(&config);
    let dirs: Vec<Touched> = plan.log_dirs.iter().map(|dir| touch(dir)).collect();
    let mut findings = examine(&Root::new("/"), &plan, &probe_rings(), &dirs);
    let mut speeds = BTreeMap::new();
    if !args.no_probe {
        for dir in &dirs {
            let (tried, judged) = try_disk(dir, &args, &findings);
            speeds.extend(tried.map(|tried| (dir.path.display().to_string(), tried)));
            findings.extend(judged);
        }
    }
    if args.json {
        let worst = findings.iter().map(|finding| finding.level).max();
        let shown = json!({"worst": worst, "findings": findings, "speeds": speeds});
        say(serde_json::to_string_pretty(&shown)?);
    } else {
        show(&findings);
    }
    match findings.iter().filter(|finding| finding.level == Level::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure { code: FAILED, error: anyhow!("there is a problem") }),
        problems => Err(Failure { code: FAILED, error: anyhow!("there are {problems} problems") }),
    }
}

fn try_disk(dir: &Touched, args: &Args, found: &[Finding]) -> (Option<Speeds>, Vec<Finding>) {
    const CHECK: &str = "disk";
    let name = dir.path.display().to_string();
    let of_dir = |finding: &&Finding| finding.subject.as_deref() == Some(name.as_str());
    let mut here = found.iter().filter(of_dir);
    let volatile = here.clone().any(|f| f.check == "write cache" && f.level == Level::Note);
    if here.any(|f| f.check == "directory" && f.level == Level::Problem) {
        return (None, Vec::new());
    }
    if in_use(&Root::new("/"), dir) {
        let left_out = Finding::new(Level::Note, CHECK, "not tried: a broker is running on it");
        return (None, vec![left_out.on(name)]);
    }
    let time = Duration::from_secs(args.seconds);
    let bar = progress(time, &name, args.json);
    let free = dir.space.map_or(0, |space| space.free_bytes);
    let tried = probe(&dir.nearest, free, time, |now| bar.set_position(now.as_millis() as u64));
    bar.finish_and_clear();
    match tried {
        Ok(speeds) => (Some(speeds), judge_speeds(&name, &speeds, volatile)),
        Err(error) => {
            let failed = Finding::new(Level::Warning, CHECK, format!("cannot be tried: {error}"));
            (None, vec![failed.on(name)])
        }
    }
}

fn progress(time: Duration, dir: &str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("trying the disk of {msg} {bar:40} {percent} %");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(time.as_millis() as u64).with_style(style).with_message(dir.to_string())
}

fn colour(level: Level) -> Color {
    match level {
        Level::Ok => Color::Green,
        Level::Note => Color::Cyan,
        Level::Warning => Color::Yellow,
        Level::Problem => Color::Red,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Problem => "problem",
    }
}

fn title(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} of {subject}", finding.check),
        None => finding.check.to_string(),
    }
}

/// A table of everything, then what can be done; commands are on lines of their own, to be copied.
fn show(findings: &[Finding]) {
    let stdout = std::io::stdout();
    let coloured = may_colour(&stdout);
    console::set_colors_enabled(coloured);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["LEVEL", "WHAT", "FOUND"]);
    for finding in findings {
        let level = Cell::new(word(finding.level));
        let level = if coloured { level.fg(colour(finding.level)) } else { level };
        table.add_row([level, Cell::new(title(finding)), Cell::new(&finding.found)]);
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    say(table.trim_fmt());
    let mut costly: Vec<&Finding> = findings.iter().filter(|f| f.cost.is_some()).collect();
    costly.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let width = usize::from(console::Term::stdout().size().1).clamp(40, 100);
    for finding in costly {
        say(format_args!("\n{}: {}: {}", styled(finding.level), title(finding), finding.found));
        for line in wrapped(finding.cost.as_deref().unwrap_or_default(), width - 2) {
            say(format_args!("  {line}"));
        }
        if let Some(fix) = &finding.fix {
            say(format_args!("  {}", console::style(format!("$ {fix}")).bold()));
        }
    }
}

fn styled(level: Level) -> console::StyledObject<&'static str> {
    let text = console::style(word(level));
    match level {
        Level::Ok => text.green(),
        Level::Note => text.cyan(),
        Level::Warning => text.yellow(),
        Level::Problem => text.red().bold(),
    }
}

/// Words in lines of at most `width`.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}
