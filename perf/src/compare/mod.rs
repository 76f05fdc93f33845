//! `compare`: Corelane and Apache Kafka, started in turn on the same directories, the same load on
//! both.
//!
//! A pair is one run of each, right after each other; all workloads are gone through once before
//! the second pair of any begins. Every run has a broker of its own on empty directories, and a
//! warm-up that is not counted.

mod about;
mod args;
mod csv;
mod html;
mod plots;
mod results;
mod run;
mod sides;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

pub use args::{CompareArgs, RenderArgs};
use results::Results;

/// Runs the comparison. A run that fails is named at the end, and the others are taken all the
/// same.
pub fn run(args: &CompareArgs) -> Result<()> {
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let results = run::Comparison::new(args)?.run(&args.out)?;
    finish(&results, &args.out)?;
    ensure!(results.failures.is_empty(), "failed runs: {}", results.failures.len());
    Ok(())
}

/// Writes the report of a comparison that was taken before.
pub fn render(args: &RenderArgs) -> Result<()> {
    let text = fs::read_to_string(&args.results);
    let text = text.with_context(|| format!("cannot read {}", args.results.display()))?;
    let results: Results = serde_json::from_str(&text)
        .with_context(|| format!("{} is no comparison", args.results.display()))?;
    fs::create_dir_all(&args.out)?;
    finish(&results, &args.out)
}

fn finish(results: &Results, out: &Path) -> Result<()> {
    save(results, out)?;
    print!("{}", table::Terminal(results));
    println!("{}", out.join("report.html").display());
    Ok(())
}

/// Writes all three forms: also after each workload, so that a long comparison cut short is not lost.
fn save(results: &Results, out: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("results.json", serde_json::to_string_pretty(results)?)?;
    write("results.csv", csv::write(results)?)?;
    write("report.html", html::page(results)?.into_string())
}

#[cfg(test)]
mod tests;
