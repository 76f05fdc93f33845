//! `groups`: members of consumer groups that join, heartbeat and commit as clients do, without reading.
//! `member` is one of them, `fleet` all of them on one thread.

mod fleet;
mod member;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use clap::Args;
use serde::Serialize;

use self::fleet::{Fleet, Group};
use crate::cluster::Topic;
use crate::connection::Connection;
use crate::process::{ProcessSample, ProcessUse};
use crate::stats::{LatencySummary, Spread};
use crate::wire::{group, ErrorCode};
use crate::workload::schedule::wake_on_time;

/// A coordinator that is not ready by then has failed, and so has a rebalance that is not over.
const PATIENCE: Duration = Duration::from_secs(120);
/// Groups that form at the same time.
const WAVE: usize = 200;

/// Arguments of `groups`.
#[derive(Debug, Clone, Args)]
pub struct GroupsArgs {
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Created with a partition for each member of a group if it is not there
    #[arg(long, default_value = "perf-groups")]
    pub topic: String,
    #[arg(long, default_value_t = 1_000)]
    pub groups: usize,
    /// Members of each group
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Time between two heartbeats of a member
    #[arg(long, default_value_t = 3_000)]
    pub heartbeat_ms: u64,
    /// Time between two commits of a member
    #[arg(long, default_value_t = 1_000)]
    pub commit_ms: u64,
    /// How long members commit, after the groups have formed; 0: not at all
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// Have one more member join the first group, and leave it, so many times, and time each until
    /// all have their shares
    #[arg(long, default_value_t = 0)]
    pub rebalances: usize,
    /// Process whose CPU time is read
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct GroupsReport {
    pub groups: usize,
    pub members: usize,
    /// From the first join until all groups were stable.
    pub formed_ms: f64,
    /// From the join of one more member until all have their shares, and from its leaving.
    pub join_ms: Option<Spread>,
    pub leave_ms: Option<Spread>,
    /// From the moment when each was due.
    pub commits: Option<LatencySummary>,
    pub heartbeats: Option<LatencySummary>,
    pub sent_late: Option<LatencySummary>,
    pub commits_refused: u64,
    pub broker: Option<ProcessUse>,
    /// Cores that the broker was busy on while members committed.
    pub broker_cores: Option<f64>,
}

/// Runs the command.
pub fn run(args: &GroupsArgs) -> Result<GroupsReport> {
    ensure!(args.groups > 0 && args.members > 0, "--groups and --members are at least 1");
    ensure!(args.heartbeat_ms > 0 && args.commit_ms > 0, "times are at least 1 ms");
    let time = Duration::try_from_secs_f64(args.seconds)?;
    wake_on_time()?;
    let topic = Topic::ensure(&args.bootstrap, &args.topic, args.members as u32 + 1, &[])?;
    let groups = find_coordinators(args)?;
    let heartbeat = Duration::from_millis(args.heartbeat_ms);
    let mut fleet = Fleet::new(groups, &topic.name, heartbeat)?;
    let formed = form(&mut fleet, args, heartbeat)?;
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    for _ in 0..args.rebalances {
        let (join, leave) = rebalance(&mut fleet, args.members, heartbeat)?;
        joins.push(join);
        leaves.push(leave);
    }
    let read = |pid: u32| ProcessSample::read(pid);
    let before = args.broker_pid.map(read).transpose()?;
    let started = Instant::now();
    if !time.is_zero() {
        fleet.begin_commits(Duration::from_millis(args.commit_ms));
        fleet.run(started + time, |_| false)?;
    }
    let elapsed = started.elapsed();
    let after = args.broker_pid.map(read).transpose()?;
    fleet.end_commits();
    // Those that were due and are not answered yet count, too.
    if !fleet.run(Instant::now() + PATIENCE, Fleet::is_answered)? {
        bail!("requests were not answered within {PATIENCE:?}");
    }
    let broker = before.zip(after).map(|(before, after)| before.until(&after));
    Ok(GroupsReport {
        groups: args.groups,
        members: args.members,
        formed_ms: formed.as_secs_f64() * 1e3,
        join_ms: Spread::of(&joins),
        leave_ms: Spread::of(&leaves),
        commits: fleet.timed.commits.summary(),
        heartbeats: fleet.timed.heartbeats.summary(),
        sent_late: fleet.timed.sent_late.summary(),
        commits_refused: fleet.timed.refused,
        broker_cores: broker.map(|used| used.cpu_seconds / elapsed.as_secs_f64()),
        broker,
    })
}

/// The groups' names and where each is served. They are new in each run.
fn find_coordinators(args: &GroupsArgs) -> Result<Vec<Group>> {
    let mut connection = Connection::open(&args.bootstrap)?;
    let run = std::process::id();
    let deadline = Instant::now() + PATIENCE;
    let mut groups = Vec::with_capacity(args.groups);
    for number in 0..args.groups {
        let name = format!("perf-{run}-{number}");
        loop {
            let (id, frame) = connection.call(group::find_coordinator(&name))?;
            match group::parse_coordinator(frame, id)? {
                Ok(address) => break groups.push(Group::new(name, address)),
                Err(ErrorCode::COORDINATOR_NOT_AVAILABLE) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(code) => bail!("the coordinator of {name}: {code}"),
            }
        }
    }
    Ok(groups)
}

/// All members join, some groups at a time; heartbeats are spread over their interval.
fn form(fleet: &mut Fleet, args: &GroupsArgs, heartbeat: Duration) -> Result<Duration> {
    let started = Instant::now();
    let (size, all) = (args.members, (args.groups * args.members) as u32);
    for wave in (0..args.groups).step_by(WAVE) {
        let wave = wave..(wave + WAVE).min(args.groups);
        for group in wave.clone() {
            for member in 0..size {
                let nth = (group * size + member) as u32;
                let first = Instant::now() + heartbeat * nth / all;
                fleet.add(group, member as i32, first)?;
            }
        }
        let stable = |fleet: &Fleet| fleet.groups[wave.clone()].iter().all(|g| g.is_stable(size));
        if !fleet.run(Instant::now() + PATIENCE, stable)? {
            bail!("groups {wave:?} are not stable within {PATIENCE:?}");
        }
    }
    Ok(started.elapsed())
}

/// One more member joins the first group, then leaves: ms until the group is stable after each.
fn rebalance(fleet: &mut Fleet, members: usize, heartbeat: Duration) -> Result<(f64, f64)> {
    let timed = |fleet: &mut Fleet, size: usize, started: Instant| {
        let stable = |fleet: &Fleet| fleet.groups[0].is_stable(size);
        match fleet.run(started + PATIENCE, stable)? {
            true => Ok(started.elapsed().as_secs_f64() * 1e3),
            false => bail!("a rebalance is not over within {PATIENCE:?}"),
        }
    };
    let started = Instant::now();
    let more = fleet.add(0, members as i32, started + heartbeat)?;
    let join = timed(fleet, members + 1, started)?;
    let started = Instant::now();
    fleet.leave(more)?;
    let leave = timed(fleet, members, started)?;
    Ok((join, leave))
}

impl fmt::Display for GroupsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} groups of {} members, formed in {:.0} ms",
            self.groups, self.members, self.formed_ms
        )?;
        for (what, spread) in [("joins", &self.join_ms), ("leaves", &self.leave_ms)] {
            if let Some(Spread { median, min, max }) = spread {
                writeln!(f, "one {what}: stable after {median:.0} ms ({min:.0} to {max:.0})")?;
            }
        }
        let timed = [
            ("commits   ", &self.commits),
            ("heartbeats", &self.heartbeats),
            ("sent late ", &self.sent_late),
        ];
        for (what, latency) in timed {
            if let Some(latency) = latency {
                writeln!(f, "{what}  {latency}")?;
            }
        }
        if self.commits_refused > 0 {
            writeln!(f, "{} commits were refused in rebalances", self.commits_refused)?;
        }
        if let (Some(cores), Some(broker)) = (self.broker_cores, &self.broker) {
            let mib = broker.rss_bytes >> 20;
            writeln!(f, "broker      {cores:.2} cores, {mib} MiB resident")?;
        }
        Ok(())
    }
}
