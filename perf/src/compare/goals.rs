//! What Corelane is to reach, and what a comparison says of it.

use serde::Serialize;

use super::results::*;
use super::table::{number, times};
use crate::stats::Spread;
use crate::workload::{Bare, Settings};

/// A row of the goals' table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub what: String,
    pub goal: String,
    pub unit: &'static str,
    /// None where nothing was measured.
    pub reached: Option<Spread>,
    /// By the median of the pairs.
    pub met: Option<bool>,
    /// What it was taken from, both sides with their spread.
    pub from: String,
}

impl Row {
    /// "median (least–most) unit".
    pub fn reached_text(&self) -> String {
        let Some(Spread { median, min, max }) = self.reached else { return "–".to_owned() };
        let text = |value: f64| match self.unit {
            "×" => times(value),
            "µs" => number(value, 0),
            _ => number(value, 2),
        };
        format!("{} ({}–{}) {}", text(median), text(min), text(max), self.unit)
    }
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// How a goal's value comes about, within each pair.
#[derive(Debug, Clone, Copy)]
enum Measure {
    /// How many times better than Kafka.
    ThanKafka(&'static str, Figure),
    /// The part of the ceiling.
    OfTheCeiling(&'static str),
    /// Corelane's figure in the first workload over that in the second.
    Over(&'static str, &'static str, Figure),
    /// Corelane's figure over the bare one.
    OverBare(&'static str, Figure, Bare),
    /// How far Corelane's milliseconds are above the sum of the bare ones, in µs.
    BeyondBare(&'static str, Figure, &'static [Bare]),
    /// Corelane's figure as it is.
    Value(&'static str, Figure),
    /// Resident memory at most over what the settings allow and an empty broker has, where it is most.
    Memory,
}

struct Goal {
    what: &'static str,
    goal: &'static str,
    measure: Measure,
    limit: Limit,
}

const fn goal(what: &'static str, goal: &'static str, measure: Measure, limit: Limit) -> Goal {
    Goal { what, goal, measure, limit }
}

use Limit::{AtLeast, AtMost};
use Measure::{BeyondBare, Memory, OfTheCeiling, Over, OverBare, ThanKafka, Value};

const GOALS: &[Goal] = &[
    goal(
        "produce 1 KiB, acks=all, fsynced on both sides, 8 partitions",
        "≥ 8× Kafka",
        ThanKafka("produce-1k-fsync", PRODUCED),
        AtLeast(8.0),
    ),
    goal(
        "produce 1 KiB, acks=1, each side's default",
        "≥ 2.5× Kafka",
        ThanKafka("produce-1k-acks-1", PRODUCED),
        AtLeast(2.5),
    ),
    goal(
        "produce 1 KiB, acks=1, each side's default",
        "≥ 0.8 of the ceiling",
        OfTheCeiling("produce-1k-acks-1"),
        AtLeast(0.8),
    ),
    goal(
        "acks=all with fsync here, without it on Kafka",
        "≥ 1.5× Kafka",
        ThanKafka("produce-1k-acks-all", PRODUCED),
        AtLeast(1.5),
    ),
    goal(
        "100-byte records, one producer, records/s",
        "≥ 3× Kafka",
        ThanKafka("one-producer-100b", PRODUCED_RECORDS),
        AtLeast(3.0),
    ),
    goal("fetch, tail", "≥ 2× Kafka", ThanKafka("fetch-tail", CONSUMED), AtLeast(2.0)),
    goal("fetch, tail", "≥ 0.8 of the ceiling", OfTheCeiling("fetch-tail"), AtLeast(0.8)),
    goal("fetch, cold", "≥ 2× Kafka", ThanKafka("fetch-cold", CONSUMED), AtLeast(2.0)),
    goal(
        "fetch, cold",
        "≥ 0.8 of fio",
        OverBare("fetch-cold", CONSUMED, Bare::Fio),
        AtLeast(0.8),
    ),
    goal(
        "broker CPU seconds per GB in",
        "≤ 1/3 of Kafka (≥ 3×)",
        ThanKafka("produce-1k-acks-1", CPU_PER_GB),
        AtLeast(3.0),
    ),
    goal(
        "broker CPU seconds per GB out",
        "≤ 1/3 of Kafka (≥ 3×)",
        ThanKafka("fetch-tail", CPU_PER_GB),
        AtLeast(3.0),
    ),
    goal(
        "broker CPU seconds per GB in and out to five groups",
        "≤ 1/3 of Kafka (≥ 3×)",
        ThanKafka("fan-out-5", CPU_PER_GB),
        AtLeast(3.0),
    ),
    goal(
        "end to end at half of Kafka's top rate, p99.9",
        "≤ 1/10 of Kafka (≥ 10×)",
        ThanKafka("end-to-end", END_TO_END_P999),
        AtLeast(10.0),
    ),
    goal(
        "end to end at half of Kafka's top rate, p99.99",
        "≤ 1/10 of Kafka (≥ 10×)",
        ThanKafka("end-to-end", END_TO_END_P9999),
        AtLeast(10.0),
    ),
    goal(
        "100-byte acks=all produce, one at a time, p50 beyond bare O_DSYNC write + bare echo",
        "≤ 25 µs",
        BeyondBare("one-at-a-time", PRODUCE_P50, &[Bare::DurableWrite, Bare::Echo]),
        AtMost(25.0),
    ),
    goal(
        "trading feed, busy-poll, acks=1, end to end, p50 beyond the bare echo's",
        "≤ 60 µs",
        BeyondBare("trading-feed", END_TO_END_P50, &[Bare::Echo]),
        AtMost(60.0),
    ),
    goal(
        "the same, beyond a bare echo of the same bursts with the same silence between them",
        "≤ 60 µs",
        BeyondBare("trading-feed", END_TO_END_P50, &[Bare::EchoInBursts]),
        AtMost(60.0),
    ),
    goal(
        "the same, answered from memory (corelane.write.caching)",
        "≤ 60 µs",
        BeyondBare("trading-feed-cached", END_TO_END_P50, &[Bare::EchoInBursts]),
        AtMost(60.0),
    ),
    goal(
        "trading feed, busy-poll, acks=1, end to end, p99.9",
        "≤ 1 ms",
        Value("trading-feed", END_TO_END_P999),
        AtMost(1.0),
    ),
    goal(
        "1,000 partitions, one 200-byte batch each in flight, acks=all: acknowledgements/s over one O_DSYNC write per partition",
        "≥ 10×",
        OverBare("tiny-1000-partitions", PRODUCED_RECORDS, Bare::DurableWrites),
        AtLeast(10.0),
    ),
    goal(
        "the same, beside Kafka with flush.messages=1",
        "≥ 20× Kafka",
        ThanKafka("tiny-1000-partitions", PRODUCED_RECORDS),
        AtLeast(20.0),
    ),
    goal(
        "10,000 partitions, throughput over that with 10",
        "≥ 0.7",
        Over("partitions-10000", "partitions-00010", PRODUCED),
        AtLeast(0.7),
    ),
    goal(
        "steady producer's p99 while 4 cold readers stream, over that alone",
        "≤ 1.5×",
        Over("drain-under-load", "steady-producer", PRODUCE_P99),
        AtMost(1.5),
    ),
    goal(
        "2 shards over 1: broker CPU per GB",
        "≤ 1.1×",
        Over("shards-2", "shards-1", CPU_PER_GB),
        AtMost(1.1),
    ),
    goal(
        "core-direct over routed: broker CPU per GB",
        "< 1×",
        Over("core-direct", "core-routed", CPU_PER_GB),
        AtMost(1.0),
    ),
    goal(
        "core-direct over routed: produce p99",
        "< 1×",
        Over("core-direct", "core-routed", PRODUCE_P99),
        AtMost(1.0),
    ),
    goal(
        "resident memory at most, over the memory configured and what an empty broker has; the worst workload",
        "≤ 1×",
        Memory,
        AtMost(1.0),
    ),
    goal("empty broker, resident", "≤ 64 MB", Value("one-at-a-time", IDLE), AtMost(64e6 / 1048576.0)),
    goal(
        "start to first answered request",
        "≤ 100 ms",
        Value("one-at-a-time", START),
        AtMost(100.0),
    ),
];

/// All goals, also those that nothing was measured for.
pub fn rows(results: &Results) -> Vec<Row> {
    GOALS.iter().map(|goal| row(goal, results)).collect()
}

fn row(goal: &Goal, results: &Results) -> Row {
    let found = find(goal.measure, results).unwrap_or_default();
    let reached = Spread::of(&found.values);
    let met = reached.map(|Spread { median, .. }| match goal.limit {
        AtLeast(least) => median >= least,
        AtMost(most) => median <= most,
    });
    let unit = match goal.measure {
        BeyondBare(..) => "µs",
        Value(_, figure) => figure.unit,
        _ => "×",
    };
    Row {
        what: goal.what.to_owned(),
        goal: goal.goal.to_owned(),
        unit,
        reached,
        met,
        from: found.from,
    }
}

/// A goal's values, one for each pair that has both sides, and what they are taken from.
#[derive(Default)]
struct Found {
    values: Vec<f64>,
    from: String,
}

fn find(measure: Measure, results: &Results) -> Option<Found> {
    let workload = |name: &str| results.workload(name);
    let found = match measure {
        ThanKafka(name, figure) => {
            let measured = workload(name)?;
            let from = BOTH.map(|side| told(measured, side, &figure)).join("; ");
            Found { values: measured.ratios(&figure), from }
        }
        OfTheCeiling(name) => {
            let measured = workload(name)?;
            let ceiling: Vec<f64> = measured
                .pairs
                .iter()
                .filter_map(|pair| Some(pair.ceiling?.mb_per_second))
                .collect();
            let from = format!(
                "{}; ceiling {} MB/s",
                told(measured, Side::Corelane, &measured.headline()),
                spread(&ceiling, 1)
            );
            Found { values: measured.parts_of_the_ceiling(Side::Corelane), from }
        }
        Over(one, other, figure) => {
            let (one, other) = (workload(one)?, workload(other)?);
            let values = one.pairs.iter().zip(&other.pairs).filter_map(|(one, other)| {
                let of = |pair: &Pair| (figure.of)(pair.corelane.as_ref()?);
                ratio(of(one)?, of(other)?)
            });
            let from = [one, other].map(|measured| {
                format!("{}: {}", measured.workload.name, told(measured, Side::Corelane, &figure))
            });
            Found { values: values.collect(), from: from.join("; ") }
        }
        OverBare(name, figure, bare) => {
            let measured = workload(name)?;
            let values = with_bare(measured, figure, &[bare], ratio);
            Found { values, from: beside_bare(measured, figure, &[bare]) }
        }
        BeyondBare(name, figure, bare) => {
            let measured = workload(name)?;
            let values =
                with_bare(measured, figure, bare, |value, bare| Some((value - bare) * 1e3));
            Found { values, from: beside_bare(measured, figure, bare) }
        }
        Value(name, figure) => {
            let measured = workload(name)?;
            let from = measured.workload.sides.iter().map(|&side| told(measured, side, &figure));
            let from = from.collect::<Vec<_>>().join("; ");
            Found { values: measured.values(Side::Corelane, &figure), from }
        }
        Memory => memory(results)?,
    };
    Some(found)
}

fn ratio(over: f64, under: f64) -> Option<f64> {
    (under > 0.0).then(|| over / under)
}

fn spread(values: &[f64], digits: usize) -> String {
    super::table::spread(Spread::of(values), digits)
}

fn told(measured: &Measured, side: Side, figure: &Figure) -> String {
    let values = spread(&measured.values(side, figure), figure.digits);
    format!("{} {values} {}", side.name(), figure.unit)
}

/// Corelane's figure and the sum of the bare ones, where a pair has all of them.
fn with_bare(
    measured: &Measured,
    figure: Figure,
    bare: &[Bare],
    of: impl Fn(f64, f64) -> Option<f64>,
) -> Vec<f64> {
    let each = |pair: &Pair| {
        let value = (figure.of)(pair.corelane.as_ref()?)?;
        let sum = bare.iter().map(|bare| pair.bare.get(bare)).sum::<Option<f64>>()?;
        of(value, sum)
    };
    measured.pairs.iter().filter_map(each).collect()
}

fn beside_bare(measured: &Measured, figure: Figure, bare: &[Bare]) -> String {
    let mut parts: Vec<String> =
        measured.workload.sides.iter().map(|&side| told(measured, side, &figure)).collect();
    parts.extend(bare.iter().map(|&bare| {
        let digits = if bare.unit() == "ms" { 3 } else { 0 };
        format!("{} {} {}", bare.name(), spread(&measured.bare(bare), digits), bare.unit())
    }));
    parts.join("; ")
}

/// Of the workload that is nearest to its budget, or furthest above it.
fn memory(results: &Results) -> Option<Found> {
    let nearest = results.workloads.iter().filter_map(|measured| {
        let own = [&results.about.corelane.settings, &measured.workload.corelane.broker];
        let budget =
            budget_mib(&own, results.about.machine.cores, results.about.machine.memory_bytes)?;
        let part = |pair: &Pair| {
            let run = pair.corelane.as_ref()?;
            ratio((PEAK.of)(run)?, budget + (IDLE.of)(run)?)
        };
        let values: Vec<f64> = measured.pairs.iter().filter_map(part).collect();
        let median = Spread::of(&values)?.median;
        let from = format!(
            "{}: {} of {} MiB configured",
            measured.workload.name,
            told(measured, Side::Corelane, &PEAK),
            number(budget, 0)
        );
        Some((median, Found { values, from }))
    });
    nearest.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, found)| found)
}

/// What "memory" allows: what is set last counts, else 512 MiB a shard, at most half of the machine's.
fn budget_mib(settings: &[&Settings], cores: usize, memory_bytes: u64) -> Option<f64> {
    const SHARD_BYTES: u64 = 512 << 20;
    let set = |name: &str| settings.iter().rev().find_map(|settings| settings.get(name));
    let bytes = match set("memory") {
        Some(memory) => crate::size::parse_bytes(memory).ok()?,
        None => {
            let shards = set("shards").map_or(Some(cores as u64), |shards| shards.parse().ok())?;
            (shards * SHARD_BYTES).min(memory_bytes / 2)
        }
    };
    Some(bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_names_a_workload_that_is_there() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
        let workloads = crate::workload::read_all(&dir, &[]).unwrap();
        let find = |name: &str| workloads.iter().find(|workload| workload.name == name);
        for goal in GOALS {
            let (names, bare): (Vec<&str>, &[Bare]) = match &goal.measure {
                ThanKafka(name, _) | OfTheCeiling(name) | Value(name, _) => (vec![*name], &[]),
                Over(one, other, _) => (vec![*one, *other], &[]),
                OverBare(name, _, bare) => (vec![*name], std::slice::from_ref(bare)),
                BeyondBare(name, _, bare) => (vec![*name], bare),
                Memory => continue,
            };
            for name in names {
                let workload = find(name).unwrap_or_else(|| panic!("no workload {name}"));
                for bare in bare {
                    assert!(workload.bare.contains(bare), "{name} does not take {bare:?}");
                }
            }
        }
    }

    #[test]
    fn budget_is_what_is_set_last_or_by_shard() {
        let set = |name: &str, value: &str| Settings::from([(name.to_owned(), value.to_owned())]);
        let none = Settings::new();
        assert_eq!(budget_mib(&[&none], 4, 64 << 30), Some(2048.0));
        assert_eq!(budget_mib(&[&none], 4, 2 << 30), Some(1024.0));
        assert_eq!(budget_mib(&[&set("shards", "1"), &none], 4, 64 << 30), Some(512.0));
        let (one, two) = (set("memory", "1GiB"), set("memory", "2GiB"));
        assert_eq!(budget_mib(&[&one, &two], 4, 64 << 30), Some(2048.0));
    }
}
