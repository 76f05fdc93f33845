//! What the speed of a disk means for a broker.

use super::finding::{Finding, Level};
use super::probe::{Speed, Speeds, LARGE_BYTES, SMALL_BYTES};

/// A broker's writes slower than a network of 1 Gbit/s.
const SLOW_WRITE_MB: f64 = 120.0;
/// A tenth of a producer's usual patience with interactive work.
const SLOW_DURABLE_US: u64 = 20_000;
const SLOW_READ_US: u64 = 20_000;
/// No flash memory is written within this: something before it answers.
const TOO_QUICK_US: u64 = 100;

/// One finding for each part.
pub fn judge(dir: &str, speeds: &Speeds, volatile_cache: bool) -> Vec<Finding> {
    let mut findings = vec![
        judge_write(&speeds.write),
        judge_durable(&speeds.durable_write, volatile_cache),
        judge_read(&speeds.read),
    ];
    if !speeds.direct {
        for finding in &mut findings {
            finding.found.push_str(" (through the page cache)");
        }
    }
    findings.into_iter().map(|finding| finding.on(dir)).collect()
}

fn shown(speed: &Speed, bytes: usize) -> String {
    let each = match bytes {
        LARGE_BYTES => "1 MiB",
        _ => "4 KiB",
    };
    format!(
        "{:.0} MB/s, {:.0} of {each} a second; p50 {}, p99 {}, worst {}",
        speed.mb_per_second(),
        speed.per_second(),
        time(speed.p50_us),
        time(speed.p99_us),
        time(speed.max_us)
    )
}

fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.0} ms", micros as f64 / 1e3),
    }
}

fn judge_write(speed: &Speed) -> Finding {
    const CHECK: &str = "disk: write";
    let found = shown(speed, LARGE_BYTES);
    if speed.mb_per_second() >= SLOW_WRITE_MB {
        return Finding::ok(CHECK, found);
    }
    Finding::new(Level::Warning, CHECK, found)
        .costs("producers of all partitions in this directory together are no faster than that")
        .fixed_by("corelane serve --data-dir DIR1 --data-dir DIR2 # more disks, or a faster one")
}

fn judge_durable(speed: &Speed, volatile_cache: bool) -> Finding {
    const CHECK: &str = "disk: durable write";
    let found = shown(speed, SMALL_BYTES);
    if speed.p99_us > SLOW_DURABLE_US {
        return Finding::new(Level::Warning, CHECK, found)
            .costs(format!(
                "one in a hundred records with acks=all waits {} or longer for the disk alone",
                time(speed.p99_us)
            ))
            .fixed_by(
                "corelane topic create NAME --config corelane.write.caching=true # answers from memory, \
                 as Kafka does; or a disk with protection against power loss",
            );
    }
    if volatile_cache && speed.p50_us < TOO_QUICK_US {
        return Finding::new(Level::Note, CHECK, found).costs(
            "quicker than a flush of a volatile cache is: on a virtual disk the host may answer \
             before it is durable there, and then acks=all is as safe as the host's power",
        );
    }
    Finding::ok(CHECK, found)
}

fn judge_read(speed: &Speed) -> Finding {
    const CHECK: &str = "disk: read";
    let found = shown(speed, SMALL_BYTES);
    if speed.p99_us <= SLOW_READ_US {
        return Finding::ok(CHECK, found);
    }
    Finding::new(Level::Warning, CHECK, found)
        .costs("consumers that are behind wait so long for each piece that they read")
        .fixed_by(
            "corelane serve --config FILE # with more \"memory\" in it: fewer reads reach the disk",
        )
}
