//! What was counted before, in a file that people read, and what has become of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use serde::Deserialize;

/// Where nothing else was decided: counts change by less when unrelated code is inlined otherwise.
const TOLERANCE_PERCENT: f64 = 3.0;
/// Another compiler makes other code of the same: its counts may be so many times as far away.
const OTHER_TOOLS: f64 = 4.0;

/// What the counts were made with.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct Tools {
    pub rustc: String,
    pub valgrind: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Entry {
    instructions: u64,
    tolerance_percent: f64,
}

/// `benches/instructions.toml`.
#[derive(Debug, Default, Deserialize)]
pub struct Baseline {
    tools: Tools,
    #[serde(flatten)]
    functions: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// All counts, and what is wrong with them.
pub struct Verdict {
    pub table: String,
    pub complaints: Vec<String>,
}

impl Baseline {
    /// Nothing where there is no file yet.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn read(path: &str) -> anyhow::Result<Baseline> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Baseline::default()),
            Err(error) => Err(error).with_context(|| path.to_string()),
        }
    }

    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &str) -> anyhow::Result<()> {
        let mut text = format!(
            "# Instructions that the hot path takes, as valgrind counts them, each case {} requests or\n\
             # calls as `benches/instructions/counted.rs` says. Written by\n\
             # `cargo run --release -p corelane-instructions -- --accept`, which keeps the tolerances.\n\n\
             [tools]\nrustc = \"{}\"\nvalgrind = \"{}\"\n",
            super::counted::REQUESTS,
            self.tools.rustc,
            self.tools.valgrind
        );
        for (function, cases) in &self.functions {
            write!(text, "\n[{function}]\n")?;
            for (case, Entry { instructions, tolerance_percent }) in cases {
                writeln!(
                    text,
                    "{case} = {{ instructions = {instructions}, tolerance_percent = \
                     {tolerance_percent:.1} }}"
                )?;
            }
        }
        std::fs::write(path, text).with_context(|| path.to_string())
    }

    fn get(&self, name: &str) -> Option<Entry> {
        let (function, case) = name.split_once('.')?;
        self.functions.get(function)?.get(case).copied()
    }

    /// The counts of now with the tolerances of before.
    pub fn accepting(&self, counts: &BTreeMap<String, u64>, tools: Tools) -> Baseline {
        let mut functions: BTreeMap<String, BTreeMap<String, Entry>> = BTreeMap::new();
        for (name, &instructions) in counts {
            let Some((function, case)) = name.split_once('.') else { continue };
            let before = self.get(name);
            let tolerance_percent = before.map_or(TOLERANCE_PERCENT, |e| e.tolerance_percent);
            let entry = Entry { instructions, tolerance_percent };
            functions.entry(function.to_string()).or_default().insert(case.to_string(), entry);
        }
        Baseline { tools, functions }
    }

    /// What has grown beyond its tolerance, is new or is gone. What has become less is shown, and
    /// is no fault.
    pub fn judge(&self, counts: &BTreeMap<String, u64>, tools: &Tools) -> Verdict {
        let factor = if self.tools == *tools { 1.0 } else { OTHER_TOOLS };
        let mut table = format!("{:<54} {:>12} {:>9}\n", "", "instructions", "change");
        let mut complaints = Vec::new();
        for (name, &now) in counts {
            let Some(Entry { instructions: before, tolerance_percent }) = self.get(name) else {
                let _ = writeln!(table, "{name:<54} {now:>12} {:>9}", "new");
                complaints.push(format!("{name} is new: {now} instructions"));
                continue;
            };
            let change = 100.0 * (now as f64 / before as f64 - 1.0);
            let tolerance = tolerance_percent * factor;
            let _ = writeln!(table, "{name:<54} {now:>12} {change:>+8.2}%");
            if change > tolerance {
                complaints.push(format!(
                    "{name} takes {change:.1} % more instructions: {now}, it was {before} \
                     ({tolerance:.1} % are tolerated)"
                ));
            }
        }
        for (function, cases) in &self.functions {
            for name in cases.keys().map(|case| format!("{function}.{case}")) {
                if !counts.contains_key(&name) {
                    complaints.push(format!("{name} is gone"));
                }
            }
        }
        if factor > 1.0 {
            let _ = writeln!(
                table,
                "\nCounted with other tools ({}, {}) than before ({}, {}): tolerances are {factor} \
                 times as wide.",
                tools.rustc, tools.valgrind, self.tools.rustc, self.tools.valgrind
            );
        }
        Verdict { table, complaints }
    }
}
