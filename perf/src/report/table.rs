//! The results as Markdown for people.

use std::fmt;

use super::results::{Footprint, Latencies, Results, Throughput};
use crate::stats::{LatencySummary, Spread};

/// Displays results as Markdown.
pub struct Markdown<'a>(pub &'a Results);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0;
        let machine = &results.machine;
        writeln!(
            f,
            "{}, {} cores, Linux {}; {} pairs, runs of at most {} s; median (least–most)\n",
            machine.processor,
            machine.cores,
            machine.kernel,
            results.pairs,
            results.longest_run_seconds,
        )?;
        if !results.throughput.is_empty() {
            write_throughput(f, &results.throughput)?;
        }
        if !results.latencies.is_empty() {
            write_latencies(f, &results.latencies)?;
        }
        if !results.footprints.is_empty() {
            write_footprints(f, &results.footprints)?;
        }
        if !results.failures.is_empty() {
            writeln!(f, "Failed:\n")?;
            for failure in &results.failures {
                writeln!(f, "- {failure}")?;
            }
        }
        Ok(())
    }
}

fn write_throughput(f: &mut fmt::Formatter<'_>, measures: &[Throughput]) -> fmt::Result {
    writeln!(
        f,
        "| 1 KiB records | Corelane MB/s | ceiling MB/s | of the ceiling | request p50 / p99 ms \
         | broker CPU s/GB | ceiling CPU s/GB |"
    )?;
    writeln!(f, "| --- | --- | --- | --- | --- | --- | --- |")?;
    for measure in measures {
        let latency = |pick: fn(&LatencySummary) -> f64| {
            measure.spread(|pair| pair.corelane.latency.as_ref().map(|l| pick(l) / 1e3))
        };
        writeln!(
            f,
            "| {} | {} | {} | {} | {} / {} | {} | {} |",
            measure.name,
            Cell(measure.spread(|pair| Some(pair.corelane.mb_per_second)), 0),
            Cell(measure.spread(|pair| Some(pair.ceiling.mb_per_second)), 0),
            Cell(measure.ratio(), 2),
            Middle(latency(|l| l.p50_us), 2),
            Middle(latency(|l| l.p99_us), 2),
            Middle(measure.spread(|pair| pair.corelane.server_cpu_seconds_per_gb), 2),
            Middle(measure.spread(|pair| pair.ceiling.server_cpu_seconds_per_gb), 2),
        )?;
    }
    writeln!(f)
}

fn write_latencies(f: &mut fmt::Formatter<'_>, runs: &[Latencies]) -> fmt::Result {
    type Row = (&'static str, fn(&Latencies) -> &LatencySummary);
    let rows: [Row; 5] = [
        ("produce, acks=all", |run| &run.produce_all),
        ("produce, acks=1", |run| &run.produce_leader),
        ("bare O_DSYNC write, written blocks", |run| &run.durable_write_written),
        ("bare O_DSYNC write, fallocated blocks", |run| &run.durable_write_fallocated),
        ("bare echo of 100 bytes", |run| &run.echo),
    ];
    writeln!(f, "| one at a time: 100-byte records, 4 KiB writes | p50 µs | p99 µs | p99.9 µs |")?;
    writeln!(f, "| --- | --- | --- | --- |")?;
    for (name, row) in rows {
        let cell = |pick: fn(&LatencySummary) -> f64| {
            let values: Vec<f64> = runs.iter().map(|run| pick(row(run))).collect();
            Cell(Spread::of(&values), 0)
        };
        let (p50, p99, p999) = (cell(|l| l.p50_us), cell(|l| l.p99_us), cell(|l| l.p999_us));
        writeln!(f, "| {name} | {p50} | {p99} | {p999} |")?;
    }
    let added: Vec<f64> = runs
        .iter()
        .map(|run| run.produce_all.p50_us - run.durable_write_written.p50_us - run.echo.p50_us)
        .collect();
    writeln!(
        f,
        "\nWhat acks=all adds to a bare write (written blocks) and an echo, p50: {} µs\n",
        Cell(Spread::of(&added), 0)
    )
}

fn write_footprints(f: &mut fmt::Formatter<'_>, runs: &[Footprint]) -> fmt::Result {
    type Row = (&'static str, fn(&Footprint) -> f64);
    let rows: [Row; 4] = [
        ("start to first answer, ms", |run| run.start_ms),
        ("resident when idle, MB", |run| run.idle_rss_bytes as f64 / 1e6),
        ("resident with 1,000 empty partitions, MB", |run| run.partitions_rss_bytes as f64 / 1e6),
        ("restart with them to first answer, ms", |run| run.restart_ms),
    ];
    writeln!(f, "| broker without load | |")?;
    writeln!(f, "| --- | --- |")?;
    for (name, pick) in rows {
        let values: Vec<f64> = runs.iter().map(pick).collect();
        writeln!(f, "| {name} | {} |", Cell(Spread::of(&values), 1))?;
    }
    writeln!(f)
}

/// Median (least–most) with so many digits behind the point.
struct Cell(Option<Spread>, usize);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(Spread { median, min, max }) => {
                let digits = self.1;
                write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
            }
        }
    }
}

/// The median alone.
struct Middle(Option<Spread>, usize);

impl fmt::Display for Middle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(Spread { median, .. }) => write!(f, "{median:.*}", self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{empty, run};
    use super::super::results::Pair;
    use super::*;

    #[test]
    fn row_shows_median_spread_and_ratio() {
        let mut results = empty();
        for (corelane, ceiling) in [(500.0, 1000.0), (900.0, 1000.0), (600.0, 1000.0)] {
            let pair = Pair { corelane: run(corelane), ceiling: run(ceiling) };
            results.add_throughput("produce".into(), Ok(pair));
        }
        let text = Markdown(&results).to_string();
        let row = text.lines().find(|line| line.starts_with("| produce")).unwrap();
        assert_eq!(
            row,
            "| produce | 600 (500–900) | 1000 (1000–1000) | 0.60 (0.50–0.90) | – / – | 0.50 | 0.50 |"
        );
    }

    #[test]
    fn failures_are_listed_and_empty_tables_left_out() {
        let mut results = empty();
        results.failures.push("fetch: gone".into());
        let text = Markdown(&results).to_string();
        assert!(text.contains("- fetch: gone"));
        assert!(!text.contains('|'));
    }
}
