//! Going on with a comparison that was cut short, or adding to one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use super::results::Results;

/// What the note about it begins with.
pub const NOTE: &str = "Taken in parts";

/// Takes over what the results in `out` have of the same workloads, and keeps what they have of
/// others. An error where they were taken with other lengths: their values would not be of one kind.
pub fn go_on(results: &mut Results, out: &Path) -> Result<()> {
    let path = out.join("results.json");
    if !path.exists() {
        return Ok(());
    }
    let earlier = super::read(&path)?;
    let (now, then) = (&mut results.about, &earlier.about);
    ensure!(
        (now.seconds, now.warm_up_seconds, now.most_bytes)
            == (then.seconds, then.warm_up_seconds, then.most_bytes),
        "{} was taken with --seconds {} --warm-up {} --bytes {}",
        path.display(),
        then.seconds,
        then.warm_up_seconds,
        then.most_bytes
    );
    let part = then.notes.iter().find(|note| note.starts_with(NOTE)).cloned();
    now.notes =
        vec![part.unwrap_or_else(|| format!("{NOTE}, the first of which began {}.", then.began))];
    if now.corelane.version != then.corelane.version {
        now.notes.push(format!("{NOTE}, an earlier one with {}.", then.corelane.version));
    }
    for measured in earlier.workloads {
        let name = &measured.workload.name;
        match results.workloads.iter_mut().find(|m| &m.workload.name == name) {
            // A workload that has been changed is taken anew.
            Some(same) if same.workload == measured.workload => *same = measured,
            Some(_) => {}
            None => results.workloads.push(measured),
        }
    }
    Ok(())
}

/// Removes the directories of brokers that were killed with the comparison.
pub fn remove_leftovers(dirs: &[PathBuf]) -> Result<()> {
    for dir in dirs {
        for entry in fs::read_dir(dir)?.flatten() {
            let ours =
                entry.file_name().to_str().is_some_and(|name| name.starts_with("corelane-perf-"));
            if ours && entry.path().is_dir() {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
    }
    Ok(())
}
