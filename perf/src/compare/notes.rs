//! What a reader of a comparison has to know beside its figures.

use super::results::{Measured, Results};
use super::resume;
use crate::workload::{Ceiling, Workload};

/// From then on Kafka's hot path is compiled, as a rule.
const ENOUGH_WARM_UP: f64 = 5.0;
/// Fewer than so many pairs tell little of the spread.
const ENOUGH_PAIRS: usize = 5;

/// Sets the notes of what is there.
pub fn add(results: &mut Results, system_calls_counted: bool) {
    let runs = || {
        let pairs = results
            .workloads
            .iter()
            .flat_map(|measured| measured.pairs.iter().map(move |pair| (&measured.workload, pair)));
        pairs.flat_map(|(workload, pair)| {
            [&pair.corelane, &pair.kafka].into_iter().flatten().map(move |run| (workload, run))
        })
    };
    let mut notes = Vec::new();
    let warm_up = results.about.warm_up_seconds;
    if warm_up < ENOUGH_WARM_UP {
        notes.push(format!(
            "A warm-up of {warm_up} s is short for a Java virtual machine, which compiles for 5 to 10 s: Kafka is better than it looks here."
        ));
    }
    let fewest = results.workloads.iter().map(Measured::whole_pairs).min().unwrap_or(0);
    if fewest < ENOUGH_PAIRS {
        notes.push(format!("Not every workload has {ENOUGH_PAIRS} pairs, the least {fewest}."));
    }
    let cold = |workload: &Workload| workload.backlog.as_ref().is_some_and(|backlog| backlog.cold);
    if runs().any(|(workload, run)| cold(workload) && !run.caches_dropped) {
        notes.push("The machine's caches could not be dropped (that needs root): cold reads may have come from memory.".to_owned());
    }
    if !system_calls_counted {
        notes.push("System calls were not counted (--count-system-calls).".to_owned());
    } else if runs().any(|(_, run)| run.outcome.system_calls.is_none()) {
        notes.push("System calls are unknown: perf is not there, or may not trace.".to_owned());
    }
    if results.workloads.iter().any(|measured| measured.workload.ceiling != Ceiling::None) {
        notes.push("The ceiling is a bare program on the first directory that does the same bytes: socket in, direct writes out, or the other way round.".to_owned());
    }
    notes.extend(results.about.notes.iter().filter(|note| note.starts_with(resume::NOTE)).cloned());
    results.about.notes = notes;
}
