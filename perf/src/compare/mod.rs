//! `compare`: Corelane and Apache Kafka, started in turn on the same directories, the same load on
//! both.
//!
//! A pair is one run of each, right after each other; all workloads are gone through once before
//! the second pair of any begins. Every run has a broker of its own on empty directories, and a
//! warm-up that is not counted.

mod about;
mod args;
mod bare;
mod csv;
mod goals;
mod html;
mod markdown;
mod nats;
mod notes;
mod plots;
mod results;
mod resume;
mod run;
mod sides;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde::Serialize;

pub use args::{CompareArgs, RenderArgs};
use results::Results;

/// Runs the comparison. A run that fails is named at the end, and the others are taken all the
/// same.
pub fn run(args: &CompareArgs) -> Result<()> {
    let args = args.clone().resolved();
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let results = run::Comparison::new(&args)?.run()?;
    finish(&results, &args.out)?;
    ensure!(results.failures.is_empty(), "failed runs: {}", results.failures.len());
    Ok(())
}

/// Writes the report of a comparison that was taken before.
pub fn render(args: &RenderArgs) -> Result<()> {
    let results = read(&args.results)?;
    if let Some(path) = &args.markdown {
        return markdown::write(&results, path);
    }
    fs::create_dir_all(&args.out)?;
    finish(&results, &args.out)
}

fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no comparison", path.display()))
}

fn finish(results: &Results, out: &Path) -> Result<()> {
    save(results, out)?;
    markdown::write(results, &out.join("RESULTS.md"))?;
    print!("{}", table::Terminal(results));
    println!("{}", out.join("report.html").display());
    Ok(())
}

/// The results, and what they make of the goals.
#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    results: &'a Results,
    goals: Vec<goals::Row>,
}

/// Writes data and page: also after each measure, so that a long comparison cut short is not lost.
fn save(results: &Results, out: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        // Under another name first: what is there stays whole if this is cut short.
        let new = out.join(format!("{name}.new"));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    let saved = Saved { results, goals: goals::rows(results) };
    write("results.json", serde_json::to_string_pretty(&saved)?)?;
    write("results.csv", csv::write(results)?)?;
    write("report.html", html::page(results)?.into_string())
}

#[cfg(test)]
mod tests;
